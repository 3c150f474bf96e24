"""What deploy/SECURITY.md says of its attackers, where no test of a part alone can show it: the real process."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from support.loopback import serve
from support.process import SECRET_BASE64, Process, eventually, relay, running, write_config
from support.webhooks import replaced, signed

from service.providers.credentials import make_capability
from service.testing.fake_vercel import FakeVercel, create_fake_vercel

pytestmark = pytest.mark.e2e

VAULT_KEY = "ZmFrZS10aHJlYXRzLXZhdWx0LWtleS1mYWtlLWtleTA="
SECRETS = {
    "the signing key": f"whsec_{SECRET_BASE64}",
    "the key of the URL": "fake-threats-capability-0123456789",
    "the key of another URL": "fake-threats-another-0123456789",
    "the password": "fake-threats-password-0123456789",
    "the query's code": "fake-threats-code-0123456789",
    "the header's value": "fake-threats-header-0123456789",
    "the API token": "fake-threats-api-token-0123456789",
    "the token in the file": "vcp_fakethreatsfile0123456789",
    "the stored token": "vcp_fakethreatsstored0123456789",
    "the vault's key": VAULT_KEY,
}

SOURCES = """\
hook: {{provider: standard-webhooks, secrets: ["{the signing key}"], settle: 0, projects: [shop]}}
gate: {{provider: plain, auth: {{capability: true}}, secrets: ["{the key of the URL}"], settle: 0, projects: [shop],
  quota: 30/hour}}
gate2: {{provider: plain, auth: {{capability: true}}, secrets: ["{the key of another URL}"], settle: 0,
  projects: [blog]}}
basic: {{provider: plain, auth: {{basic: cms}}, secrets: ["{the password}"], projects: [blog]}}
query: {{provider: plain, auth: {{query: code}}, secrets: ["{the query's code}"], projects: [blog]}}
header: {{provider: plain, auth: {{header: x-relay-key}}, secrets: ["{the header's value}"], projects: [blog]}}
ids:
  provider: standard-webhooks
  secrets: ["{the signing key}"]
  projects: [blog]
  resolve:
    url: "http://localhost:9/{{{{ asset.id }}}}"
    headers: {{Authorization: "Bearer {the API token}"}}
