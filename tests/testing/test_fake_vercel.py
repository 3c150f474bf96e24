from __future__ import annotations

import json
from typing import Any

import pytest
from support.fake_calls import DELETE, INVALIDATE, JSON, QUERY, TOKEN, images, make, purge, talk

from service.domain.secret import Secret
from service.testing.fake_answers import Answer
from service.testing.fake_vercel import MAX_BODY_BYTES, FakeVercel

FORBIDDEN = {"code": "forbidden", "message": "Not authorized"}


@pytest.mark.parametrize(
    ("path", "document"),
    [
        (DELETE, images(1)),
        (DELETE, images(8)),
        (DELETE, images(1) | {"revalidationDeadlineSeconds": 0}),
        (DELETE, images(1) | {"revalidationDeadlineSeconds": 31_536_000}),
        (DELETE, images(1) | {"revalidationDeadlineSeconds": 60.0}),
        (INVALIDATE, images(8)),
        (INVALIDATE, {"srcImages": ["/" + "ü" * 506]}),
    ],
)
@pytest.mark.asyncio
async def test_a_good_purge_is_answered_200_and_nothing(path: str, document: dict[str, Any]) -> None:
    fake = make()
    async with talk(fake) as http:
        response = await http.post(path + QUERY, json=document)
    assert (response.status_code, response.content) == (200, b"")
    assert "content-type" not in response.headers
    assert [call["status"] for call in fake.calls] == [200]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        (DELETE, b"", "JSON object"),
        (DELETE, b"[]", "JSON object"),
        (DELETE, b"{", "JSON object"),
        (DELETE, b"\xff{}", "JSON object"),
        (DELETE, b"[" * 100_000, "JSON object"),
        (DELETE, b'{"srcImages": ["/a"], "revalidationDeadlineSeconds": NaN}', "JSON object"),
        (DELETE, b'{"srcImages": ["/a"], "revalidationDeadlineSeconds": 1e999}', "JSON object"),
        (DELETE, b"{}", "missing required property `srcImages`"),
        (DELETE, images(1) | {"target": "production"}, "additional property `target`"),
        (
            INVALIDATE,
            images(1) | {"revalidationDeadlineSeconds": 0},
            "additional property `revalidationDeadlineSeconds`",
        ),
        (DELETE, images(0), "1 to 8 items"),
        (DELETE, images(9), "1 to 8 items"),
        (DELETE, {"srcImages": "/a.png"}, "1 to 8 items"),
        (DELETE, {"srcImages": ["/a.png", 1]}, "should be strings"),
        (DELETE, {"srcImages": ["/" + "x" * 1013]}, "longer than 1013 bytes"),
        (DELETE, {"srcImages": ["/" + "ü" * 507]}, "longer than 1013 bytes"),
        (DELETE, images(1) | {"revalidationDeadlineSeconds": -1}, "integer from 0"),
        (DELETE, images(1) | {"revalidationDeadlineSeconds": 31_536_001}, "integer from 0"),
        (DELETE, images(1) | {"revalidationDeadlineSeconds": 1.5}, "integer from 0"),
        (DELETE, images(1) | {"revalidationDeadlineSeconds": True}, "integer from 0"),
        (DELETE, images(1) | {"revalidationDeadlineSeconds": "60"}, "integer from 0"),
        (DELETE, images(1) | {"revalidationDeadlineSeconds": None}, "integer from 0"),
    ],
)
@pytest.mark.asyncio
async def test_a_body_outside_the_schema_is_400(path: str, body: bytes | dict[str, Any], words: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with talk(make()) as http:
        response = await http.post(path + QUERY, content=content, headers=JSON)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.json()["error"]["code"] == "bad_request"
    assert words in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "error"),
    [
        ("GET", DELETE + QUERY, {}, 405, {"code": "method_unknown", "message": "This endpoint only responds to POST"}),
        ("PUT", DELETE + QUERY, {}, 405, {"code": "method_unknown", "message": "This endpoint only responds to POST"}),
        ("POST", "/v2/user", {}, 405, {"code": "method_unknown", "message": "This endpoint only responds to GET"}),
        ("POST", DELETE + QUERY, {"authorization": ""}, 403, FORBIDDEN | {"missingToken": True}),
        ("POST", DELETE + QUERY, {"authorization": "Bearer "}, 403, FORBIDDEN | {"missingToken": True}),
        ("POST", DELETE + QUERY, {"authorization": f"Basic {TOKEN}"}, 403, FORBIDDEN | {"missingToken": True}),
        ("POST", DELETE + QUERY, {"authorization": "Bearer unknown"}, 403, FORBIDDEN | {"invalidToken": True}),
        ("GET", "/v2/user", {"authorization": "Bearer unknown"}, 403, FORBIDDEN | {"invalidToken": True}),
        ("POST", DELETE, {}, 400, {"code": "bad_request"}),
        ("POST", DELETE + "?projectIdOrName=", {}, 400, {"code": "bad_request"}),
        ("POST", DELETE + QUERY, {"content-type": "text/plain"}, 400, {"code": "bad_request"}),
        ("POST", DELETE + "?projectIdOrName=nope", {}, 404, {"code": "not_found"}),
        ("GET", "/v9/projects/nope", {}, 404, {"code": "not_found"}),
        ("POST", "/v1/edge-cache/invalidate-by-tags" + QUERY, {}, 404, {"code": "not_found"}),
        ("GET", "/", {}, 404, {"code": "not_found"}),
    ],
)
@pytest.mark.asyncio
async def test_a_call_that_is_refused(
    method: str, path: str, headers: dict[str, str], status: int, error: dict[str, Any]
) -> None:
    fake = make(answers=[Answer(status=500)])
    async with talk(fake) as http:
        content = json.dumps(images(1))
        response = await http.request(method, path, content=content, headers=JSON | headers)
        scripted = await purge(http)
    assert response.status_code == status
    assert response.json()["error"].items() >= error.items()
    assert [call["status"] for call in fake.calls] == [status, 500], "a refused call uses up no scripted answer"
    assert scripted.status_code == 500


