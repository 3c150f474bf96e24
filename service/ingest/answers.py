"""What goes back to the sender: JSON of two shapes, one for what was stored and one for what was not."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import msgspec
from starlette.responses import Response

from service.ingest.ports import Answer

RETRY_SECONDS = 10  # until a sender is asked to try again, where nobody knows better

_encode = msgspec.json.Encoder().encode


class _Json(Response):
    """A response in JSON. Starlette's own constructor looks for headers that might be there already."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str] | None) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        if headers is not None:
            self.raw_headers += [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
            ]


def json_answer(status: int, document: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response."""
    return _Json(status, _encode(document), headers)


def error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error in the one shape they all have: `code` for programs, `message` for people."""
    return json_answer(status, {"error": {"code": code, "message": message}}, headers)


def early_error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error answered before the body was read: the connection is closed, or the sender could go on sending."""
    return error(status, code, message, {"connection": "close", **(headers or {})})


def retry_after(seconds: float) -> dict[str, str]:
    """The header that asks for patience, in whole seconds and at least one."""
    return {"retry-after": str(max(1, ceil(seconds)))}


def respond(answer: Answer) -> Response:
    """The response to a webhook that was read and judged."""
    if answer.greeting is not None:
        return Response(answer.greeting.body, answer.status, answer.greeting.headers)
    match answer.status:
        case 204:
            return Response(status_code=204)
        case 400:
            message = f"the body is not what this provider sends; it is kept as {answer.receipt}"
            return error(400, "unreadable", message)
        case 401:
            headers = None if answer.challenge is None else {"www-authenticate": answer.challenge}
            return error(401, "unauthorized", "the request is not authenticated", headers)
        case 405:
            return error(405, "method_not_allowed", "webhooks are sent with POST", {"allow": "POST"})
        case 503:
            message = "the webhook cannot be taken in right now; send it again"
            return error(503, "unavailable", message, retry_after(RETRY_SECONDS))
        case status if answer.challenge_answer is not None:
            return _Json(status, answer.challenge_answer, None)
        case status:
            return json_answer(status, {"receipt": answer.receipt, "status": answer.verdict})
