"""Vercel Blob: two kinds of signature told apart by their length, and uploads that look the same twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from support.senders import (
    NOW,
    SECRETS,
    changed,
    ed25519_key,
    make,
    private_pem,
    problem,
    public_pem,
    rsa_key,
    secrets,
    source,
    verified,
)

from service.domain.errors import CommandFailed, Refused
from service.domain.events import AssetEvent, AssetKind, Ignored
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.vercel_blob import VercelBlob
from service.providers.verification import verify

URL = "https://fakestoreid.public.blob.vercel-storage.com/products/hero.jpg"
HMAC = secrets(SECRETS["vercel-blob"])
SIGNATURE = "x-vercel-signature"


def keyed() -> list[Any]:
    return secrets(public_pem(ed25519_key()))


def blob(**fields: Any) -> dict[str, Any]:
    return {"type": "blob.upload-completed", "payload": {"blob": {"url": URL, **fields}}}


def event(body: Mapping[str, Any]) -> AssetEvent:
    (found,) = make("vercel-blob").read(verified(json.dumps(body).encode())).events
    return found


def sent(provider: Provider, key: bytes | None = None) -> RawRequest:
    return provider.sign(VercelBlob.samples(NOW)["upload-completed"], "/hooks/hook", NOW, key)


def reason(provider: Provider, request: RawRequest) -> str:
    try:
        verify(provider, request, NOW)
    except Refused as error:
        return error.reason
    return ""


def test_either_signature() -> None:
    both = make("vercel-blob", public_keys=keyed())
    by_token, by_key = sent(both), sent(both, private_pem(ed25519_key()))
    assert verify(both, by_token, NOW).scheme == "vercel-blob-sha256"
    assert verify(both, by_key, NOW).scheme == "vercel-blob-ed25519"
    assert reason(make("vercel-blob"), by_key) == "signature_mismatch"
    alone = make("vercel-blob", secrets=[], public_keys=keyed())
    assert reason(alone, by_key) == ""
    assert reason(alone, by_token) == "signature_mismatch"
    for request in (by_token, by_key):
        assert reason(both, changed(request, body=request.body + b" ")) == "signature_mismatch"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("f" * 64, "signature_mismatch"),
        ("f" * 128, "signature_mismatch"),
        ("F" * 64, "signature_malformed"),
        ("f" * 40, "signature_malformed"),
        ("", "signature_missing"),
    ],
)
def test_signatures_that_are_refused(value: str, expected: str) -> None:
    provider = make("vercel-blob", public_keys=keyed())
    assert reason(provider, changed(sent(provider), {SIGNATURE: value})) == expected


def test_keys_that_do_not_suit() -> None:
    assert problem("vercel-blob", public_keys=secrets("nonsense"))[0] == "public_keys"
    assert "only Ed25519 keys sign" in problem("vercel-blob", public_keys=secrets(public_pem(rsa_key())))[1]


def test_a_sample_for_public_keys_alone_takes_the_private_one() -> None:
    with pytest.raises(CommandFailed, match="--signing-key"):
        sent(make("vercel-blob", secrets=[], public_keys=keyed()))


@pytest.mark.parametrize(
    ("settle", "warnings"),
    [(60.0, []), (2.0, ["Vercel Blob may serve an overwritten file for 60 s more: `settle: 60` waits for it"])],
)
def test_a_purge_that_comes_before_the_new_file_is_warned_of(settle: float, warnings: list[str]) -> None:
    assert VercelBlob.warnings(source("vercel-blob", settle=settle)) == warnings


def test_an_upload() -> None:
    found = event(blob(pathname="products/hero.jpg", contentType="image/jpeg"))
    assert (found.kind, found.id, found.urls) == (AssetKind.UPDATED, URL, (URL,))
    assert (found.key, found.filename, found.mime_type) == ("products/hero.jpg", "hero.jpg", "image/jpeg")
    assert event(blob()).filename is None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"type": "blob.generate-client-token"}, "a blob.generate-client-token event is no finished upload"),
        ({}, "a None event is no finished upload"),
        (blob(url="/relative"), "the upload has no URL"),
        (blob(contentType="video/mp4"), "the file is video/mp4, no image"),
    ],
)
def test_what_is_no_image_s_upload(body: Any, why: str) -> None:
    found = make("vercel-blob").read(verified(json.dumps(body).encode()))
    assert (found.instead, found.events, found.event_id) == (Ignored(why), (), None)


def test_the_same_upload_again_is_another_event() -> None:
    """Otherwise the second of two new files at one path would be taken for the first one sent twice."""
    provider = make("vercel-blob")
    first = verified(json.dumps(blob()).encode())
    later = replace(first, received_at=NOW + timedelta(seconds=1))
    other = replace(first, body=json.dumps(blob(pathname="a")).encode())
    ids = [provider.read(one).event_id for one in (first, later, other)]
    assert len(set(ids)) == 3
    assert provider.read(first).event_id == ids[0]
