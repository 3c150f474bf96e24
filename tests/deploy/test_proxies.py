"""Real proxies with the files of deploy/nginx and deploy/caddy: what senders sign arrives as they sent it."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.types import Receive, Scope, Send
from support.loopback import serve
from support.process import relay, write_config
from support.webhooks import replaced, signed

from service.ingest.answers import RETRY_SECONDS
from service.settings.model import Limits

ROOT = Path(__file__).parents[2]
NGINX = ROOT / "deploy" / "nginx" / "image-relay.conf"
CADDY = ROOT / "deploy" / "caddy" / "Caddyfile"
SOCKET = ROOT / "deploy" / "kubernetes" / "overlays" / "sidecar-socket" / "nginx.conf"
HOST = "hooks.example.com"
UPSTREAM = "127.0.0.1:8080"
CADDY_TESTED = "\tadmin off\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n"
SECRET_IN_URL = "fake-capability-0123456789"

needs = {
    name: pytest.mark.skipif(shutil.which(name) is None, reason=f"there is no {name}") for name in ("nginx", "caddy")
}


@dataclass(frozen=True)
class Site:
    """Where senders reach a proxy, and the folder of whatever it writes."""

    port: int
    folder: Path

    def client(self) -> httpx.Client:
        trusted = ssl.create_default_context(cafile=str(self.folder / "site.pem"))
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.port}", verify=trusted, headers={"host": HOST}, timeout=20
        )

    def written(self) -> str:
        return "".join(file.read_text() for file in self.folder.glob("*.log"))


SNI = {"sni_hostname": HOST}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def write_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "site.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "site.key").write_bytes(plain)


def put(text: str, changes: dict[str, str]) -> str:
    """The file with what a test has to change, each of which is there once."""
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@contextmanager
def started(command: list[str], port: int, folder: Path) -> Iterator[None]:
    with (folder / "process.log").open("ab") as output:
        child = subprocess.Popen(
            command, stdout=output, stderr=output, env={"HOME": str(folder), "XDG_DATA_HOME": str(folder)}
        )
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert child.poll() is None, (folder / "process.log").read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
            yield
        finally:
            child.terminate()
            child.wait(10)


def nginx_command(folder: Path, configuration: str) -> list[str]:
    """nginx with a whole configuration, and nothing of it outside the folder."""
    (folder / "nginx.conf").write_text(configuration)
    nginx = shutil.which("nginx")
    assert nginx is not None
    # Started by root it would serve as another user, who may not enter the test's folder.
    directives = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    return [nginx, "-p", f"{folder}", "-e", f"{folder}/start.log", "-c", f"{folder}/nginx.conf", "-g", directives]


@contextmanager
def nginx(folder: Path, upstream: str) -> Iterator[Site]:
    port = free_port()
    ours = put(
        NGINX.read_text(),
        {
            f"server {UPSTREAM};": f"server {upstream};",
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "/etc/ssl/hooks.example.com.pem": f"{folder}/site.pem",
            "/etc/ssl/private/hooks.example.com.key": f"{folder}/site.key",
            "/var/log/nginx/error.log": f"{folder}/error.log",
        },
    )
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # As Debian's nginx.conf includes it.
    around = f"worker_processes 1;\npid {folder}/nginx.pid;\nevents {{}}\nhttp {{\n{places}{ours}\n}}\n"
    with started(nginx_command(folder, around), port, folder):
        yield Site(port, folder)


@contextmanager
def caddy(folder: Path, upstream: str) -> Iterator[Site]:
    port = free_port()
    (folder / "Caddyfile").write_text(
        put(
            CADDY.read_text(),
            {
                "{\n\tservers {": f"{{\n{CADDY_TESTED}\tservers {{",
                f"{HOST} {{\n": f"https://{HOST}:{port} {{\n\ttls {folder}/site.pem {folder}/site.key\n",
                UPSTREAM: upstream,
            },
        )
    )
    command = ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    with started(command, port, folder):
        yield Site(port, folder)


PROXIES = {"nginx": nginx, "caddy": caddy}
both = pytest.mark.parametrize("proxy", [pytest.param(name, marks=needs[name]) for name in PROXIES])


class Recorder:
    """Takes down every request byte for byte."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.scopes.append(scope)
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-told", b"1")]})
        await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def before_recorder(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Callable[[str], Site]]:
    with serve(recorder) as url, ExitStack() as stack:
        yield starter(tmp_path_factory, stack, httpx.URL(url).netloc.decode())


