"""The answers a fake Vercel can be told to give, in the shapes Vercel documents.

Errors: https://vercel.com/docs/rest-api/errors · rate limit headers: https://vercel.com/docs/rest-api/reference/welcome
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from starlette.responses import HTMLResponse, JSONResponse, Response

from service.domain.clock import Clock

Status = Annotated[int, msgspec.Meta(ge=200, le=599)]
Body = Literal["rate_limited", "too_many_requests", "invalid_token", "permission", "html", "empty", "json"]

HANG_SECONDS = 3600.0

_REDIRECTS = range(300, 400)
_BODIES: dict[int, Body] = {403: "invalid_token", 503: "html"}
_RATE_LIMIT = 6
_CODES = {
    400: ("bad_request", "One of the provided values in the request body is invalid."),
    401: ("unauthorized", "The request is not authorized."),
    402: ("payment_required", "This feature needs the new image optimization pricing."),
    403: ("forbidden", "You do not have permission to access this resource."),
    404: ("not_found", "Could not find the project."),
    405: ("method_unknown", "This endpoint only responds to POST"),
    410: ("gone", "This resource is no longer available."),
    429: ("too_many_requests", "Rate limit exceeded"),
    500: ("internal_server_error", "An unexpected internal error occurred"),
}


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a call gets that would otherwise have succeeded.

    `status` is an HTTP status, `reset` (the connection is torn down) or `hang` (silence for `seconds`, then torn down).
    `times` is how many calls get it, null for all of them. `match` picks calls with this text in a source image,
    `project` those for this projectIdOrName. `body` is one of the documented forms, else what fits the status;
    `retry_after` goes out as it stands, `retry_after_date` as the HTTP date of that epoch; `reset` is X-RateLimit-Reset
    in epoch seconds, `remaining` X-RateLimit-Remaining. `seconds` is a delay before the answer.
    """

    status: Status | Literal["reset", "hang"]
    body: Body | None = None
    message: str | None = None
    code: str | None = None
    retry_after: str | None = None
    retry_after_date: int | None = None
    reset: int | None = None
    remaining: int | None = None
    location: str | None = None
    times: Annotated[int, msgspec.Meta(ge=1)] | None = 1
    match: str | None = None
    project: str | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400)] | None = None

    def fits(self, project: str, src_images: Iterable[str]) -> bool:
        """Whether this answer is meant for a call about these images."""
        return self.project in (None, project) and (self.match is None or any(self.match in src for src in src_images))

    def delay(self) -> float:
        """Seconds of silence before it."""
        return self.seconds if self.seconds is not None else HANG_SECONDS if self.status == "hang" else 0.0

    def response(self, now: Clock) -> Response | None:
        """The HTTP answer, or None where the connection breaks instead."""
        if isinstance(self.status, str):
            return None
        response = self._content(self.status, now())
        for name, value in self._headers(self.status).items():
            response.headers[name] = value
        return response

    def _content(self, status: int, now: datetime) -> Response:
        body = self.body or _default_body(status)
        if body == "empty":
            return Response(status_code=status)
        if body == "html":
            phrase = _phrase(status)
            page = f"<html><head><title>{status} {phrase}</title></head><body><h1>{phrase}</h1></body></html>"
            return HTMLResponse(page, status_code=status)
        code, message = _CODES.get(status, ("error", _phrase(status)))
        extra: dict[str, Any] = {}
        if body == "rate_limited":
            code, message, extra = self._rate_limited(now)
        elif body == "invalid_token":
            code, message, extra = "forbidden", "Not authorized", {"invalidToken": True}
        elif body == "permission":
            code, message = _CODES[403]
        return error(status, self.code or code, self.message or message, **extra)

    def _rate_limited(self, now: datetime) -> tuple[str, str, dict[str, Any]]:
        at = self.reset if self.reset is not None else int(now.timestamp()) + 1
        limit = {"remaining": 0, "reset": at, "resetMs": at * 1000, "total": _RATE_LIMIT}
        return "rate_limited", f"The rate limit of {_RATE_LIMIT} exceeded for 'edge-cache'.", {"limit": limit}

    def _headers(self, status: int) -> dict[str, str]:
        headers: dict[str, str] = {}
        if self.retry_after is not None:
            headers["retry-after"] = self.retry_after
        if self.retry_after_date is not None:
            moment = datetime.fromtimestamp(self.retry_after_date, UTC)
            headers["retry-after"] = format_datetime(moment, usegmt=True)
        if self.reset is not None or self.remaining is not None:
            remaining = self.remaining if self.remaining is not None else 0
            headers |= {"x-ratelimit-limit": str(_RATE_LIMIT), "x-ratelimit-remaining": str(remaining)}
        if self.reset is not None:
            headers["x-ratelimit-reset"] = str(self.reset)
        if status in _REDIRECTS:
            headers["location"] = self.location or "/elsewhere"
        return headers


class Script:
    """Answers waiting to be given; the first that fits a call is taken."""

    def __init__(self, answers: Sequence[Answer] = ()) -> None:
        self._waiting: list[tuple[Answer, int | None]] = []
        self.add(answers)

    def add(self, answers: Iterable[Answer]) -> None:
        """Behind those that wait already."""
        self._waiting += [(answer, answer.times) for answer in answers]

    def clear(self) -> None:
        """Every further call succeeds."""
        self._waiting.clear()

    def take(self, project: str, src_images: Sequence[str]) -> Answer | None:
        """The answer for this call, counted as given; None for success."""
        for index, (answer, left) in enumerate(self._waiting):
            if not answer.fits(project, src_images):
                continue
            if left == 1:
                del self._waiting[index]
            elif left is not None:
                self._waiting[index] = (answer, left - 1)
            return answer
        return None


def parse_answers(document: bytes) -> list[Answer]:
    """A JSON list of answers; `msgspec.DecodeError` names what is wrong with it."""
    return msgspec.json.decode(document, type=list[Answer])


def error(status: int, code: str, message: str, **extra: Any) -> Response:
    """Vercel's error envelope."""
    content = {"error": {"code": code, "message": message, **extra}}
    return JSONResponse(content, status_code=status, media_type="application/json; charset=utf-8")


def _default_body(status: int) -> Body:
    """Success and redirects carry nothing; a bad token is 403, not 401: https://vercel.com/docs/rest-api/errors"""
    if status < min(_CODES):
        return "empty"
    return _BODIES.get(status, "json")


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
