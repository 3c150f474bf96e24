"""Hygraph: its header, the text it signs, and what an asset's webhook gives."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from support.senders import NOW, PATH, SECRETS, changed, make, read, signed, verified

from service.domain.clock import to_ms
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored
from service.providers.base import Sample
from service.providers.signatures import hmac_sha256
from service.providers.verification import verify

SIGNATURE = "gcms-signature"
GOOD = "A" * 43 + "="
TIME = str(to_ms(NOW))
URL = "https://media.graphassets.com/aB3dE5fG7h"


def header(sign: str = GOOD, env: str = "master", time: str = TIME) -> str:
    return f"sign={sign}, env={env}, t={time}"


def event(operation: str = "publish", **data: Any) -> AssetEvent:
    body = {"operation": operation, "data": {"__typename": "Asset", "id": "a1"} | data}
    request = replace(verified(json.dumps(body).encode(), {SIGNATURE: header(env="staging")}), signed_at=NOW)
    (found,) = make("hygraph").read(request).events
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (header(), "signature_mismatch"),
        (header(env="two words"), "signature_mismatch"),
        (header(sign="A" * 42 + "B="), "signature_malformed"),
        (header(sign="A" * 43), "signature_malformed"),
        (header(env=""), "signature_malformed"),
        (header(env="a,b"), "signature_malformed"),
        (header(env="é"), "signature_malformed"),
        (header(time="0" + TIME), "signature_malformed"),
        (header(time="soon"), "signature_malformed"),
        (header(time="9" * 15), "timestamp_malformed"),
        (header().replace(", ", ","), "signature_malformed"),
        (header() + ", v=2", "signature_malformed"),
    ],
)
def test_headers_that_are_refused(value: str, expected: str) -> None:
    provider = make("hygraph")
    with pytest.raises(Refused) as refused:
        verify(provider, changed(signed(provider), {SIGNATURE: value}), NOW)
    assert refused.value.reason == expected


@pytest.mark.parametrize("part", ["env=master", f"t={TIME}"])
def test_environment_and_time_are_signed(part: str) -> None:
    provider = make("hygraph")
    request = signed(provider)
    value = dict(request.headers)[SIGNATURE].replace(part, f"{part[:-1]}1")
    with pytest.raises(Refused, match="signature mismatch"):
        verify(provider, changed(request, {SIGNATURE: value}), NOW)


def test_the_signed_text_is_escaped_as_javascript_does() -> None:
    body = '{"a": "\\" \u2028 \x7f é 🎉",\n\t"b": 1}'
    quoted = '{\\"a\\": \\"\\\\\\" \u2028 \x7f é 🎉\\",\\n\\t\\"b\\": 1}'
    text = f'{{"Body":"{quoted}","EnvironmentName":"e","TimeStamp":{TIME}}}'
    signature = base64.b64encode(hmac_sha256(SECRETS["hygraph"].encode(), text.encode())).decode()
    provider = make("hygraph")
    request = changed(signed(provider), {SIGNATURE: header(signature, "e")}, body=body.encode())
    assert verify(provider, request, NOW).signed_at == NOW


def test_a_body_that_is_not_text_is_refused() -> None:
    provider = make("hygraph")
    with pytest.raises(Refused) as refused:
        verify(provider, changed(signed(provider), body=b"\xff"), NOW)
    assert refused.value.reason == "body_not_text"


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("create", AssetKind.CREATED),
        ("update", AssetKind.UPDATED),
        ("publish", AssetKind.UPDATED),
        ("unpublish", AssetKind.UNPUBLISHED),
        ("delete", AssetKind.DELETED),
        ("invented", AssetKind.UNKNOWN),
    ],
)
def test_operations(operation: str, kind: AssetKind) -> None:
    assert event(operation) == AssetEvent(kind=kind, id="a1", environment="staging", occurred_at=NOW)


def test_an_asset_s_fields() -> None:
    found = event(
        fileName="hero.jpg",
        mimeType="image/jpeg",
        handle="aB3dE5fG7h",
        locale="en",
        url=URL,
        localizations=[{"locale": "de", "url": f"{URL}-de"}, {"url": URL}, {"url": "no-url"}, {}, None],
    )
    assert (found.filename, found.mime_type, found.content_hash) == ("hero.jpg", "image/jpeg", "aB3dE5fG7h")
    assert (found.urls, found.locale) == ((URL, f"{URL}-de"), "en")


@pytest.mark.parametrize(("operation", "seconds"), [("publish", -60), ("unpublish", 0), ("delete", 0)])
def test_an_asset_that_is_gone_was_updated_before(operation: str, seconds: float) -> None:
    found = event(operation, updatedAt=(NOW - timedelta(seconds=60)).isoformat())
    assert found.occurred_at == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"operation": "publish", "data": {"__typename": "Page", "id": "p1"}}, "about the model Page, not Asset"),
        ({"hello": "world"}, "about the model None, not Asset"),
    ],
)
def test_what_is_not_about_an_asset(body: Any, why: str) -> None:
    provider = make("hygraph")
    found = read(provider, provider.sign(Sample(json.dumps(body).encode()), PATH, NOW))
    assert (found.instead, found.events) == (Ignored(why), ())


def test_an_asset_without_an_id_is_unreadable() -> None:
    with pytest.raises(Unreadable, match=r"no data\.id"):
        event(id=None)


def test_without_the_header_no_environment_is_known() -> None:
    (found,) = make("hygraph").read(verified(b'{"data": {"__typename": "Asset", "id": "a1"}}')).events
    assert (found.environment, found.occurred_at) == (None, None)
