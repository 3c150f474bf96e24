"""Requests to Vercel as bytes and its answers as outcomes; pure, so that all of it can be tried without a network.

Endpoints: https://vercel.com/docs/rest-api/edge-cache/dangerously-delete-by-source-image
Errors: https://vercel.com/docs/rest-api/errors
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from service.domain.clock import EPOCH
from service.domain.outcomes import Outcome, OutcomeKind
from service.domain.purges import Action

MAX_REASON = 500
"""Characters of `Outcome.reason`."""

_MAX_WAIT = timedelta(days=366)
_MAX_MESSAGE = 300
_MAX_TEXT = 2000
_MAX_REQUEST_ID = 128

# encodeURIComponent leaves the apostrophe alone, but the URL parser behind fetch() then writes %27 into the query of
# an http URL (https://url.spec.whatwg.org/#special-query-percent-encode-set), so Vercel's own clients send %27.
_UNRESERVED = "-_.!~*()"

_PATHS = {
    Action.DELETE: "/v1/edge-cache/dangerously-delete-by-src-images",
    Action.INVALIDATE: "/v1/edge-cache/invalidate-by-src-images",
}
_SUCCESSES, _REDIRECTS, _SERVER_ERRORS = range(200, 300), range(300, 400), range(500, 600)
_OK = 200
_TOO_MANY_REQUESTS = 429
_KINDS = {
    400: OutcomeKind.INVALID,
    401: OutcomeKind.CREDENTIAL,
    403: OutcomeKind.CREDENTIAL,
    408: OutcomeKind.TRANSIENT,
    425: OutcomeKind.TRANSIENT,
    _TOO_MANY_REQUESTS: OutcomeKind.TRANSIENT,
}
_REVOKED = "Vercel does not know this token: it was revoked, has expired or is mistyped"
_NOT_SEEN = "Vercel saw no token in the request"
_NO_PERMISSION = "the token has no right to this project: check its scope, its expiry and the project's `team`"
_HINTS = {
    # Declared for the source image endpoints only; the changelog says "available on all plans using the new image
    # optimization price": https://vercel.com/changelog/you-can-now-invalidate-the-cdn-cache-by-providing-a-source-image
    402: "the team is probably still on legacy image pricing, which has no purge by source image",
    404: "project or team unknown to this token: check `project` and `team`",
    410: "Vercel says this is gone for good: check that the project still exists and that the relay is current",
}
_REDIRECTED = "redirects are never followed, the token would go along: check RELAY_VERCEL_API"

# RFC 6750's b68token. Anything else could not be told apart from its quoted form in somebody else's error message.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_DECIMAL = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?")
_TAG = re.compile(r"<[^<>]*>")


class WireRequest(Struct, frozen=True):
    """One HTTP request without its token; a body, where there is one, is JSON."""

    method: str
    url: str
    body: bytes


def purge_request(
    *, api: str, project: str, team: str | None, action: Action, src_images: Sequence[str], deadline: int
) -> WireRequest:
    """The call that drops `src_images` (1 to 8); `deadline` is in seconds and goes out for delete only, 0 included."""
    document: dict[str, Any] = {"srcImages": list(src_images)}
    if action is Action.DELETE:
        # On invalidate the schema has additionalProperties false: the field would be a 400.
        document["revalidationDeadlineSeconds"] = deadline
    query = [f"projectIdOrName={_encode(project)}", *_team_query(team)]
    return WireRequest("POST", f"{api.rstrip('/')}{_PATHS[action]}?{'&'.join(query)}", _json(document))


def project_request(api: str, project: str, team: str | None) -> WireRequest:
    """The call that reads a project, which shows whether a token sees it, and changes nothing."""
    query = "&".join(_team_query(team))
    return WireRequest("GET", f"{api.rstrip('/')}/v9/projects/{_encode(project)}{'?' if query else ''}{query}", b"")


def token_problem(token: str) -> str | None:
    """Why this token cannot be sent in a header at all, without quoting it; None for a fit one."""
    if not token:
        return "the token is empty"
    if _TOKEN.fullmatch(token) is None:
        return "the token has characters no bearer token has: was it pasted with a line break or quotes?"
    return None


def read_reply(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Outcome:
    """What an answer means; header names are lower-case. Whatever it holds, the result is an outcome, no error."""
    if status in _SUCCESSES:
        return _success(status, headers, now)
    error = _error_object(body)
    retry_at = max(_times_asked_for(status, headers, error, now), default=None)
    return Outcome(
        kind=_kind(status),
        status=status,
        reason=_reason(status, error, body),
        retry_at=retry_at,
        quota_until=retry_at if status == _TOO_MANY_REQUESTS else _used_up_until(headers, now),
        quota_left=_left(headers),
        request_id=_request_id(headers),
    )


def network_failure(kind: str, detail: str) -> Outcome:
    """No answer at all; `kind` and `detail` are for a person."""
    return Outcome(
        kind=OutcomeKind.TRANSIENT, status=None, reason=_plain(f"{kind}: {detail}" if detail else kind, MAX_REASON)
    )


def unusable_credential(problem: str) -> Outcome:
    """A token that was not even sent, for the reason `token_problem` gave."""
    return Outcome(kind=OutcomeKind.CREDENTIAL, status=None, reason=_plain(problem, MAX_REASON))


def _encode(value: str) -> str:
    return quote(value, safe=_UNRESERVED, errors="replace")


def _team_query(team: str | None) -> list[str]:
    if not team:
        return []
    return [f"{'teamId' if team.startswith('team_') else 'slug'}={_encode(team)}"]


def _json(document: Mapping[str, Any]) -> bytes:
    # A lone surrogate is the only thing UTF-8 cannot hold, and "backslashreplace" writes it as JSON's \udXXX.
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def _success(status: int, headers: Mapping[str, str], now: datetime) -> Outcome:
    label = _label(status)
    return Outcome(
        kind=OutcomeKind.DONE,
        status=status,
        reason=label,
        quota_until=_used_up_until(headers, now),
        quota_left=_left(headers),
        # Vercel declares 200 alone, and its own SDK takes any other 2xx for a failure.
        warning=None if status == _OK else f"{label} where only 200 is documented",
        request_id=_request_id(headers),
    )


def _kind(status: int) -> OutcomeKind:
    if status in _SERVER_ERRORS:
        return OutcomeKind.TRANSIENT
    return _KINDS.get(status, OutcomeKind.BLOCKED)


def _reason(status: int, error: Mapping[str, Any], body: bytes) -> str:
    message, hint = _plain(_message(error, body), _MAX_MESSAGE), _hint(status, error)
    said = f"{message.rstrip('.')}; {hint}" if message and hint else message or hint
    return _plain(f"{_label(status)}: {said}" if said else _label(status), MAX_REASON)


def _hint(status: int, error: Mapping[str, Any]) -> str:
    if _KINDS.get(status) is OutcomeKind.CREDENTIAL:
        if error.get("invalidToken"):
            return f"{_REVOKED} (invalidToken)"
        return f"{_NOT_SEEN} (missingToken)" if error.get("missingToken") else _NO_PERMISSION
    if status in _REDIRECTS:
        return _REDIRECTED
    return _HINTS.get(status, "")


def _message(error: Mapping[str, Any], body: bytes) -> str:
    """Vercel's own words where the body has them, else whatever text it has."""
    message, code = error.get("message"), error.get("code")
    if isinstance(message, str) and message.strip():
        return message
    if isinstance(code, str) and code.strip():
        return code
    return _TAG.sub(" ", body[:_MAX_TEXT].decode("utf-8", "replace"))


