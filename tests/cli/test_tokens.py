"""`tokens`: stored encrypted, never shown, and asked about at Vercel."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support.commands import CONFIG, OTHER_KEY, TOKEN, VAULT_KEY, Relay
from support.loopback import serve

from service.cli.secret_input import read_secret
from service.domain.secret import Secret
from service.domain.tokens import StoredToken
from service.store.tokens import Tokens
from service.testing.fake_vercel import FakeVercel, create_fake_vercel
from service.vault import Vault

BLOG_TOKEN = "vcp_blogblogblog0123456789"
FINGERPRINT = Secret(BLOG_TOKEN).fingerprint()


def stored(relay: Relay) -> list[StoredToken]:
    return list(relay.store(lambda engine: Tokens(engine).list()))


def opened(relay: Relay, *keys: str) -> list[str]:
    vault = Vault([Secret(key) for key in keys or (VAULT_KEY,)])
    return [vault.decrypt(token.ciphertext).reveal() for token in stored(relay)]


@pytest.mark.parametrize("stdin", [BLOG_TOKEN, f"{BLOG_TOKEN}\n", f"{BLOG_TOKEN}\r\n"])
@pytest.mark.parametrize("arguments", [["blog"], ["blog", "-"], ["blog", "--file", "-"]], ids=" ".join)
def test_set_from_standard_input(relay: Relay, arguments: list[str], stdin: str) -> None:
    done = relay.run("tokens", "set", *arguments, stdin=stdin)
    assert (done.code, done.out, done.err) == (0, f"stored the token of project blog, fingerprint {FINGERPRINT}\n", "")
    assert opened(relay) == [BLOG_TOKEN]
    for file in relay.folder.iterdir():
        assert BLOG_TOKEN.encode() not in file.read_bytes()


def test_set_from_a_file(relay: Relay) -> None:
    (relay.folder / "token").write_text(f"{BLOG_TOKEN}\n")
    assert relay.run("tokens", "set", "blog", "--file", "token").code == 0
    assert opened(relay) == [BLOG_TOKEN]
    assert "missing cannot be read" in relay.fails("tokens", "set", "blog", "--file", "missing")


def test_set_from_a_hidden_prompt(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []

    def prompt(text: str, *, hide_input: bool) -> str:
        asked.append((text, hide_input))
        return BLOG_TOKEN

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(click, "prompt", prompt)
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert read_secret("Vercel token", None, stdin=False) == Secret(BLOG_TOKEN)
    assert asked == [("Vercel token", True)]


def test_set_for_a_team(relay: Relay) -> None:
    for arguments in (["--team", "team_1a2b3c"], ["--team", "team_1a2b3c", "-"]):
        assert relay.run("tokens", "set", *arguments, stdin=BLOG_TOKEN).code == 0
    [entry] = relay.run("tokens", "list", "--json").json
    assert (entry["scope"], entry["name"], entry["used_by"]) == ("team", "team_1a2b3c", ["blog"])


def test_set_replaces(relay: Relay) -> None:
    for token in ("vcp_one", "vcp_two"):
        assert relay.run("tokens", "set", "blog", stdin=token).code == 0
    assert opened(relay) == ["vcp_two"]


def test_a_token_in_the_file_goes_first_and_that_is_said(relay: Relay) -> None:
    done = relay.run("tokens", "set", "shop", stdin=BLOG_TOKEN)
    assert done.code == 0
    assert "projects.shop.token in the configuration still goes first" in done.err
    assert relay.run("tokens", "list", "--json").json[0]["used_by"] == []
    assert "no project" in relay.run("tokens", "list").out


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "message"),
    [
        (["blg"], BLOG_TOKEN, 1, "there is no project 'blg', did you mean 'blog'?"),
        (["xyzzy"], BLOG_TOKEN, 1, "there is no project 'xyzzy' (there is: shop, blog)"),
        (
            ["--team", "team_1a2b3d"],
            BLOG_TOKEN,
            1,
            "no project is of the team 'team_1a2b3d', did you mean 'team_1a2b3c'?",
        ),
        (["--team", "xyzzy"], BLOG_TOKEN, 1, "no project is of the team 'xyzzy' (there is: team_1a2b3c)"),
        ([], BLOG_TOKEN, 2, "give a project's name, or --team"),
        (["blog", "--team", "team_1a2b3c"], BLOG_TOKEN, 2, "give a project's name, or --team"),
        (["blog"], "", 1, "there is no Vercel token on standard input"),
        (["blog"], "\n", 1, "there is no Vercel token on standard input"),
        (["blog"], '"quoted"', 1, "characters no bearer token has"),
        (["blog"], "two\nlines", 1, "characters no bearer token has"),
        (["blog"], b"\xff\xfe", 1, "standard input is not UTF-8 text"),
        (["blog"], "x" * 70_000, 1, "standard input is larger than 64 KiB"),
    ],
)
def test_what_is_not_stored(relay: Relay, arguments: list[str], stdin: str | bytes, code: int, message: str) -> None:
    assert message in relay.fails("tokens", "set", *arguments, code=code, stdin=stdin)
    assert not (relay.folder / "relay.db").exists()


def test_a_token_as_argument_is_refused_and_not_repeated(relay: Relay) -> None:
    message = relay.fails("tokens", "set", "blog", BLOG_TOKEN, code=2)
    assert "prompt, stdin or --file" in message
    assert BLOG_TOKEN not in message


def test_without_a_vault_key_it_names_the_command_that_makes_one(relay: Relay) -> None:
    relay.write(CONFIG.replace(f"vault: {{keys: [{VAULT_KEY}]}}\n", ""))
    message = relay.fails("tokens", "set", "blog", stdin=BLOG_TOKEN)
    assert "Fernet.generate_key()" in message
    relay.run("db", "upgrade")
    assert "Fernet.generate_key()" in relay.fails("tokens", "rotate-keys")
    assert relay.run("tokens", "set", "blog", stdin=BLOG_TOKEN, environ={"RELAY_VAULT_KEYS": VAULT_KEY}).code == 0


def test_list(relay: Relay) -> None:
    relay.run("tokens", "set", "blog", stdin=BLOG_TOKEN)
    relay.run("tokens", "set", "--team", "team_1a2b3c", stdin="vcp_team")
    done = relay.run("tokens", "list")
    head, own, team = done.out.splitlines()
    assert head.split() == ["SCOPE", "NAME", "FINGERPRINT", "UPDATED", "USED", "BY"]
    assert own.split()[:3] == ["project", "blog", FINGERPRINT]
    assert own.split()[-1] == "blog"
    assert team.endswith("no project")  # the project's own token goes before its team's
    assert BLOG_TOKEN not in done.out
    relay.write(CONFIG.replace("blog:", "news:"))
    assert [entry["used_by"] for entry in relay.run("tokens", "list", "--json").json] == [[], ["news"]]


def test_remove(relay: Relay) -> None:
    relay.run("tokens", "set", "blog", stdin=BLOG_TOKEN)
    relay.run("tokens", "set", "--team", "team_1a2b3c", stdin=BLOG_TOKEN)
    assert relay.fails("tokens", "remove", "blg") == "no token is stored for project 'blg', did you mean 'blog'?"
    assert relay.run("tokens", "remove", "blog").out.startswith("removed the token of project blog")
    assert relay.run("tokens", "remove", "--team", "team_1a2b3c").code == 0
    done = relay.run("tokens", "list")
    assert (done.out, done.err) == ("", "No token is stored.\n")
    for wrong in ([], ["a", "b"], ["blog", "--team", "x"]):
        assert "give a project's name, or --team" in relay.fails("tokens", "remove", *wrong, code=2)


def test_rotate_keys(relay: Relay) -> None:
    relay.run("tokens", "set", "blog", stdin=BLOG_TOKEN)
    relay.run("tokens", "set", "--team", "team_1a2b3c", stdin="vcp_team")
    relay.write(CONFIG.replace(f"[{VAULT_KEY}]", f"[{OTHER_KEY}, {VAULT_KEY}]"))
    assert relay.run("tokens", "rotate-keys").out.startswith("2 tokens encrypted with the first key")
    assert opened(relay, OTHER_KEY) == [BLOG_TOKEN, "vcp_team"]
    before = [token.fingerprint for token in stored(relay)]
    assert before[0] == FINGERPRINT


def test_rotate_keys_is_all_or_nothing(relay: Relay) -> None:
    relay.run("tokens", "set", "blog", stdin=BLOG_TOKEN)
    relay.write(CONFIG.replace(VAULT_KEY, OTHER_KEY))
    relay.run("tokens", "set", "--team", "team_1a2b3c", stdin="vcp_team")
    before = stored(relay)
    assert "no key in vault.keys opens this token" in relay.fails("tokens", "rotate-keys")
    assert stored(relay) == before


@pytest.fixture
def vercel(relay: Relay) -> Iterator[FakeVercel]:
    fake = FakeVercel(tokens=[TOKEN, BLOG_TOKEN], projects=["my-shop", "my-blog"])
    with serve(create_fake_vercel(fake)) as url:
        relay.write(api=url)
        yield fake


def test_check_asks_vercel_and_changes_nothing(relay: Relay, vercel: FakeVercel) -> None:
    done = relay.run("tokens", "check", "shop")
    assert done.code == 0
    assert done.out == f"shop: Vercel lets the token {Secret(TOKEN).fingerprint()} see my-shop\n"
    assert [(call["method"], call["path"]) for call in vercel.calls] == [("GET", "/v9/projects/my-shop")]
    assert not (relay.folder / "relay.db").exists()


def test_check_of_every_project(relay: Relay, vercel: FakeVercel) -> None:
    done = relay.run("tokens", "check")
    assert done.code == 1
    assert done.out.startswith("shop: Vercel lets")
    assert "`image-relay tokens set blog`" in done.err
    relay.run("tokens", "set", "--team", "team_1a2b3c", stdin=BLOG_TOKEN)
    assert relay.run("tokens", "check").code == 0
    assert vercel.calls[-1]["query"] == {"teamId": "team_1a2b3c"}
    documents = relay.run("tokens", "check", "--json").json
    assert [(one["project"], one["fine"], one["status"]) for one in documents] == [
        ("shop", True, 200),
        ("blog", True, 200),
    ]


@pytest.mark.parametrize(
    ("token", "message"),
    [("vcp_unknown", "403 Forbidden: Not authorized; Vercel does not know this token"), (BLOG_TOKEN, "")],
)
def test_check_explains_what_vercel_says(relay: Relay, vercel: FakeVercel, token: str, message: str) -> None:
    relay.run("tokens", "set", "blog", stdin=token)
    done = relay.run("tokens", "check", "blog", "--json")
    assert done.json[0]["fine"] is (token == BLOG_TOKEN)
    assert done.code == (0 if token == BLOG_TOKEN else 1)
    assert message in done.json[0]["message"]
    assert token not in done.out + done.err


def test_check_of_a_project_vercel_does_not_have(relay: Relay, vercel: FakeVercel) -> None:
    relay.config.write_text(relay.config.read_text().replace("project: my-shop", "project: my-shp"))
    assert "project or team unknown to this token" in relay.fails("tokens", "check", "shop")
    assert relay.fails("tokens", "check", "shp") == "there is no project 'shp', did you mean 'shop'?"


def test_check_without_an_answer(relay: Relay, tmp_path: Path) -> None:
    relay.write(api="http://127.0.0.1:9")
    assert "shop: " in relay.fails("tokens", "check", "shop")


def test_check_with_a_key_that_opens_nothing(relay: Relay, vercel: FakeVercel) -> None:
    relay.run("tokens", "set", "blog", stdin=BLOG_TOKEN)
    relay.config.write_text(relay.config.read_text().replace(VAULT_KEY, OTHER_KEY))
    assert "no key in vault.keys opens this token" in relay.fails("tokens", "check", "blog")
