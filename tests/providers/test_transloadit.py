"""Transloadit: a form whose one field signs the other, and the images that came out of an Assembly."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from support.senders import NOW, SECRETS, changed, make, secrets, signed, verified

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored
from service.providers.multipart_form import form_body
from service.providers.verification import verify

URL = "https://s3.amazonaws.com/my-bucket/a.jpg"
STATUS = b'{"ok": "ASSEMBLY_COMPLETED"}'


def signature(algorithm: str) -> str:
    return hmac.digest(SECRETS["transloadit"].encode(), STATUS, algorithm).hex()


def completed(*files: Any) -> dict[str, Any]:
    return {"ok": "ASSEMBLY_COMPLETED", "assembly_id": "a1", "results": {"optimized": list(files)}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (f"sha384:{signature('sha384')}", "transloadit-sha384"),
        (f"sha256:{signature('sha256')}", "transloadit-sha256"),
        (f"sha1:{signature('sha1')}", "transloadit-sha1"),
        (signature("sha1"), "transloadit-sha1"),
        (signature("sha384"), "signature_malformed"),
        (f"sha384:{signature('sha256')}", "signature_malformed"),
        (f"md5:{signature('md5')}", "signature_malformed"),
        (f"sha384:{signature('sha384').upper()}", "signature_malformed"),
        (f"SHA384:{signature('sha384')}", "signature_malformed"),
        (f"x:sha384:{signature('sha384')}", "signature_malformed"),
        ("sha384:", "signature_malformed"),
        (f"sha384:{'0' * 96}", "signature_mismatch"),
        ("", "signature_missing"),
        (None, "signature_missing"),
    ],
)
def test_signatures(given: str | None, expected: str) -> None:
    provider = make("transloadit", secrets=secrets("fake-new-secret", SECRETS["transloadit"]))
    fields = {"transloadit": STATUS} | ({} if given is None else {"signature": given.encode()})
    try:
        found = verify(provider, changed(signed(provider), body=form_body(fields)[0]), NOW).scheme
    except Refused as error:
        found = error.reason
    assert found == expected


@pytest.mark.parametrize("body", [b"", STATUS, form_body({"signature": signature("sha1").encode()})[0]])
def test_what_holds_no_signed_status(body: bytes) -> None:
    provider = make("transloadit")
    with pytest.raises(Refused) as refused:
        verify(provider, changed(signed(provider), body=body), NOW)
    assert refused.value.reason == "signature_missing"


def test_a_file_that_came_out() -> None:
    body = completed({"ssl_url": URL, "url": "http://s3.amazonaws.com/a.jpg", "name": "a.jpg", "mime": "image/jpeg"})
    found = make("transloadit").read(verified(form_body({"transloadit": json.dumps(body).encode()})[0]))
    urls = (URL, "http://s3.amazonaws.com/a.jpg")
    one = AssetEvent(kind=AssetKind.UPDATED, id=URL, urls=urls, filename="a.jpg", mime_type="image/jpeg")
    assert (found.events, found.payload, found.event_id) == ((one,), body, "a1 ASSEMBLY_COMPLETED")


def test_every_step_s_images() -> None:
    files = [{"url": URL}, {"url": f"{URL}.webp", "mime": "image/webp"}]
    body = completed(*files, {"url": f"{URL}.mp4", "mime": "video/mp4"}, {"mime": "image/png"}, None)
    body["results"] |= {"thumbnails": [{"ssl_url": f"{URL}.png"}], "broken": {"ssl_url": f"{URL}.gif"}}
    found = make("transloadit").read(verified(json.dumps(body).encode()))
    assert [event.id for event in found.events] == [URL, f"{URL}.webp", f"{URL}.png"]


@pytest.mark.parametrize(
    ("body", "why", "event_id"),
    [
        (
            {"ok": "REQUEST_ABORTED", "assembly_id": "a1"},
            "the Assembly's state is REQUEST_ABORTED",
            "a1 REQUEST_ABORTED",
        ),
        ({"error": "INVALID_FORM_DATA"}, "the Assembly's state is INVALID_FORM_DATA", None),
        ({}, "the Assembly's state is None", None),
        (completed(), "no image came out of the Assembly", "a1 ASSEMBLY_COMPLETED"),
        ({"ok": "ASSEMBLY_COMPLETED", "results": []}, "no image came out of the Assembly", None),
    ],
)
def test_what_brought_no_image(body: Any, why: str, event_id: str | None) -> None:
    found = make("transloadit").read(verified(json.dumps(body).encode()))
    assert (found.instead, found.events, found.event_id) == (Ignored(why), (), event_id)


@pytest.mark.parametrize("body", [b"", b"1", form_body({"other": STATUS})[0], form_body({"transloadit": b"{"})[0]])
def test_a_body_without_a_status_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        make("transloadit").read(verified(body))
