"""The handshake of CloudEvents' webhooks: a sender asks with OPTIONS whether it may send here."""

from __future__ import annotations

from collections.abc import Collection

from service.domain.errors import Refused
from service.domain.requests import Greeting, RawRequest
from service.settings.model import Source
from service.settings.quota import parse_quota

METHODS = ("OPTIONS",)

_ASKED = "webhook-request-origin"


def asks_for_consent(request: RawRequest) -> bool:
    """Whether a request is the handshake's; any other OPTIONS is not answered."""
    return request.method in METHODS and request.header(_ASKED) is not None


def consent(request: RawRequest, source: Source, allowed: Collection[str]) -> Greeting:
    """The answer to one of these origins; raises Refused for any other.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md#42-validation-response. It is never `*`,
    and `WebHook-Request-Callback` is never called: anybody can write any address into it.
    """
    origin = request.required(_ASKED, "origin_missing").lower()
    if origin not in allowed:
        raise Refused("origin_not_allowed", "the sender that asks is not among those that may send here")
    return Greeting(
        reason=f"{origin} asked whether it may send here",
        headers={"allow": "POST", "webhook-allowed-origin": origin, "webhook-allowed-rate": _rate(source)},
    )


def _rate(source: Source) -> str:
    """Requests a minute."""
    if source.quota is None:
        return "*"
    count, seconds = parse_quota(source.quota)
    return str(max(1, count * 60 // seconds))
