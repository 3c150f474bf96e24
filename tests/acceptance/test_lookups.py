"""Webhooks with an id alone: the real process asks a CMS's API for the URLs, and purges them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import RedirectResponse
from support.fake_cms import FakeCms
from support.loopback import serve
from support.process import Process, eventually, relay, running, write_config

from service.testing.fake_vercel import FakeVercel, create_fake_vercel

pytestmark = pytest.mark.e2e

SECRET = "fake-storyblok-secret-0123456789"
CMS_TOKEN = "fake-management-token-0123456789"
PICTURE = "https://a.storyblok.com/f/606/1600x900/abc/hero.jpg"


@pytest.fixture
def vercel() -> Iterator[tuple[FakeVercel, str]]:
    fake = FakeVercel()
    with serve(create_fake_vercel(fake)) as url:
        yield fake, url


@pytest.fixture
def cms() -> Iterator[tuple[FakeCms, str]]:
    fake = FakeCms()
    with serve(fake.app()) as url:
        yield fake, url


def configure(folder: Path, vercel: str, cms: str, more: str = "") -> None:
    sources = f"""\
cms:
  provider: storyblok
  secrets: [{SECRET}]
  settle: 0
  projects: [shop]
  resolve:
    url: "{cms}/v1/spaces/{{{{ payload.space_id }}}}/assets/{{{{ asset.id }}}}"
    headers: {{Authorization: {CMS_TOKEN}}}
