from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from service.domain.outcomes import Outcome, OutcomeKind
from service.domain.purges import Action
from service.vercel.wire import (
    WireRequest,
    network_failure,
    project_request,
    purge_request,
    read_reply,
    token_problem,
    unusable_credential,
)

API = "https://api.example.com"
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def build(**changes: Any) -> WireRequest:
    usual: dict[str, Any] = {
        "api": API,
        "project": "my-shop",
        "team": None,
        "action": Action.DELETE,
        "src_images": ["/a.png"],
        "deadline": 60,
    }
    return purge_request(**usual | changes)


def error(**fields: Any) -> bytes:
    return json.dumps({"error": fields}).encode()


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({}, f"{API}/v1/edge-cache/dangerously-delete-by-src-images?projectIdOrName=my-shop"),
        ({"action": Action.INVALIDATE}, f"{API}/v1/edge-cache/invalidate-by-src-images?projectIdOrName=my-shop"),
        ({"api": f"{API}/"}, f"{API}/v1/edge-cache/dangerously-delete-by-src-images?projectIdOrName=my-shop"),
        ({"team": ""}, f"{API}/v1/edge-cache/dangerously-delete-by-src-images?projectIdOrName=my-shop"),
        (
            {"team": "team_1"},
            f"{API}/v1/edge-cache/dangerously-delete-by-src-images?projectIdOrName=my-shop&teamId=team_1",
        ),
        (
            {"team": "my team/ä", "project": "a&b ü'"},
            f"{API}/v1/edge-cache/dangerously-delete-by-src-images"
            "?projectIdOrName=a%26b%20%C3%BC%27&slug=my%20team%2F%C3%A4",
        ),
        (
            {"project": "lone \ud800"},
            f"{API}/v1/edge-cache/dangerously-delete-by-src-images?projectIdOrName=lone%20%3F",
        ),
    ],
)
def test_purge_url(changes: dict[str, Any], url: str) -> None:
    request = build(**changes)
    assert (request.method, request.url) == ("POST", url)


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({}, '{"srcImages":["/a.png"],"revalidationDeadlineSeconds":60}'),
        ({"deadline": 0}, '{"srcImages":["/a.png"],"revalidationDeadlineSeconds":0}'),
        ({"action": Action.INVALIDATE}, '{"srcImages":["/a.png"]}'),
        (
            {"src_images": ("/ä b.png", 'https://x.example/"?a=1&b', "/lone\ud800.png"), "action": Action.INVALIDATE},
            '{"srcImages":["/ä b.png","https://x.example/\\"?a=1&b","/lone\\ud800.png"]}',
        ),
    ],
)
def test_purge_body(changes: dict[str, Any], body: str) -> None:
    assert build(**changes).body == body.encode()


@pytest.mark.parametrize(
    ("project", "team", "path"),
    [
        ("my-shop", None, "/v9/projects/my-shop"),
        ("my shop/ä", "team_1", "/v9/projects/my%20shop%2F%C3%A4?teamId=team_1"),
        ("prj_1", "acme", "/v9/projects/prj_1?slug=acme"),
    ],
)
def test_project_request(project: str, team: str | None, path: str) -> None:
    assert project_request(API, project, team) == WireRequest("GET", API + path, b"")


