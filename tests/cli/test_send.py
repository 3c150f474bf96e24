"""`send` and `url`: what is sent verifies, where it is sent, and what to enter at the sender."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from support.commands import SECRET, TOKEN, Relay
from support.loopback import serve

from service.cli.explanation import with_key_of_path
from service.domain.clock import system_clock
from service.domain.requests import RawRequest

FIVE = """\
projects: {shop: {project: my-shop, token: vcp_fakefakefake0123456789}}
sources:
  cms: {provider: contentful, secrets: [ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff]}
  media: {provider: cloudinary, secrets: [fake-api-secret-0123456789]}
  studio: {provider: sanity, secrets: [fake-sanity-secret-0123456789]}
  hook: {provider: standard-webhooks, secrets: [whsec_ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2U=]}
  door: {provider: standard-webhooks, secrets: [fake-capability-secret], auth: {capability: true}}
"""


class Far:
    """The far side: records requests as the relay's endpoint would see them."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[RawRequest] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = scope["raw_path"].decode() + (f"?{request.url.query}" if request.url.query else "")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        self.requests.append(RawRequest.of(scope["method"], path, headers, await request.body()))
        answer: Response = JSONResponse({"receipt": "rcp_fake", "status": "accepted"}, status_code=self.status)
        await answer(scope, receive, send)


@pytest.fixture
def far() -> Far:
    return Far()


@pytest.fixture
def address(far: Far) -> Iterator[str]:
    with serve(far) as url:
        yield url


def verify(relay: Relay, request: RawRequest, source: str, path: str | None = None) -> None:
    """Raises Refused unless what arrived is genuine."""
    seen = RawRequest(request.method, path or request.path, request.headers, request.body)
    pipeline = relay.pipelines()[source]
    pipeline.read(pipeline.verify(with_key_of_path(seen, source), system_clock()))


@pytest.mark.parametrize("source", ["cms", "media", "studio", "hook", "door"])
def test_every_event_of_every_sender_verifies(bare: Relay, far: Far, address: str, source: str) -> None:
    bare.write(FIVE)
    events = bare.run("send", "--source", source, "--list", "--json").json
    assert bare.run("send", "--source", source, "--list").out.split() == events
    for event in events:
        done = bare.run("send", "--source", source, "--event", event, "--url", address)
        assert done.code == 0, done
        verify(bare, far.requests[-1], source)
        assert f"POST {address}/hooks/{source}" in done.out
        assert '→ 200 {"receipt":"rcp_fake","status":"accepted"}' in done.out


def test_the_first_event_unless_told(bare: Relay, far: Far, address: str) -> None:
    bare.write(FIVE)
    assert bare.run("send", "--source", "cms", "--url", address).code == 0
    assert far.requests[0].header("x-contentful-topic") == "ContentManagement.Asset.publish"


def test_a_capability_is_sent_and_not_shown(bare: Relay, far: Far, address: str) -> None:
    bare.write(FIVE)
    done = bare.run("send", "--source", "door", "--url", address)
    assert f"{address}/hooks/door/***" in done.out
    key = far.requests[0].path.rpartition("/")[2]
    assert key not in done.out + done.err


def test_a_body_of_ones_own(relay: Relay, far: Far, address: str) -> None:
    (relay.folder / "mine.json").write_bytes(b'{"type": "mine"}')
    assert relay.run("send", "--payload", "mine.json", "--url", address).code == 0
    assert relay.run("send", "--payload", "-", "--url", address, stdin=b'{"type": "mine"}').code == 0
    for request in far.requests:
        assert request.body == b'{"type": "mine"}'
        verify(relay, request, "hook")


def test_json(relay: Relay, address: str) -> None:
    done = relay.run("send", "--url", address, "--json")
    assert done.json["status"] == 200
    assert done.json["url"] == f"{address}/hooks/hook"
    assert json.loads(done.json["answer"])["status"] == "accepted"


def test_another_answer_than_2xx_is_a_failure(relay: Relay, far: Far, address: str) -> None:
    far.status = 401
    done = relay.run("send", "--url", address)
    assert (done.code, done.err) == (1, "Error: the relay answered 401\n")
    assert "→ 401" in done.out


@pytest.mark.parametrize(
    ("suffix", "asked"),
    [
        ("", "/relay/hooks/cms"),
        ("/", "/relay/hooks/cms"),
        ("/relay", "/relay/hooks/cms"),
        ("/relay/hooks/cms", "/relay/hooks/cms"),
        ("/other", "/other/relay/hooks/cms"),
    ],
)
def test_the_signed_path_is_the_public_one(bare: Relay, far: Far, address: str, suffix: str, asked: str) -> None:
    bare.write(FIVE, public_url="https://hooks.example.com/relay")
    assert bare.run("send", "--source", "cms", "--url", address + suffix).code == 0
    assert far.requests[0].path == asked
    verify(bare, far.requests[0], "cms", "/relay/hooks/cms")


def test_the_settings_say_where_the_relay_listens(relay: Relay, far: Far, address: str) -> None:
    host, _, port = address.removeprefix("http://").partition(":")
    for name in (host, "0.0.0.0"):  # noqa: S104 - every address is reached by this machine's own
        assert relay.run("send", environ={"RELAY_HOST": name, "RELAY_PORT": port}).code == 0
    assert len(far.requests) == 2


def test_a_proxy_in_the_environment_is_no_way_to_this_machine(relay: Relay, address: str) -> None:
    assert relay.run("send", "--url", address, environ={"HTTP_PROXY": "http://127.0.0.1:9"}).code == 0