"""


@dataclass(frozen=True, slots=True)
class Attacked:
    """The relay, the Vercel beyond it, and its folder."""

    process: Process
    fake: FakeVercel
    folder: Path
    http: httpx.Client

    def post(self, path: str, body: bytes, **headers: str) -> int:
        return self.http.post(path, content=body, headers=headers).status_code

    def url(self, source: str) -> str:
        """As `image-relay url` prints it."""
        keys = {"gate": "the key of the URL", "gate2": "the key of another URL"}
        return f"/hooks/{source}/{make_capability(source, [SECRETS[keys[source]]])}"

    def purged(self, project: str) -> list[str]:
        calls = [call for call in self.fake.calls if call["query"]["projectIdOrName"] == project]
        return [image for call in calls for image in call["body"]["srcImages"]]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    folder, tokens = tmp_path_factory.mktemp("threats"), tmp_path_factory.mktemp("tokens") / "token"
    fake = FakeVercel()
    with serve(create_fake_vercel(fake)) as vercel:
        projects = (
            f"shop: {{project: my-shop, token: {SECRETS['the token in the file']}}}\nblog: {{project: my-blog}}\n"
        )
        sources = SOURCES.format_map(SECRETS)
        write_config(folder, vercel, projects=projects, sources=sources, more=f"vault: {{keys: [{VAULT_KEY}]}}\n")
        tokens.write_text(SECRETS["the stored token"])
        with running("tokens", "set", "blog", "--file", str(tokens), cwd=folder) as command:
            assert command.wait() == 0, command.output
        with relay(folder) as process, httpx.Client(base_url=process.address, timeout=30) as http:
            yield Attacked(process, fake, folder, http)


def image(name: str) -> bytes:
    return json.dumps({"type": "asset.deleted", "id": name, "url": f"https://img.example.com/{name}.jpg"}).encode()


def test_a_leaked_url_is_good_for_its_own_source_and_projects_alone(attacked: Attacked) -> None:
    leaked = attacked.url("gate")
    key = leaked.rpartition("/")[2]
    assert attacked.post(leaked, image("leaked")) == 200
    for path in (
        f"/hooks/gate2/{key}",
        f"/hooks/hook/{key}",
        f"/hooks/basic/{key}",
        "/hooks/gate",
        f"/hooks/gate/{key}x",
    ):
        assert attacked.post(path, image("elsewhere")) == 401, path
    # Whatever project the body asks for, the settings say which one it is.
    wish = json.loads(image("wish")) | {"project": "blog", "projects": ["blog"], "team": "team_other"}
    assert attacked.post(leaked, json.dumps(wish).encode()) == 200
    eventually(lambda: {"https://img.example.com/wish.jpg"} <= set(attacked.purged("my-shop")))
    assert not [name for name in attacked.purged("my-blog") if "wish" in name or "leaked" in name]
    assert not [name for name in attacked.purged("my-shop") + attacked.purged("my-blog") if "elsewhere" in name]


def test_a_leaked_url_costs_no_more_than_its_quota(attacked: Attacked) -> None:
    leaked = attacked.url("gate")
    answers = [attacked.post(leaked, image(f"flood-{number}")) for number in range(40)]
    assert answers.count(429) >= 10
    assert attacked.post(attacked.url("gate2"), image("unharmed")) == 200, "a flood of one source is its own"


HOSTILE = (
    "https://img.example.com/{{ 7 + 7 }}.jpg",
    "https://img.example.com/{% for x in range(9) %}x{% endfor %}.jpg",
    "https://img.example.com/{{ ''.__class__.__mro__ }}.jpg",
    "https://img.example.com/'; DROP TABLE receipts; --.jpg",
    "https://img.example.com/$(id)`id`.jpg",
    "https://img.example.com/?a=1&projectIdOrName=my-blog#teamId=x",
)
NEVER_SENT = (
    "https://img.example.com/*",
    "https://img.example.com/a\nhttps://img.example.com/b",
    "https://img.example.com/\x1b[2J.jpg",
    "https://img.example.com/" + "x" * 5000,
)


def test_what_an_editor_writes_is_text_and_nothing_more(attacked: Attacked) -> None:
    for number, url in enumerate(HOSTILE + NEVER_SENT):
        body = replaced(f"hostile-{number}", url, "asset.deleted")
        assert attacked.post("/hooks/hook", body, **signed(f"msg_hostile_{number}", body)) == 200
    eventually(lambda: set(HOSTILE) <= set(attacked.purged("my-shop")))
    sent = attacked.purged("my-shop") + attacked.purged("my-blog")
    assert not [found for found in sent if "*" in found or not found.isprintable() or len(found) > 1013]
    assert not [found for found in sent if found.endswith(("/a", "/b"))]
    assert not [found for found in attacked.purged("my-blog") if "hostile" in found]
    with closing(sqlite3.connect(attacked.folder / "relay.db")) as database:
        (count,) = database.execute("SELECT count(*) FROM receipts").fetchone()
    assert count >= len(HOSTILE + NEVER_SENT)
    with running("purges", "list", cwd=attacked.folder) as command:
        assert command.wait() == 0
        assert "\\x1b[2J" in command.output, "a terminal is shown it, and not driven by it"
        assert "\x1b" not in command.output


def _spellings(value: str) -> set[bytes]:
    """A secret as it is, and as what carries it on the way spells it."""
    bare = value.removeprefix("whsec_").encode()
    return {value.encode(), bare, base64.b64encode(f"cms:{value}".encode())}


def test_no_secret_is_in_the_database_the_log_or_what_strangers_may_ask(attacked: Attacked) -> None:
    """Each credential is used, rightly and wrongly, before everything is searched for all of them."""
    basic = base64.b64encode(f"cms:{SECRETS['the password']}".encode()).decode()
    key = attacked.url("gate2").rpartition("/")[2]
    code, value = SECRETS["the query's code"], SECRETS["the header's value"]
    used: list[tuple[str, str, dict[str, str]]] = [
        ("basic", "", {"authorization": f"Basic {basic}"}),
        ("query", f"?code={code}", {}),
        ("header", "", {"x-relay-key": value}),
        ("gate2", f"/{key}", {}),
    ]
    for source, more, headers in used:
        assert attacked.post(f"/hooks/{source}{more}", image("used"), **headers) == 200, source
        # Right, and at the wrong door: what is refused is stored too.
        assert attacked.post(f"/hooks/hook{more}", image("x"), **headers) == 401, source
    body = json.dumps({"type": "asset.replaced", "data": {"id": "no-url"}}).encode()
    assert attacked.post("/hooks/ids", body, **signed("msg_no_url", body)) == 200
    eventually(lambda: "https://img.example.com/used.jpg" in attacked.purged("my-blog"))
    eventually(lambda: "lookup" in attacked.process.output)
    keys = [attacked.url(source).rpartition("/")[2] for source in ("gate", "gate2")]
    places = {path.name: path.read_bytes() for path in attacked.folder.glob("relay.db*")}
    places["the log"] = attacked.process.output.encode()
    for path in ("/metrics", "/readyz", "/livez", "/", "/admin", "/api/v1/openapi.json", "/hooks/hook"):
        places[path] = attacked.http.get(path).content
    assert b"no-url" in places["relay.db"] + places.get("relay.db-wal", b""), "the right files are searched"
    wanted = {name: _spellings(value) for name, value in SECRETS.items()} | {
        f"a key {key[:4]}": {key.encode()} for key in keys
    }
    shown = [
        (name, place)
        for name, values in wanted.items()
        for place, text in places.items()
        if any(v in text for v in values)
    ]
    assert shown == []


def test_who_writes_into_the_database_sends_no_token_elsewhere(attacked: Attacked) -> None:
    """A stolen file that was changed and put back: the address and the projects are the settings'."""
    with closing(sqlite3.connect(attacked.folder / "relay.db", isolation_level=None)) as database:
        before = database.execute("SELECT count(*) FROM purges WHERE project = 'attacker'").fetchone()
        assert before == (0,)
        columns = [row[1] for row in database.execute("PRAGMA table_info(purges)")]
        names = ", ".join(columns)
        chosen = ", ".join(
            {"id": "'pur_forged'", "project": "'attacker'", "state": "'pending'"}.get(c, c) for c in columns
        )
        database.execute(f"INSERT INTO purges ({names}) SELECT {chosen} FROM purges LIMIT 1")  # noqa: S608 - the schema's
    body = replaced("after", "https://img.example.com/after.jpg", "asset.deleted")
    assert attacked.post("/hooks/hook", body, **signed("msg_after", body)) == 200
    eventually(lambda: "https://img.example.com/after.jpg" in attacked.purged("my-shop"))
    assert {call["query"]["projectIdOrName"] for call in attacked.fake.calls} <= {"my-shop", "my-blog"}