"""
    write_config(folder, vercel, sources=sources, more=more)


def post(process: Process, asset: int, action: str = "replaced") -> dict[str, Any]:
    body = json.dumps({"text": "…", "action": action, "space_id": 606, "asset_id": asset}).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()
    headers = {"webhook-signature": signature, "content-type": "application/json"}
    answer = httpx.post(f"{process.address}/hooks/cms", content=body, headers=headers, timeout=20)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def purged(fake: FakeVercel) -> set[str]:
    return {image for call in fake.calls if call["status"] == 200 for image in call["body"]["srcImages"]}


def receipt(folder: Path, receipt_id: str) -> dict[str, Any]:
    with running("receipts", "show", "--json", receipt_id, cwd=folder) as process:
        assert process.wait() == 0, process.output
        document: dict[str, Any] = json.loads(process.output)
        return document


def test_an_id_becomes_a_purge(tmp_path: Path, vercel: tuple[FakeVercel, str], cms: tuple[FakeCms, str]) -> None:
    (fake, url), (api, address) = vercel, cms
    configure(tmp_path, url, address)
    api.script("/v1/spaces/606/assets/44202", 500, PICTURE)
    with relay(tmp_path) as process:
        told = post(process, 44202)
        assert told["status"] == "accepted"
        eventually(lambda: purged(fake) == {PICTURE})
        assert api.paths == ["/v1/spaces/606/assets/44202"] * 2
        assert {headers["authorization"] for _, headers in api.asked} == {CMS_TOKEN}
        stored = receipt(tmp_path, told["receipt"])
        assert (stored["status"], stored["reason"]) == ("accepted", None)
        assert [(one["state"], one["attempts"]) for one in stored["lookups"]] == [("done", 2)]
        assert [one["src_image"] for one in stored["purges"]] == [PICTURE]
        assert [entry["event"]["urls"] for entry in stored["trace"]] == [[], [PICTURE]]
        # From now on the URL is remembered: a deletion needs no API that knows the asset no more.
        api.script("/v1/spaces/606/assets/44202", 404)
        post(process, 44202, "deleted")
        eventually(lambda: len(fake.calls) == 2)
        assert len(api.asked) == 2
        log = process.output
    assert [json.loads(line)["outcome"] for line in log.splitlines() if '"lookup.' in line] == ["retry", "found"]
    assert CMS_TOKEN not in log
    assert CMS_TOKEN.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("relay.db*"))


def test_what_is_missing_is_said_and_a_redirect_is_not_followed(
    tmp_path: Path, vercel: tuple[FakeVercel, str], cms: tuple[FakeCms, str]
) -> None:
    (fake, url), (api, address) = vercel, cms
    elsewhere = FakeCms()
    with serve(elsewhere.app()) as other:
        configure(tmp_path, url, address)
        api.script("/v1/spaces/606/assets/2", RedirectResponse(f"{other}/v1/spaces/606/assets/2"))
        with relay(tmp_path) as process:
            gone, moved = post(process, 1)["receipt"], post(process, 2)["receipt"]

            def reason(receipt_id: str) -> str:
                return str(receipt(tmp_path, receipt_id)["reason"])

            eventually(lambda: reason(gone) == "lookup of 1: 404 Not Found")
            eventually(lambda: reason(moved).startswith("lookup of 2: 307 Temporary Redirect; redirects are never"))
            # Once it is mended: a replay asks again.
            api.script("/v1/spaces/606/assets/2", PICTURE)
            with running("receipts", "replay", moved, cwd=tmp_path) as command:
                assert command.wait() == 0
                assert "accepted, 0 purges (waiting for a lookup)" in command.output
            eventually(lambda: purged(fake) == {PICTURE})
            assert receipt(tmp_path, gone)["status"] == "unmatched"
            assert receipt(tmp_path, moved)["status"] == "accepted"
    assert elsewhere.asked == []


def test_refused_secrets_are_told_and_lose_nothing(
    tmp_path: Path, vercel: tuple[FakeVercel, str], cms: tuple[FakeCms, str]
) -> None:
    (fake, url), (api, address) = vercel, cms
    configure(tmp_path, url, address, "dispatch: {probe_every: 1}\n")
    api.script("/v1/spaces/606/assets/1", 401, 401, PICTURE)
    with relay(tmp_path) as process:
        post(process, 1)

        def warnings() -> list[str]:
            document = httpx.get(f"{process.address}/readyz").json()
            return list(document["warnings"])

        eventually(lambda: warnings() == ["source cms: 1 of its lookups fail for now: 401 Unauthorized"])
        eventually(lambda: purged(fake) == {PICTURE})
        assert warnings() == []
        assert len([line for line in process.lines if '"lookup.held"' in line]) == 1


def test_sigkill_between_the_answer_and_the_request_loses_nothing(
    tmp_path: Path, vercel: tuple[FakeVercel, str], cms: tuple[FakeCms, str]
) -> None:
    (fake, url), (api, address) = vercel, cms
    configure(tmp_path, url, address)
    wanted = {f"https://a.storyblok.com/f/606/{number}.jpg" for number in range(60)}
    for number in range(60):
        api.script(f"/v1/spaces/606/assets/{number}", f"https://a.storyblok.com/f/606/{number}.jpg")
    for start in range(0, 60, 20):
        with relay(tmp_path) as process:
            for number in range(start, start + 20):
                post(process, number)
            process.signal(signal.SIGKILL)
            process.wait()
    with relay(tmp_path):
        eventually(lambda: purged(fake) == wanted)
    with closing(sqlite3.connect(tmp_path / "relay.db")) as store:
        assert store.execute("SELECT DISTINCT state FROM lookups").fetchall() == [("done",)]


def test_explain_shows_the_request(tmp_path: Path) -> None:
    configure(tmp_path, "http://127.0.0.1:9", "http://127.0.0.1:9")
    (tmp_path / "event.json").write_text(json.dumps({"action": "replaced", "space_id": 606, "asset_id": 1}))
    with running("explain", "event.json", cwd=tmp_path) as process:
        assert process.wait() == 0
        assert "GET http://127.0.0.1:9/v1/spaces/606/assets/1" in process.output
        assert "waiting for a lookup" in process.output
    with running("explain", "--json", "event.json", cwd=tmp_path) as process:
        process.wait()
        (lookup,) = json.loads(process.output)["lookups"]
    assert lookup == {
        "event": 1,
        "method": "GET",
        "url": "http://127.0.0.1:9/v1/spaces/606/assets/1",
        "headers": ["accept", "authorization"],
        "secret_query": [],
    }
    assert base64.b64encode(CMS_TOKEN.encode()).decode() not in json.dumps(lookup)