def _error_object(body: bytes) -> Mapping[str, Any]:
    """`error` or `err` of a JSON body, else the body itself, as Vercel's CLI reads it; empty for anything else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):  # ValueError covers bad JSON, bad UTF-8 and integers of absurd length
        return {}
    if not isinstance(document, dict):
        return {}
    for name in ("error", "err"):
        inner = document.get(name)
        if isinstance(inner, dict):
            return inner
    return document


def _times_asked_for(
    status: int, headers: Mapping[str, str], error: Mapping[str, Any], now: datetime
) -> Iterator[datetime]:
    """Every moment the answer names, of those that are in the future and within a year."""
    limit = error.get("limit")
    budget = limit if isinstance(limit, dict) else {}
    reset = headers.get("x-ratelimit-reset", "")
    candidates = (
        retry_after(headers.get("retry-after", ""), now),
        _epoch(reset, now) if status == _TOO_MANY_REQUESTS or _nothing_left(headers) else None,
        _epoch(budget.get("reset"), now),
        _epoch(budget.get("resetMs"), now, per_second=1000),
    )
    return (moment for moment in candidates if moment is not None)


def retry_after(value: str, now: datetime) -> datetime | None:
    """Seconds or an HTTP date: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after"""
    seconds = _number(value)
    if seconds is not None:
        return _within(seconds, now)
    try:
        moment = parsedate_to_datetime(value)
        # A zone of -0000 comes back naive and means UTC.
        return _within((moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds(), now)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _epoch(value: object, now: datetime, *, per_second: int = 1) -> datetime | None:
    moment = _number(value)
    return None if moment is None else _within(moment / per_second - (now - EPOCH).total_seconds(), now)


def _within(seconds: float, now: datetime) -> datetime | None:
    """`seconds` from now, or None for the past and for what nobody can have meant."""
    return now + timedelta(seconds=seconds) if 0 < seconds <= _MAX_WAIT.total_seconds() else None


def _number(value: object) -> float | None:
    if isinstance(value, str):
        text = value.strip()
        return float(text) if _DECIMAL.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


_MOST_CALLS = 1e12  # more is no budget that anybody has


def _left(headers: Mapping[str, str]) -> int | None:
    """https://vercel.com/docs/rest-api#rate-limits"""
    left = _number(headers.get("x-ratelimit-remaining"))
    return int(left) if left is not None and 0 <= left <= _MOST_CALLS else None


def _nothing_left(headers: Mapping[str, str]) -> bool:
    return _number(headers.get("x-ratelimit-remaining")) == 0


def _used_up_until(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When the rate budget refills, if this answer took the last of it."""
    return _epoch(headers.get("x-ratelimit-reset"), now) if _nothing_left(headers) else None


def _request_id(headers: Mapping[str, str]) -> str | None:
    return _plain(headers.get("x-vercel-id", ""), _MAX_REQUEST_ID) or None


def _label(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} (no such status)"


def _plain(text: str, limit: int) -> str:
    """One line without control characters, direction marks or surrogates, cut to `limit` characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
