"""Every sender, end to end: a real process with a source of each provider, real HTTP, a fake Vercel beyond it.

What is expected stands in tests/providers/cases: a new provider is here as soon as it has its file there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import chain
from typing import Any

import httpx
import pytest
from support.loopback import serve
from support.process import TOKEN, eventually, relay, write_config
from support.senders import (
    CASES,
    NOW,
    PROVIDERS,
    Expected,
    changed,
    ed25519_key,
    private_pem,
    rsa_key,
    secrets,
    signing_key,
    source,
    with_key_of_path,
)

from service.domain.errors import Refused
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.registry import build
from service.providers.verification import verify
from service.testing.fake_vercel import FakeVercel, create_fake_vercel

pytestmark = pytest.mark.e2e

BY_ID = "https://img.example.com/by-id/{{ asset.id }}.jpg"  # where a payload has no URL, a template makes one
GONE = ("deleted", "unpublished")
SILENT = ("created", "unknown")  # the kinds for which the default rule does nothing


def expected(name: str) -> Expected:
    """What the case file says of the default sample."""
    (sample, *_) = provider(name).samples(NOW)
    return CASES[name].samples[sample]


@cache
def provider(name: str) -> Provider:
    """The source as the relay under test has it, whose name is the provider's."""
    return build(name, source(name))


def settings(name: str) -> dict[str, Any]:
    """The source in relay.yaml: as in the case file, with a project of its own."""
    case, wanted = CASES[name], expected(name)
    found: dict[str, Any] = case.source | {"provider": name, "settle": 0, "projects": [name]}
    if keys := source(name).public_keys:
        found["public_keys"] = [key.reveal() for key in keys]
    if wanted.url is None:
        found["rules"] = [{"src_images": [BY_ID]}]
    elif wanted.kind in SILENT:
        found["rules"] = [{"src_images": ["{{ url }}"]}]
    return found


def signed(name: str, at: datetime | None = None) -> RawRequest:
    """The vendor's sample, signed now unless told otherwise. The times within it are the case file's."""
    sender = provider(name)
    sample = next(iter(sender.samples(NOW).values()))
    return sender.sign(sample, f"/hooks/{name}", at or datetime.now(UTC), signing_key(sender))


def signed_by_another(name: str) -> RawRequest:
    """The same with a secret, or a private key, that this source does not have."""
    case = CASES[name]
    sender = provider(name)
    key = None
    if case.signing_key is None:
        sender = build(name, source(name, secrets=secrets(case.new_secret)))
    else:
        key = private_pem((rsa_key if case.signing_key == "rsa" else ed25519_key).__wrapped__())
    sample = next(iter(sender.samples(NOW).values()))
    return sender.sign(sample, f"/hooks/{name}", datetime.now(UTC), key)


@dataclass(slots=True)
class Far:
    """The relay and the fake Vercel that it calls."""

    http: httpx.Client
    vercel: FakeVercel

    def send(self, request: RawRequest) -> httpx.Response:
        headers = [(key.encode(), value.encode("latin-1")) for key, value in request.headers]
        return self.http.request(request.method, request.path, headers=headers, content=request.body)

    def calls(self, project: str) -> list[dict[str, Any]]:
        """The bodies of the calls for a project."""
        return [call["body"] for call in self.vercel.calls if call["query"]["projectIdOrName"] == project]


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    folder = tmp_path_factory.mktemp("every-sender")
    fake = FakeVercel()
    with serve(create_fake_vercel(fake)) as url:
        projects = "".join(f"{name}: {{project: {name}, token: {TOKEN}}}\n" for name in PROVIDERS)
        sources = "".join(f"{name}: {json.dumps(settings(name))}\n" for name in PROVIDERS)
        write_config(folder, url, sources=sources, projects=projects)
        with relay(folder) as process, httpx.Client(base_url=process.address, timeout=30) as http:
            far = Far(http, fake)
            yield far
            assert "Traceback" not in process.output
            for name in PROVIDERS:
                images = _images(far.calls(name))
                assert CASES[name].each_counts or len(images) == len(set(images)), name


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_signed_sample_is_acknowledged_and_purged_once(far: Far, name: str) -> None:
    wanted = expected(name)
    assert wanted.src_images, f"say in cases/{name}.json which src_images the default sample has purged"
    request = signed(name)
    first, second = far.send(request), far.send(request)
    status = provider(name).info.success_status
    assert (first.status_code, second.status_code) == (status, status), first.text
    again = CASES[name].each_counts
    if status != 204:
        became = [answer.json()["status"] for answer in (first, second)]
        assert became == ["accepted", "accepted" if again else "duplicate"]
    images = sorted(wanted.src_images)

    def purged() -> list[str]:
        called_for = _images(far.calls(name))
        return sorted(set(called_for) if again else called_for)

    eventually(lambda: purged() == images, 15, f"{images}, not {purged()}")
    deadline = 0 if wanted.kind in GONE else 60
    assert {call["revalidationDeadlineSeconds"] for call in far.calls(name)} == {deadline}


def _images(calls: list[dict[str, Any]]) -> list[str]:
    return list(chain.from_iterable(call["srcImages"] for call in calls))


@pytest.mark.parametrize("name", PROVIDERS)
def test_one_byte_of_the_body_changed(far: Far, name: str) -> None:
    request = signed(name)
    if CASES[name].body == "unsigned":
        # Not sent: to the relay it is the same event, and the test that sends that may come after this one.
        altered = changed(request, body=request.body + b" ")
        credential = provider(name).credential
        in_path = credential is not None and credential.kind == "capability"
        verify(provider(name), with_key_of_path(altered) if in_path else altered, datetime.now(UTC))
        return
    altered = next(one for one in _altered(request) if _refused(name, one))
    assert far.send(altered).status_code == 401


def _altered(request: RawRequest) -> Iterator[RawRequest]:
    """The request with one letter changed; the first, or where not every byte is signed, the first that counts."""
    for at, byte in enumerate(request.body):
        if chr(byte).isalnum():
            body = request.body[:at] + (b"0" if byte != ord("0") else b"1") + request.body[at + 1 :]
            yield changed(request, body=body)


def _refused(name: str, request: RawRequest) -> bool:
    if CASES[name].body == "bytes":
        return True
    try:
        verify(provider(name), request, datetime.now(UTC))
    except Refused:
        return True
    return False


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_secret_of_another_source(far: Far, name: str) -> None:
    answer = far.send(signed_by_another(name))
    assert answer.status_code == 401
    assert answer.json() == {"error": {"code": "unauthorized", "message": "the request is not authenticated"}}


@pytest.mark.parametrize("name", [name for name in PROVIDERS if provider(name).tolerance is not None])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_request_signed_long_ago_or_in_a_time_to_come(far: Far, name: str, side: int) -> None:
    tolerance = provider(name).tolerance
    assert tolerance is not None
    at = datetime.now(UTC) + side * timedelta(seconds=tolerance + 30)
    assert far.send(signed(name, at)).status_code == 401


@pytest.mark.parametrize("name", PROVIDERS)
def test_other_methods_than_the_vendor_s_are_refused(far: Far, name: str) -> None:
    for method in {"GET", "HEAD", "OPTIONS", "PUT"} - set(provider(name).info.handshake_methods):
        answer = far.http.request(method, f"/hooks/{name}")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