def test_over_a_unix_socket(relay: Relay, far: Far) -> None:
    path = relay.folder / "relay.sock"

    async def run() -> None:
        server = uvicorn.Server(uvicorn.Config(far, uds=str(path), log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        for arguments, environ in (((), {"RELAY_UDS": str(path)}), (("--url", f"unix:{path}"), {})):
            done = await asyncio.to_thread(relay.run, "send", *arguments, environ=environ)
            assert done.code == 0, done
            assert f"unix:{path}/hooks/hook → 200" in done.out
        server.should_exit = True
        await serving

    asyncio.run(run())
    assert len(far.requests) == 2


def test_a_private_key_signs_where_the_relay_has_the_public_one(bare: Relay, far: Far, address: str) -> None:
    key = Ed25519PrivateKey.generate()
    (bare.folder / "private.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (bare.folder / "public.pem").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    bare.write(
        f"""\
        projects: {{shop: {{project: my-shop, token: {TOKEN}}}}}
        sources: {{hook: {{provider: standard-webhooks, public_keys: [{{file: public.pem}}]}}}}
        """
    )
    assert "private" in bare.fails("send", "--url", address)
    assert bare.run("send", "--url", address, "--signing-key", "private.pem").code == 0
    verify(bare, far.requests[0], "hook")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--url", "http://127.0.0.1:9"], "no answer from http://127.0.0.1:9: "),
        (["--url", "127.0.0.1:8080"], "--url must be an http or https URL"),
        (["--url", "unix:/no/such.sock"], "no answer from unix:/no/such.sock: "),
        (["--event", "asset.replacd"], "standard-webhooks has no event 'asset.replacd'"),
        (["--event", "xyzzy"], "(there is: "),
        (["--payload", "missing.json"], "missing.json cannot be read"),
        (["--signing-key", "missing.pem"], "missing.pem cannot be read"),
        (["--source", "nope"], "there is no source 'nope'"),
    ],
)
def test_what_cannot_be_sent(relay: Relay, arguments: list[str], message: str) -> None:
    assert message in relay.fails("send", *arguments)


def test_a_port_that_the_relay_chose_itself(relay: Relay) -> None:
    relay.environ["RELAY_PORT"] = "0"
    assert "--url" in relay.fails("send")
    assert "--url" in relay.fails("ping")


def test_url(bare: Relay) -> None:
    bare.write(FIVE, public_url="https://hooks.example.com/relay/")
    assert bare.run("url", "cms").out == "https://hooks.example.com/relay/hooks/cms\n"
    assert bare.fails("url") == "name one of the sources: cms, media, studio, hook, door"
    assert bare.fails("url", "csm") == "there is no source 'csm', did you mean 'cms'?"


def test_url_without_a_public_one(relay: Relay) -> None:
    done = relay.run("url")
    assert (done.code, done.out) == (0, "/hooks/hook\n")
    assert "public_url" in done.err


def test_url_with_a_capability_is_taken(bare: Relay) -> None:
    bare.write(FIVE, public_url="https://hooks.example.com")
    url = bare.run("url", "door").out.strip()
    assert url.startswith("https://hooks.example.com/hooks/door/")
    path = url.removeprefix("https://hooks.example.com")
    verify(bare, RawRequest.of("POST", path, {}, b'{"type": "x"}'), "door")


@pytest.mark.parametrize(
    ("auth", "path"), [("{header: x-key}", "/hooks/hook"), ("{query: code}", "/hooks/hook?code=***")]
)
def test_url_shows_no_secret_of_the_other_kinds(bare: Relay, auth: str, path: str) -> None:
    bare.write(
        f"""\
        projects: {{shop: {{project: my-shop, token: {TOKEN}}}}}
        sources: {{hook: {{provider: sanity, secrets: [{SECRET}], auth: {auth}}}}}
        """
    )
    done = bare.run("url", "hook")
    assert done.out == f"{path}\n"
    assert ("In place of ***" in done.err) == ("***" in path)


def test_url_of_a_provider_that_implies_its_credential(bare: Relay) -> None:
    projects = f"projects: {{shop: {{project: my-shop, token: {TOKEN}}}}}"
    bare.write(f"{projects}\nsources: {{door: {{provider: capability-url, secrets: [fake-secret]}}}}\n")
    path = bare.run("url", "door").out.strip()
    assert path.startswith("/hooks/door/")
    verify(bare, RawRequest.of("POST", path, {}, b"{}"), "door")
    bare.write(f"{projects}\nsources: {{gate: {{provider: basic, secrets: [fake-secret]}}}}\n")
    assert bare.fails("url", "gate") == "sources.gate.auth is missing: give `auth: {basic: …}`"


def test_url_without_the_secret_it_takes(bare: Relay) -> None:
    bare.write(
        f"""\
        projects: {{shop: {{project: my-shop, token: {TOKEN}}}}}
        sources: {{hook: {{provider: sanity, auth: {{capability: true}}}}}}
        """
    )
    assert "`image-relay check`" in bare.fails("url", "hook")


def test_the_example_file_is_enough_to_print_a_url(bare: Relay, tmp_path: Path) -> None:
    bare.run("init")
    environ = {"RELAY_VAULT_KEY": "ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2UtZmE=", "VERCEL_TOKEN": TOKEN}
    assert bare.run("url", "cms", environ=environ | {"CONTENTFUL_SECRET": "f" * 64}).out == "/hooks/cms\n"
