"""Cloudflare R2: a bucket's queue, forwarded by a Worker that signs as Standard Webhooks say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from service.domain.clock import iso
from service.domain.events import AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Sample
from service.providers.plain_provider import json_sample
from service.providers.s3_records import Objects, warnings_of_bases
from service.providers.standard_webhooks import StandardWebhooks
from service.settings.model import Source

# https://developers.cloudflare.com/r2/buckets/event-notifications/. An overwrite looks like a creation.
_KINDS = {
    "PutObject": AssetKind.UPDATED,
    "CopyObject": AssetKind.UPDATED,
    "CompleteMultipartUpload": AssetKind.UPDATED,
    "DeleteObject": AssetKind.DELETED,
    "LifecycleDeletion": AssetKind.DELETED,
}

# A message that is sent again keeps its id in the queue, which is how the relay knows it.
WORKER = """\
export default {
  async queue(batch, env) {
    const secret = Uint8Array.from(atob(env.RELAY_SECRET.replace(/^whsec_/, "")), (c) => c.charCodeAt(0));
    const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    for (const message of batch.messages) {
      const body = JSON.stringify(message.body);
      const time = Math.floor(Date.now() / 1000).toString();
      const signed = new TextEncoder().encode(`${message.id}.${time}.${body}`);
      const signature = new Uint8Array(await crypto.subtle.sign("HMAC", key, signed));
      const headers = {
        "content-type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": time,
        "webhook-signature": `v1,${btoa(String.fromCharCode(...signature))}`,
      };
      const answer = await fetch(env.RELAY_URL, { method: "POST", headers, body }).catch(() => null);
      if (answer?.ok) message.ack();
      else message.retry({ delaySeconds: Math.min(15 * 2 ** message.attempts, 3600) });
    }
  },
};
"""


class CloudflareR2(StandardWebhooks):
    """https://developers.cloudflare.com/r2/buckets/event-notifications/

    R2 posts to nobody, it puts events into a queue: `WORKER` consumes it. Whether a key is ever encoded is not
    documented; the examples are plain.
    """

    info = replace(
        StandardWebhooks.info,
        name="cloudflare-r2",
        title="Cloudflare R2",
        doc_url="https://developers.cloudflare.com/r2/buckets/event-notifications/",
        signs="HMAC-SHA256 over id, time and body, by a Worker of yours",
        stored_headers=frozenset({"webhook-id", "webhook-timestamp", "webhook-signature", "content-type"}),
        options=("public_keys", "bases", "key_encoding"),
        guide=Guide(
            setup=(
                "A queue: `wrangler queues create image-events`, and the bucket's events into it: `wrangler r2 bucket "
                "notification create BUCKET --event-type object-create --queue image-events`, and once more with "
                "`object-delete` (or *R2 → bucket → Settings → Event notifications*).",
                f"A Worker with this code:\n\n```js\n{WORKER}```",
                'Its `wrangler.toml`: `[vars] RELAY_URL = "https://relay.example.com/hooks/NAME"` and '
                '`[[queues.consumers]] queue = "image-events"`, `max_retries = 20`, `dead_letter_queue = '
                '"image-events-dead"`.',
                "`wrangler secret put RELAY_SECRET`: `whsec_` and 32 random bytes in base64 (`printf whsec_; openssl "
                "rand -base64 32`); the same is one of the source's `secrets`. `bases: {BUCKET: https://…}`.",
            ),
            events="`object-create` (→ `updated`: a new object and an overwritten one look the same) and "
            "`object-delete` (→ `deleted`; expiry by a lifecycle rule too).",
            covered="The Worker signs the queue's message id, the time of sending and the body. A replay is refused "
            "after 5 minutes and known by its id before; other headers are not covered.",
            retries="Yours to choose: the Worker acknowledges what was answered 2xx and has the rest sent again, later "
            "each time, up to an hour apart. A queue gives up after 3 retries unless `max_retries` says otherwise, "
            "and then deletes the message unless it has a `dead_letter_queue`. Nothing switches itself off.",
            urls="Computed: the base of the bucket (`bases`) and the object's key.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._objects = Objects.of(source, "verbatim")

    @classmethod
    def warnings(cls, source: Source) -> list[str]:
        return warnings_of_bases(source)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        kind = _KINDS.get(json_body.text(payload, "action") or "")
        event = kind and self._objects.event(
            kind,
            json_body.text(payload, "bucket"),
            json_body.text(payload, "object", "key"),
            occurred_at=json_body.moment(payload, "eventTime"),
            content_hash=json_body.text(payload, "object", "eTag"),
        )
        return Notification(
            payload=payload,
            events=(event,) if event else (),
            instead=None if event else Ignored("the message does not tell of an object that was written or removed"),
            event_id=request.headers.get("webhook-id"),
        )

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        written = {"size": 109669, "eTag": sha256(iso(now).encode()).hexdigest()[:32]}
        return {"put": _sample("PutObject", written, now), "delete": _sample("DeleteObject", {}, now)}


def _sample(action: str, of_object: Mapping[str, Any], now: datetime) -> Sample:
    message = {
        "account": "3f4b7e3dcab231cbfdaa90a6a28bd548",
        "action": action,
        "bucket": "my-bucket",
        "object": {"key": "products/red hero.jpg", **of_object},
        "eventTime": iso(now),
    }
    return json_sample(message, {"webhook-id": sha256(f"{action} {iso(now)}".encode()).hexdigest()[:32]})
