from __future__ import annotations

from typing import Any

import pytest
from support.fake_calls import DELETE, EPOCH_NOW, make, purge, talk

from service.testing.fake_answers import Answer

FORBIDDEN = {"code": "forbidden", "message": "Not authorized"}
RATE_LIMITED = {"remaining": 0, "reset": EPOCH_NOW + 9, "resetMs": (EPOCH_NOW + 9) * 1000, "total": 6}


@pytest.mark.parametrize(
    ("answer", "headers", "error"),
    [
        ({"status": 400}, {}, {"code": "bad_request"}),
        ({"status": 400, "code": "odd", "message": "Said so."}, {}, {"code": "odd", "message": "Said so."}),
        ({"status": 401}, {}, {"code": "unauthorized"}),
        ({"status": 402}, {}, {"code": "payment_required"}),
        ({"status": 403}, {}, FORBIDDEN | {"invalidToken": True}),
        ({"status": 403, "body": "permission"}, {}, {"code": "forbidden"}),
        ({"status": 404}, {}, {"code": "not_found"}),
        ({"status": 410}, {}, {"code": "gone"}),
        ({"status": 418}, {}, {"code": "error", "message": "I'm a Teapot"}),
        ({"status": 429}, {}, {"code": "too_many_requests", "message": "Rate limit exceeded"}),
        ({"status": 429, "body": "too_many_requests", "retry_after": "7"}, {"retry-after": "7"}, {}),
        (
            {"status": 429, "body": "rate_limited", "reset": EPOCH_NOW + 9},
            {"x-ratelimit-reset": str(EPOCH_NOW + 9), "x-ratelimit-remaining": "0", "x-ratelimit-limit": "6"},
            {"code": "rate_limited", "limit": RATE_LIMITED},
        ),
        ({"status": 429, "body": "rate_limited"}, {}, {"code": "rate_limited"}),
        (
            {"status": 429, "retry_after_date": EPOCH_NOW + 60},
            {"retry-after": "Tue, 24 Nov 2026 12:01:00 GMT"},
            {"code": "too_many_requests"},
        ),
        ({"status": 500}, {}, {"code": "internal_server_error"}),
        ({"status": 503, "body": "json", "retry_after": "1"}, {"retry-after": "1"}, {"message": "Service Unavailable"}),
        ({"status": 599}, {}, {"code": "error", "message": "Unknown"}),
    ],
)
@pytest.mark.asyncio
async def test_scripted_errors(answer: dict[str, Any], headers: dict[str, str], error: dict[str, Any]) -> None:
    async with talk(make()) as http:
        assert (await http.post("/_answers", json=[answer])).json() == {"scripted": 1}
        response, after = await purge(http), await purge(http)
    assert (response.status_code, after.status_code) == (answer["status"], 200)
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers.items() >= headers.items()
    assert headers or not {"retry-after", "x-ratelimit-reset", "x-ratelimit-remaining"} & set(response.headers)
    assert response.json()["error"].items() >= error.items()
    assert ("invalidToken" in response.json()["error"]) == ("invalidToken" in error)


@pytest.mark.parametrize(
    ("answer", "content_type", "body", "location"),
    [
        ({"status": 200, "remaining": 0, "reset": 5}, None, "", None),
        ({"status": 202}, None, "", None),
        ({"status": 204}, None, "", None),
        ({"status": 301}, None, "", "/elsewhere"),
        ({"status": 302, "location": "http://x.example/"}, None, "", "http://x.example/"),
        ({"status": 503}, "text/html; charset=utf-8", "<h1>Service Unavailable</h1>", None),
        ({"status": 500, "body": "empty"}, None, "", None),
    ],
)
@pytest.mark.asyncio
async def test_scripted_answers_without_json(
    answer: dict[str, Any], content_type: str | None, body: str, location: str | None
) -> None:
    async with talk(make()) as http:
        await http.post("/_answers", json=[answer])
        response = await purge(http)
    assert response.status_code == answer["status"]
    assert response.headers.get("content-type") == content_type
    assert body in response.text if body else not response.text
    assert response.headers.get("location") == location


@pytest.mark.parametrize(
    "script",
    [
        b"",
        b"{}",
        b'[{"body": "html"}]',
        b'[{"status": 99}]',
        b'[{"status": 600}]',
        b'[{"status": "explode"}]',
        b'[{"status": 429, "times": 0}]',
        b'[{"status": 429, "body": "nonsense"}]',
        b'[{"status": 429, "retryAfter": "1"}]',
        b'[{"status": 429}, 5]',
    ],
)
@pytest.mark.asyncio
async def test_a_script_with_a_mistake_is_refused_whole(script: bytes) -> None:
    async with talk(make()) as http:
        refused = await http.post("/_answers", content=script)
        after = await purge(http)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_request")
    assert after.status_code == 200


@pytest.mark.asyncio
async def test_answers_are_given_to_the_calls_they_fit() -> None:
    fake = make()
    fake.script(
        Answer(status=400, match="bad", times=None),
        Answer(status=404, project="a/b"),
        Answer(status=429, times=2),
        Answer(status=500),
    )
    async with talk(fake) as http:
        got = [
            (await purge(http, "/a.png", "/bad.png")).status_code,
            (await purge(http)).status_code,
            (await purge(http, path=DELETE + "?projectIdOrName=a%2Fb")).status_code,
            (await purge(http, "/very-bad.png")).status_code,
            (await purge(http)).status_code,
            (await purge(http)).status_code,
            (await purge(http)).status_code,
            (await purge(http, "/bad.png")).status_code,
        ]
        assert (await http.delete("/_answers")).status_code == 204
        got.append((await purge(http, "/bad.png")).status_code)
    assert got == [400, 429, 404, 400, 429, 500, 200, 400, 200]