@pytest.mark.parametrize(
    ("path", "part"),
    [
        (
            "/v2/user",
            {"user": {"id": "user_fake", "email": "fake@example.invalid", "username": "fake", "name": "Fake"}},
        ),
        ("/teams/team_1", {"id": "team_1", "slug": "team_1", "name": "team_1"}),
        ("/v9/projects/my-shop?teamId=team_1", {"id": "my-shop", "name": "my-shop", "accountId": "team_1"}),
        ("/v9/projects/a%2Fb?slug=acme", {"id": "a/b", "name": "a/b", "accountId": "acme"}),
        ("/v9/projects/my-shop", {"id": "my-shop", "name": "my-shop", "accountId": "user_fake"}),
    ],
)
@pytest.mark.asyncio
async def test_what_the_command_line_looks_up(path: str, part: dict[str, Any]) -> None:
    async with talk(make()) as http:
        response = await http.get(path)
    assert (response.status_code, response.json()) == (200, part)


@pytest.mark.asyncio
async def test_knowing_nothing_it_takes_any_token_and_project() -> None:
    async with talk(FakeVercel(max_src_image_bytes=8)) as http:
        accepted = await purge(http, "/1234567", path=DELETE + "?projectIdOrName=any")
        refused = await purge(http, "/12345678", path=DELETE + "?projectIdOrName=any")
    assert (accepted.status_code, refused.status_code) == (200, 400)


@pytest.mark.asyncio
async def test_what_was_asked_is_kept() -> None:
    path = "/v9/projects/a%2Fb"
    async with talk(make()) as http:
        await http.post(DELETE + QUERY + "&slug=my%20team", json={"srcImages": ["/ä b.png"]})
        await http.get(path, headers={"authorization": ""})
        await http.post(DELETE + QUERY, content=b'\xff{"srcImages": ["\\ud800"]}')
        await http.post(DELETE + QUERY, content=b'{"srcImages": ["\\ud800"]}', headers=JSON)
        answer = await http.get("/_calls")
        assert (await http.delete("/_calls")).status_code == 204
        assert (await http.get("/_calls")).json() == {"calls": []}
    assert TOKEN not in answer.text
    first, second, third, fourth = answer.json()["calls"]
    assert first == {
        "at": "2026-11-24T12:00:00.000Z",
        "method": "POST",
        "path": DELETE,
        "query": {"projectIdOrName": "my-shop", "slug": "my team"},
        "raw_query": "projectIdOrName=my-shop&slug=my%20team",
        "authorization_fingerprint": Secret(TOKEN).fingerprint(),
        "body": {"srcImages": ["/ä b.png"]},
        "raw_body": '{"srcImages":["/ä b.png"]}',
        "status": 200,
    }
    assert (second["path"], second["authorization_fingerprint"], second["body"]) == (path, None, None)
    assert (third["body"], third["raw_body"][0], third["status"]) == (None, "\ufffd", 400)
    assert (fourth["body"], fourth["status"]) == ({"srcImages": ["\ud800"]}, 200)


@pytest.mark.asyncio
async def test_a_body_beyond_all_measure_is_cut_off() -> None:
    async with talk(make()) as http:
        response = await http.post(DELETE + QUERY, content=b"x" * (MAX_BODY_BYTES + 1))
    assert response.status_code == 413


@pytest.mark.asyncio
async def test_a_reset_without_a_server_raises_in_the_caller() -> None:
    async with talk(make(answers=[Answer(status="reset")])) as http:
        with pytest.raises(ConnectionResetError):
            await purge(http)
