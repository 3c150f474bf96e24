"""Slack, and whoever signs like it: `v0=…` with HMAC-SHA256 over version, time and body."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from service.domain.clock import to_ms
from service.domain.errors import Refused, Unreadable
from service.domain.events import Notification, TestPing
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample, refuse_stale
from service.providers.plain_provider import plain_samples, read_plain
from service.providers.signatures import from_hex, hmac_sha256, matches_any, unix_time

_SIGNATURE = "x-slack-signature"
_TIMESTAMP = "x-slack-request-timestamp"
_PREFIX = "v0="
_FORM = "application/x-www-form-urlencoded"


class SlackStyle(Provider):
    """https://docs.slack.dev/authentication/verifying-requests-from-slack

    Slack's own Events API sends nothing until the challenge of its `url_verification` is echoed, which the answer
    here does not do: this is for slash commands and for senders that sign like Slack.
    """

    info = Info(
        name="slack-style",
        title="Slack's style of signatures",
        doc_url="https://docs.slack.dev/authentication/verifying-requests-from-slack",
        signs="HMAC-SHA256 (v0) over time and body",
        tolerance=300,
        stored_headers=frozenset({_SIGNATURE, _TIMESTAMP, "x-slack-retry-num", "x-slack-retry-reason", "content-type"}),
        auth=("capability",),
        guide=Guide(
            setup=(
                "Have the sender post to `https://relay.example.com/hooks/NAME`, with the headers "
                "`X-Slack-Request-Timestamp` and `X-Slack-Signature: v0=…`.",
                "Its signing secret is one of `secrets`.",
            ),
            events="Your sender says what happened: the last part of `type` (or `event`, `event_type`, `action`) is "
            "`created`, `updated`, `published`, `replaced`, `renamed`, `deleted`, `unpublished` or `restored`; "
            "anything else becomes `unknown`. `url_verification` is a test; its challenge is not echoed, so Slack's "
            "own Events API is not for this.",
            covered="The body and the time; no other header, so a retry's number is not believed.",
            retries="Slack says with `X-Slack-Retry-Num` that it tries again; its schedule is unknown here. Other "
            "senders do as they please.",
            urls="In the payload, of your own making: `url` or `urls`, and `old_url` or `previous_url` for earlier "
            "ones, at the top or within `data`. Any other shape is up to a rule, which sees the whole `payload`.",
        ),
    )

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        value = request.required(_SIGNATURE)
        if not value.startswith(_PREFIX):
            raise Refused("signature_malformed", f"the signature does not begin with {_PREFIX}")
        given = from_hex(value.removeprefix(_PREFIX), lengths=[32])
        timestamp = request.required(_TIMESTAMP)
        signed_at = unix_time(timestamp, "s")
        if not matches_any([given], self._digests(timestamp, request.body)):
            raise Refused("signature_mismatch")
        refuse_stale(signed_at, now, self.tolerance)
        return Authentic("slack-v0", signed_at)

    def _digests(self, timestamp: str, body: bytes) -> list[bytes]:
        message = f"v0:{timestamp}:".encode() + body
        return [hmac_sha256(secret.encode(), message) for secret in self.source.secrets]

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        timestamp = str(to_ms(now) // 1000)
        signature = _PREFIX + self._digests(timestamp, sample.body)[0].hex()
        return Sample(sample.body, {**sample.headers, _TIMESTAMP: timestamp, _SIGNATURE: signature})

    def read(self, request: Verified) -> Notification:
        payload = _payload(request)
        if json_body.text(payload, "type") == "url_verification":
            return Notification(payload=payload, instead=TestPing("the sender asked whether anybody is here"))
        return read_plain(request, payload)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return plain_samples(now)


def _payload(request: Verified) -> Any:
    """Slash commands are forms, whose fields a rule finds in `payload`:
    https://docs.slack.dev/interactivity/implementing-slash-commands"""
    if not request.headers.get("content-type", "").lower().startswith(_FORM):
        return json_body.parse(request.body)
    try:
        return dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict"))
    except ValueError:
        raise Unreadable("the body is not the form its content type says") from None
