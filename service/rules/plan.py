"""What an event's rules come to: the purges, and for every rule why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import TemplateError
from msgspec import Struct
from msgspec.structs import replace

from service.domain.errors import RuleFailed
from service.domain.events import AssetEvent
from service.domain.purges import Action, PlannedPurge
from service.rules.compiled import CompiledRule, CompiledRules, ImageTemplate
from service.rules.condition import NO_URL
from service.rules.limits import refusal, shown
from service.rules.scope import Asset
from service.rules.variants import spelled


class ImageTrace(Struct, frozen=True):
    """One source image a rule made for one project: the template and URL it came from, and why it may not be sent."""

    src_image: str
    template: str
    url: str | None
    project: str
    refusal: str | None = None


class RuleTrace(Struct, frozen=True):
    """What one rule did with the event, and why. A rule with an `error` contributed nothing."""

    rule: str
    matched: bool
    why: str
    images: tuple[ImageTrace, ...] = ()
    error: str | None = None


class Plan(Struct, frozen=True):
    """The purges of one event, each image once per project, and a trace of every rule of the source."""

    purges: tuple[PlannedPurge, ...]
    traces: tuple[RuleTrace, ...]

    @property
    def failed(self) -> bool:
        """Whether some rule raised: the event should be kept and replayed once the rule is fixed."""
        return any(trace.error is not None for trace in self.traces)

    @property
    def error(self) -> str | None:
        """What the failed rules said, None if none failed."""
        return "; ".join([trace.error for trace in self.traces if trace.error is not None]) or None

    @property
    def sendable(self) -> tuple[PlannedPurge, ...]:
        """The purges within Vercel's limits."""
        return tuple(purge for purge in self.purges if purge.refusal is None)


def plan(rules: CompiledRules, event: AssetEvent, *, payload: Any, headers: Mapping[str, str], source: str) -> Plan:
    """Apply a source's rules to an event that has the asset's memory in it. Never raises for a rule's sake."""
    scope = {"asset": Asset.of(event), "payload": payload, "headers": headers, "source": source}
    merged: dict[tuple[str, str], PlannedPurge] = {}
    traces: list[RuleTrace] = []
    ended_by: str | None = None
    for rule in rules.rules:
        if ended_by is not None:
            traces.append(RuleTrace(rule.name, False, f"not reached: {ended_by!r} matched and has `stop: true`"))
            continue
        trace, purges = _apply(rule, event, scope)
        traces.append(trace)
        merge(merged, purges)
        if rule.stop and trace.matched and trace.error is None:
            ended_by = rule.name
    return Plan(tuple(merged.values()), tuple(traces))


def _apply(rule: CompiledRule, event: AssetEvent, scope: Mapping[str, Any]) -> tuple[RuleTrace, list[PlannedPurge]]:
    """One rule on one event. Whatever an operator's expression raises is that rule's failure and nobody else's."""
    try:
        verdict = rule.condition.judge(event.all_urls, scope)
    except Exception as error:
        return RuleTrace(rule.name, False, "`when` failed", error=_told(rule, "when", error)), []
    if not verdict.matched:
        return RuleTrace(rule.name, False, verdict.why), []
    purges: list[PlannedPurge] = []
    urls = tuple(spelled(verdict.urls, rule.spells)) if rule.spells else verdict.urls
    for image in rule.images:
        try:
            purges += _purges(rule, image, event, urls, scope)
        except Exception as error:
            return RuleTrace(rule.name, True, verdict.why, error=_told(rule, image.place, error, image.text)), []
    images = tuple(
        [ImageTrace(purge.src_image, purge.template, purge.url, purge.project, purge.refusal) for purge in purges]
    )
    why = verdict.why
    if not event.urls and not event.earlier_urls and any(image.per_url for image in rule.images):
        why += f"; {NO_URL}, so templates that mention url make no image"
    return RuleTrace(rule.name, True, why, images), purges


def _purges(
    rule: CompiledRule, image: ImageTemplate, event: AssetEvent, urls: tuple[str, ...], scope: Mapping[str, Any]
) -> list[PlannedPurge]:
    """One template's purges, for every project the rule feeds."""
    deadline, settle = rule.deadline_for(event.kind), rule.settle_for(event.kind)
    purges: list[PlannedPurge] = []
    for url in urls if image.per_url else (None,):
        for src_image in _images(image.render(scope, url), url, event.key):
            for project, max_bytes in rule.projects.items():
                refused = refusal(src_image, max_bytes)
                purges.append(
                    PlannedPurge(
                        project=project,
                        action=rule.action,
                        src_image=src_image if refused is None else shown(src_image),
                        deadline=deadline,
                        settle=settle,
                        rule=rule.name,
                        template=image.text,
                        url=None if url is None else shown(url),
                        refusal=refused,
                    )
                )
    return purges


def _images(text: str, url: str | None, key: str | None) -> list[str]:
    """The images in a rendered text: its lines without the blanks around them. Other control characters stay, and are
    refused where they are shown."""
    whole = "\n" not in text or _has_break(url) or _has_break(key)
    return [image for line in ((text,) if whole else text.split("\n")) if (image := line.strip(" \t\r\n"))]


def _has_break(value: str | None) -> bool:
    """Whether the value itself holds a line break: then a line of the text is no image of its own."""
    return value is not None and "\n" in value and "\n" in value.strip()


def merge(merged: dict[tuple[str, str], PlannedPurge], purges: Iterable[PlannedPurge]) -> None:
    """Add purges, each image once per project: the first stays, a delete absorbs an invalidate, the shorter deadline
    wins."""
    for purge in purges:
        key = (purge.project, purge.src_image)
        known = merged.get(key)
        if known is None or (known.action is Action.INVALIDATE and purge.action is Action.DELETE):
            merged[key] = purge
        elif known.action is purge.action and purge.deadline < known.deadline:
            merged[key] = replace(known, deadline=purge.deadline)


def _told(rule: CompiledRule, place: str, error: Exception, template: str = "") -> str:
    """`rule 'product photos', src_images[0] `{{ … }}`: 'payload' has no …`, free of what no store can hold."""
    kind = "" if isinstance(error, (RuleFailed, TemplateError)) else f"{type(error).__name__}: "
    text = template or getattr(rule.condition, "text", "")
    return shown(f"rule {rule.name!r}, {place} `{text}`: {kind}{error}")
