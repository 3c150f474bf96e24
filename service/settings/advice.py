"""What is allowed and worth a second look: the warnings."""

from __future__ import annotations

from collections.abc import Iterator

from service.domain.secret import Secret
from service.settings.addresses import is_plain_http
from service.settings.checks import AdviseSource
from service.settings.model import Settings
from service.settings.report import Report

SHORTEST_SECRET = 16
UNVERIFIED = "whoever knows the URL can have images purged: only behind something that verifies"


def advise(settings: Settings, report: Report, advise_source: AdviseSource) -> None:
    """Add the warnings about valid settings to the report."""
    if settings.public_url is not None and is_plain_http(settings.public_url):
        report.warn("public_url", "is not https: anybody on the way can read the webhooks and capability URLs")
    if settings.admin is not None:
        report.warn("admin", "has no effect: this release has no dashboard yet")
    if not settings.sources:
        report.warn("sources", "there is none: no webhook will be accepted")
    if not settings.vault.keys:
        for name, project in settings.projects.items():
            if project.token is None:
                message = "has no token, and without vault.keys none can be stored: its purges will be held"
                report.warn(f"projects.{name}", message)
    for name, source in settings.sources.items():
        if source.unverified:
            report.warn(f"sources.{name}.unverified", UNVERIFIED)
        if source.emulator is not None:
            report.warn(f"sources.{name}.emulator", "trusts whoever runs the emulator: for development only")
        for advice in advise_source(source):
            report.warn(f"sources.{name}", advice)
    for path, secret in _secrets(settings):
        if len(secret.reveal()) < SHORTEST_SECRET:
            report.warn(path, f"is shorter than {SHORTEST_SECRET} characters: easier to guess than it should be")


def _secrets(settings: Settings) -> Iterator[tuple[str, Secret]]:
    """Every secret a short value makes weak, with its path."""
    for name, source in settings.sources.items():
        for index, secret in enumerate(source.secrets):
            yield f"sources.{name}.secrets[{index}]", secret
    for name, project in settings.projects.items():
        if project.token is not None:
            yield f"projects.{name}.token", project.token
    if settings.admin is not None:
        yield "admin.password", settings.admin.password