@pytest.fixture(scope="module")
def before_relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Site]]:
    folder = tmp_path_factory.mktemp("relay")
    write_config(folder, "http://127.0.0.1:9")
    with relay(folder) as process, ExitStack() as stack:
        yield starter(tmp_path_factory, stack, process.address.removeprefix("http://"))


@pytest.fixture
def before_nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Site]]:
    with ExitStack() as stack:
        yield starter(tmp_path_factory, stack, f"127.0.0.1:{free_port()}")


def starter(folders: pytest.TempPathFactory, stack: ExitStack, upstream: str) -> Callable[[str], Site]:
    """Each proxy once, when it is first asked for."""
    sites: dict[str, Site] = {}

    def site(proxy: str) -> Site:
        if proxy not in sites:
            folder = folders.mktemp(proxy)
            write_certificate(folder)
            sites[proxy] = stack.enter_context(PROXIES[proxy](folder, upstream))
        return sites[proxy]

    return site


def big(name: str) -> bytes:
    """More than a proxy's buffers, with what a careless one would change: spaces, other scripts, a last newline."""
    body = replaced(name, f"https://img.example.com/{name}.jpg", note="é 写真 \U0001f5bc " * 20_000)
    return b" " + body.replace(b"\\u00e9", "é".encode()) + b"\r\n"


AWKWARD = [
    b"",
    big("plain"),
    gzip.compress(big("gzip")),
    bytes(range(256)) * 100,
    b"a=1&b=%20+%C3%A9",
]


@both
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("body", AWKWARD, ids=["empty", "unicode", "gzip", "bytes", "form"])
def test_nothing_is_changed(
    proxy: str, body: bytes, chunked: bool, before_recorder: Callable[[str], Site], recorder: Recorder
) -> None:
    headers = {
        "content-type": "application/json; charset=UTF-8",
        "content-encoding": "gzip" if body[:2] == b"\x1f\x8b" else "identity",
        "x_secret_header": "fake",
        "x-long": "a" * 12_000,
        "authorization": "Bearer fake",
    }
    target = "/hooks/cms/a%2Fb%20c;d=1/..%2f?code=a%2Fb+c%20&x=%C3%A9&x=&code=&&y"
    content = iter([body[:1000], body[1000:]]) if chunked else body
    with before_recorder(proxy).client() as http:
        answer = http.request("POST", target, content=content, headers=headers, extensions=SNI)
    assert (answer.status_code, answer.headers["x-told"]) == (200, "1")
    scope = recorder.scopes[-1]
    assert recorder.bodies[-1] == body
    assert (scope["raw_path"] + b"?" + scope["query_string"]).decode() == target
    told = {name.decode(): value.decode() for name, value in scope["headers"]}
    assert told["host"] == HOST
    assert headers.items() <= told.items()


@both
@pytest.mark.parametrize("chunked", [False, True])
def test_a_signed_webhook_verifies(proxy: str, chunked: bool, before_relay: Callable[[str], Site]) -> None:
    body = big(f"{proxy}-{chunked}")
    content = iter([body[:70_000], body[70_000:]]) if chunked else body
    with before_relay(proxy).client() as http:
        headers = signed(f"msg_{proxy}_{chunked}", body)
        answer = http.post("/hooks/hook?a=b%20c", content=content, headers=headers, extensions=SNI)
        assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
        answer = http.post("/hooks/hook", content=body + b" ", headers=headers, extensions=SNI)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")


@both
def test_the_size_limit_is_the_relays(proxy: str, before_relay: Callable[[str], Site]) -> None:
    most = Limits().body_bytes
    body = replaced(proxy, "https://img.example.com/limit.jpg")
    body += b" " * (most - len(body))
    with before_relay(proxy).client() as http:
        answer = http.post("/hooks/hook", content=body, headers=signed(f"msg_{proxy}", body), extensions=SNI)
        assert answer.status_code == 200, answer.text
        for content in (body + b" ", iter([body, b" "])):
            answer = http.post("/hooks/hook", content=content, headers=signed("msg_over", body), extensions=SNI)
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


