"""The webhook's URL as the sender has it: some sign it, and some tell events apart by nothing else."""

from __future__ import annotations

from urllib.parse import parse_qsl

from service.domain.events import AssetKind
from service.providers import json_body
from service.providers.base import SourceProblem
from service.settings.model import Source

EVENT_PARAMETER = "event"
"""The query parameter that says what happened, for senders whose bodies do not."""

_OTHER_WORDS = {
    "create": AssetKind.CREATED,
    "update": AssetKind.UPDATED,
    "replace": AssetKind.REPLACED,
    "rename": AssetKind.RENAMED,
    "delete": AssetKind.DELETED,
    "unpublish": AssetKind.UNPUBLISHED,
    "restore": AssetKind.RESTORED,
}


def registered_url(source: Source) -> str:
    """The URL that the source's sender signs, "" where no signature is judged and none is given; SourceProblem where it
    is missing or no URL."""
    url = source.registered_url
    if url is None:
        if source.auth is None and not source.unverified:
            raise SourceProblem(
                "registered_url", "the webhook's URL is signed: give it here, exactly as the sender has it"
            )
        return ""
    if not json_body.is_url(url):
        raise SourceProblem("registered_url", f"{url!r} is not a webhook's URL")
    return url


def kind_of_url(url: str) -> AssetKind | None:
    """The kind that `?event=…` names, None where it names none."""
    given = dict(parse_qsl(url.partition("?")[2])).get(EVENT_PARAMETER, "")
    known = {kind.value: kind for kind in AssetKind} | _OTHER_WORDS
    return known.get(given)
