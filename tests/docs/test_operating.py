"""Operating, migrating and the questions: what the pages say to run, on a relay that runs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.pages import ROOT, files, joined
from docs.prepared import Shell
from support.buckets import free_port
from support.commands import VAULT_KEY
from support.loopback import serve

from service.testing.fake_vercel import FakeVercel, create_fake_vercel

DEPLOY = ROOT / "deploy"
TOKEN = "vcp_fakefakefake0123456789"
OTHER_TOKEN = "vcp_otherfakeother0123456789"

STOP = "kill $SERVES; wait $SERVES\n"
START = "image-relay serve & SERVES=$!\nimage-relay ping --wait 10\n"


@pytest.fixture
def vercel() -> Iterator[tuple[FakeVercel, str]]:
    fake = FakeVercel(tokens=[TOKEN, OTHER_TOKEN])
    with serve(create_fake_vercel(fake)) as url:
        yield fake, url


def test_a_year_of_operating(prepared: Shell, tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    page = DEPLOY / "OPERATING.md"
    fake, url = vercel
    environ = {
        "RELAY_VERCEL_API": url,
        "RELAY_PORT": str(free_port()),
        "RELAY_VAULT_KEY": VAULT_KEY,
        "NEW_VERCEL_TOKEN": OTHER_TOKEN,
        "CONTENTFUL_SECRET": "fake" * 16,
    }
    (tmp_path / "relay.yaml").write_text(
        'vault: {keys: ["${RELAY_VAULT_KEY}"]}\n'
        "projects: {shop: {project: my-shop}}\n"
        'sources: {cms: {provider: contentful, secrets: ["${CONTENTFUL_SECRET}"], settle: 0}}\n'
    )
    steps = [f"printf %s {TOKEN} | image-relay tokens set shop\n", START]
    steps += ["image-relay send --event publish\n", *(joined(page, f"tested: {name}") for name in ("health", "backup"))]
    steps += ["image-relay send --event publish\n", joined(page, "tested: assets"), joined(page, "tested: hold"), STOP]
    steps += [joined(page, "tested: restore"), "stat -c 'the store is %a' relay.db\n"]
    steps += ["image-relay receipts list --json | grep -c '\"id\"'\n", START, joined(page, "tested: token"), STOP]
    steps += [joined(page, "tested: vault"), joined(page, "tested: drain"), "echo drained\n"]
    steps += ["unset RELAY_VAULT_KEYS\nimage-relay doctor --offline || echo the old key cannot\n"]
    said, _, with_the_old_key = prepared.run(tmp_path, "".join(steps), environ).partition("drained\n")
    assert "relaunch until noon" in said
    assert "https://images.ctfassets.net/space/hero/1a2b/hero.jpg" in said
    assert "the store is 600\n1\n" in said, "the backup has one receipt of the two"
    assert "1 stored tokens can be read" in said
    assert "PROBLEM" not in said
    assert "PROBLEM  vault" in with_the_old_key
    assert with_the_old_key.endswith("the old key cannot\n")
    assert [call["status"] for call in fake.calls if call["body"]][:1] == [200]


def test_from_a_handler_to_the_relay(prepared: Shell, tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    page = DEPLOY / "MIGRATING.md"
    fake, url = vercel
    for name, text in files(page).items():
        (tmp_path / name).write_text(text)
    environ = {"VERCEL_TOKEN": TOKEN, "WEBHOOK_SECRET": "fake-webhook-secret-0123456789"}
    explained = prepared.run(tmp_path, joined(page, "tested: compare"), environ)
    assert joined(page, "said") in explained
    environ |= {"RELAY_VERCEL_API": url, "RELAY_PORT": str(free_port())}
    waiting = 'until [ "$(image-relay purges list --state done --json)" != "[]" ]; do sleep 0.1; done\n'
    said = prepared.run(tmp_path, joined(page, "tested: both") + waiting, environ)
    assert "https://img.example.com/p1.jpg?v=2" in said
    (call,) = [one for one in fake.calls if one["body"]]
    assert call["path"].endswith("/invalidate-by-src-images")
    assert call["body"] == {"srcImages": ["https://img.example.com/p1.jpg?v=2", "https://img.example.com/p1.jpg"]}


def test_the_handler_is_javascript(tmp_path: Path) -> None:
    handler = tmp_path / "route.mjs"
    handler.write_text(joined(DEPLOY / "MIGRATING.md", "tested: handler"))
    done = subprocess.run(["node", "--check", handler], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_webhook_signed_by_a_shell(prepared: Shell, tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    page = DEPLOY / "FAQ.md"
    port = str(free_port())
    (tmp_path / "relay.yaml").write_text(files(page)["relay.yaml"])
    text = joined(page, "tested: own")
    assert "127.0.0.1:8080" in text
    environ = {"VERCEL_TOKEN": TOKEN, "RELAY_VERCEL_API": vercel[1], "RELAY_PORT": port}
    said = prepared.run(tmp_path, text.replace("127.0.0.1:8080", f"127.0.0.1:{port}"), environ)
    assert '"status":"accepted"' in said