@both
@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/readyz", "/livez", "/admin", "/api/v1/openapi.json", "/hooks/../metrics"]
)
def test_nothing_else_is_let_in(
    proxy: str, path: str, before_recorder: Callable[[str], Site], recorder: Recorder
) -> None:
    before = len(recorder.scopes)
    with before_recorder(proxy).client() as http:
        assert http.get(path, extensions=SNI).status_code == 404
    assert len(recorder.scopes) == before


@both
def test_while_the_relay_is_away(proxy: str, before_nothing: Callable[[str], Site]) -> None:
    site = before_nothing(proxy)
    with site.client() as http:
        answer = http.post(f"/hooks/cms/{SECRET_IN_URL}?code={SECRET_IN_URL}", content=b"{}", extensions=SNI)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, str(RETRY_SECONDS))
    assert answer.json()["error"]["code"] == "unavailable"
    assert SECRET_IN_URL not in site.written()


@needs["caddy"]
def test_what_caddy_writes_of_errors_has_no_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the answer of our own it writes down that there was nobody: this shows that the filter is at work."""
    written = tmp_path / "shortened"
    written.write_text(CADDY.read_text().partition("\t# The relay is not there")[0] + "}\n")
    monkeypatch.setitem(globals(), "CADDY", written)
    write_certificate(tmp_path)
    with caddy(tmp_path, f"127.0.0.1:{free_port()}") as site, site.client() as http:
        answer = http.post(
            f"/hooks/cms/{SECRET_IN_URL}?code={SECRET_IN_URL}",
            headers={"x-secret": SECRET_IN_URL},
            content=b"{}",
            extensions=SNI,
        )
        assert answer.status_code == 502
        assert "connection refused" in site.written()
        assert SECRET_IN_URL not in site.written()


@needs["nginx"]
def test_a_flood_is_held_back(before_nothing: Callable[[str], Site]) -> None:
    with before_nothing("nginx").client() as http:
        answers = [http.post("/hooks/cms", extensions=SNI) for _ in range(200)]
        assert all(answer.status_code == 503 for answer in answers)
        answer = answers[0]
        for _ in range(3000):  # the slower the machine, the more are let through in the meantime
            answer = http.post("/hooks/cms", extensions=SNI)
            if answer.status_code == 429:
                break
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json()["error"]["code"] == "busy"


@needs["nginx"]
def test_a_sidecar_behind_its_socket(tmp_path: Path) -> None:
    """The overlay sidecar-socket: its own nginx.conf, and the relay on a Unix socket."""
    write_config(tmp_path, "http://127.0.0.1:9")
    place, port = Path(f"{tmp_path}/r"), free_port()
    changes = {"unix:/run/relay/relay.sock": f"unix:{place}", "listen 8000;": f"listen 127.0.0.1:{port};"}
    # A socket's path has to be short.
    configuration = put(SOCKET.read_text().replace("/tmp/", f"{tmp_path}/"), changes)  # noqa: S108 - the container's
    command = nginx_command(tmp_path, configuration)
    with relay(tmp_path, "--uds", str(place)), started(command, port, tmp_path):
        body = big("socket")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
            answer = http.post("/hooks/hook", content=body, headers=signed("msg_socket", body))
            assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
            assert http.get("/metrics").status_code == 404


def test_the_limits_are_the_services() -> None:
    limits = Limits()
    assert (limits.body_bytes, limits.body_seconds) == (1024 * 1024, 15)
    for text in (NGINX.read_text(), SOCKET.read_text()):
        assert "client_max_body_size 1m;" in text
        assert "client_body_buffer_size 1m;" in text
    assert f"client_body_timeout {limits.body_seconds:.0f}s;" in NGINX.read_text()
    assert f"Retry-After {RETRY_SECONDS} " in NGINX.read_text()
    assert f"Retry-After {RETRY_SECONDS}\n" in CADDY.read_text()
    assert json.loads(CADDY.read_text().partition("respond `")[2].partition("`")[0])["error"]["code"] == "unavailable"
