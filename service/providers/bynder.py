"""Bynder: notifications through its Amazon SNS topic; assets by their id alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from msgspec.structs import replace

from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.variants import Variant
from service.providers import json_body
from service.providers.aws_sns import AwsSns, published
from service.providers.base import Guide, Sample
from service.settings.model import Source

_EVENT = "asset_bank.media."
_KINDS = {
    "create": AssetKind.CREATED,
    "upload": AssetKind.UPDATED,
    "uploaded": AssetKind.UPDATED,
    "updated": AssetKind.UPDATED,
    "archived": AssetKind.UPDATED,
    "deleted": AssetKind.DELETED,
}


class Bynder(AwsSns):
    """https://api.bynder.com/reference

    The message is Amazon's in everything but what Bynder publishes: its subject names the event, and the media's id is
    all it holds. Bynder's newer kind of webhooks documents neither signature nor payload, and is not this.
    """

    info = replace(
        AwsSns.info,
        name="bynder",
        title="Bynder, through Amazon SNS",
        doc_url="https://api.bynder.com/reference",
        options=("public_keys", "topics", "signature_algorithm", "emulator"),
        guide=Guide(
            setup=(
                "Ask Bynder for notifications by Amazon SNS to `https://relay.example.com/hooks/NAME`, over HTTPS, and "
                "for the ARN of the topic that they come from.",
                "`topics`: that ARN. The relay confirms the subscription by itself, and only for a topic in `topics`.",
                'The message has an id and no URL: map ids with `lookup("table.csv")` in a rule, or have the asset '
                "found with `resolve:` (Bynder's API, media by id).",
            ),
            events="`asset_bank.media.upload`, `.uploaded`, `.updated` and `.archived` (→ `updated`: a changed file "
            "arrives as an upload or an update), `.deleted`, `.create` (→ `created`). `.meta_updated`, `.pre_archived` "
            "and workflows are ignored.",
            covered="Amazon signs the message, its subject, the topic and the time of publishing; no header. A "
            "repeated delivery is known by the message's id.",
            retries="Amazon's: an answer is due within 15 s and 2xx counts; how often it tries again is up to the "
            "delivery policy of Bynder's topic, which is unknown.",
            urls="None in the payload, and how Bynder makes its delivery URLs was not verified: use a table, "
            "`resolve:`, or what was remembered.",
        ),
    )
    variants: ClassVar[Mapping[str, Variant]] = {}  # what it publishes has no URL

    @classmethod
    def warnings(cls, source: Source) -> list[str]:
        return []

    def read_content(self, content: Any, *, payload: Any, subject: str, event_id: str | None) -> Notification:
        found = _asset_event(content, payload, subject)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=event_id)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        media = {"media_id": "17F01106-6F26-4A9D-884ABECE523D1129"}
        return {action: published(media, now, _EVENT + action) for action in ("updated", "deleted", "create")}


def _asset_event(content: Any, payload: Any, subject: str) -> AssetEvent | Ignored:
    """A message without an envelope has no subject: it says that something happened, and not what."""
    action = subject.removeprefix(_EVENT)
    kind = _KINDS.get(action) if subject else AssetKind.UPDATED
    if kind is None or (subject and action == subject):
        return Ignored(f"{subject} changes no file")
    media_id = json_body.text(content, "media_id")
    if media_id is None:
        return Ignored("the message names no media_id")
    return AssetEvent(kind=kind, id=media_id, occurred_at=json_body.moment(payload, "Timestamp"))