@pytest.mark.parametrize(
    ("token", "fit"),
    [
        ("vcp_fake0123456789", True),
        ("a.b-c_d~e+f/g==", True),
        ("", False),
        ("fake\n", False),
        ("fake token", False),
        ('"fake"', False),
        ("fäke", False),
    ],
)
def test_token_problem(token: str, fit: bool) -> None:
    problem = token_problem(token)
    assert (problem is None) == fit
    assert problem is None or not token or token not in problem


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (200, b"", OutcomeKind.DONE, "200 OK"),
        (200, b"<html>whatever", OutcomeKind.DONE, "200 OK"),
        (202, b"", OutcomeKind.DONE, "202 Accepted"),
        (299, b"", OutcomeKind.DONE, "299 (no such status)"),
        (400, error(code="bad_request", message="No good."), OutcomeKind.INVALID, "400 Bad Request: No good."),
        (400, b'{"err":{"message":"Old form."}}', OutcomeKind.INVALID, "400 Bad Request: Old form."),
        (400, b'{"message":"Bare form."}', OutcomeKind.INVALID, "400 Bad Request: Bare form."),
        (400, error(code="bad_request", message=" "), OutcomeKind.INVALID, "400 Bad Request: bad_request"),
        (400, error(message={}, code=7), OutcomeKind.INVALID, '400 Bad Request: {"error": {"message": {}, "code": 7}}'),
        (400, b"[1]", OutcomeKind.INVALID, "400 Bad Request: [1]"),
        (400, b"", OutcomeKind.INVALID, "400 Bad Request"),
        (400, b"[" * 60_000, OutcomeKind.INVALID, "400 Bad Request: [[["),
        (400, b"9" * 60_000, OutcomeKind.INVALID, "400 Bad Request: 999"),
        (400, b"\xff\xfe\x00not text", OutcomeKind.INVALID, "not text"),
        (
            401,
            error(code="unauthorized"),
            OutcomeKind.CREDENTIAL,
            "401 Unauthorized: unauthorized; the token has no right",
        ),
        (403, error(message="Not authorized", invalidToken=True), OutcomeKind.CREDENTIAL, "(invalidToken)"),
        (403, error(message="Not authorized", missingToken=True), OutcomeKind.CREDENTIAL, "(missingToken)"),
        (403, error(message="You don't have permission"), OutcomeKind.CREDENTIAL, "check its scope"),
        (402, error(message="You cannot. "), OutcomeKind.BLOCKED, "402 Payment Required: You cannot; the team is"),
        (402, b"", OutcomeKind.BLOCKED, "402 Payment Required: the team is probably still on legacy image pricing"),
        (404, error(message="Nope"), OutcomeKind.BLOCKED, "404 Not Found: Nope; project or team unknown to this token"),
        (410, b"", OutcomeKind.BLOCKED, "410 Gone: Vercel says this is gone"),
        (302, b"", OutcomeKind.BLOCKED, "check RELAY_VERCEL_API"),
        (405, b"", OutcomeKind.BLOCKED, "405 Method Not Allowed"),
        (418, b"", OutcomeKind.BLOCKED, "418 I'm a Teapot"),
        (101, b"", OutcomeKind.BLOCKED, "101 Switching Protocols"),
        (600, b"", OutcomeKind.BLOCKED, "600 (no such status)"),
        (408, b"", OutcomeKind.TRANSIENT, "408 Request Timeout"),
        (425, b"", OutcomeKind.TRANSIENT, "425 Too Early"),
        (
            429,
            error(message="Rate limit exceeded"),
            OutcomeKind.TRANSIENT,
            "429 Too Many Requests: Rate limit exceeded",
        ),
        (500, b"", OutcomeKind.TRANSIENT, "500 Internal Server Error"),
        (
            503,
            b"<html><body><h1>Down</h1>\n<p>for a while</p></body></html>",
            OutcomeKind.TRANSIENT,
            "503 Service Unavailable: Down for a while",
        ),
        (520, b"", OutcomeKind.TRANSIENT, "520 (no such status)"),
    ],
)
def test_status_table(status: int, body: bytes, kind: OutcomeKind, words: str) -> None:
    outcome = read_reply(status, {}, body, NOW)
    assert (outcome.kind, outcome.status) == (kind, status)
    assert words in outcome.reason
    assert (outcome.retry_at, outcome.quota_until, outcome.request_id) == (None, None, None)


@pytest.mark.parametrize(("status", "warned"), [(200, False), (201, True), (204, True)])
def test_only_200_is_without_a_warning(status: int, warned: bool) -> None:
    assert (read_reply(status, {}, b"", NOW).warning is not None) == warned


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("line\r\nbreak\tand\x00nul", "line break and nul"),
        ("\x1b[31mred", "[31mred"),
        ("right\u202eto left", "right to left"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("m" * 1000, "m" * 299 + "…"),
    ],
)
def test_a_reason_is_one_printable_line(message: str, shown: str) -> None:
    assert read_reply(400, {}, error(message=message), NOW).reason == f"400 Bad Request: {shown}"


@pytest.mark.parametrize(
    ("header", "request_id"),
    [("fra1::abc-123", "fra1::abc-123"), ("", None), ("a\x07b", "a b"), ("x" * 500, "x" * 127 + "…")],
)
def test_request_id(header: str, request_id: str | None) -> None:
    assert [read_reply(status, {"x-vercel-id": header}, b"", NOW).request_id for status in (200, 500)] == [
        request_id
    ] * 2


@pytest.mark.parametrize(
    ("outcome", "kind", "reason"),
    [
        (network_failure("connect timeout", ""), OutcomeKind.TRANSIENT, "connect timeout"),
        (network_failure("connect error", "no\nroute"), OutcomeKind.TRANSIENT, "connect error: no route"),
        (network_failure("read error", "x" * 1000), OutcomeKind.TRANSIENT, f"read error: {'x' * 487}…"),
        (unusable_credential("the token is empty"), OutcomeKind.CREDENTIAL, "the token is empty"),
    ],
)
def test_without_an_answer(outcome: Outcome, kind: OutcomeKind, reason: str) -> None:
    assert outcome == Outcome(kind=kind, status=None, reason=reason)
