"""Filestack: time and body in two headers, files by handle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from support.senders import NOW, changed, make, problem, signed, verified

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Ignored
from service.providers.verification import verify

URL = "https://cdn.filestackcontent.com/HANDLE"


def event(body: Mapping[str, Any], **settings: Any) -> AssetEvent:
    (found,) = make("filestack", **settings).read(verified(json.dumps(body).encode())).events
    return found


@pytest.mark.parametrize(
    ("headers", "seconds", "expected"),
    [
        ({}, 86_400, ""),
        ({}, 86_401, "timestamp_too_old"),
        ({}, -86_401, "timestamp_too_new"),
        ({"fs-timestamp": "1795521601"}, 0, "signature_mismatch"),
        ({"fs-timestamp": "soon"}, 0, "timestamp_malformed"),
        ({"fs-timestamp": ""}, 0, "signature_missing"),
        ({"fs-signature": "F" * 64}, 0, "signature_malformed"),
        ({"fs-signature": "f" * 40}, 0, "signature_malformed"),
        ({"fs-signature": "f" * 64}, 0, "signature_mismatch"),
        ({"fs-signature": ""}, 0, "signature_missing"),
    ],
)
def test_signatures(headers: Mapping[str, str], seconds: float, expected: str) -> None:
    provider = make("filestack")
    try:
        verify(provider, changed(signed(provider), headers), NOW + timedelta(seconds=seconds))
        found = ""
    except Refused as error:
        found = error.reason
    assert found == expected


@pytest.mark.parametrize(
    ("action", "kind"), [("fp.upload", "created"), ("fp.overwrite", "replaced"), ("fp.delete", "deleted")]
)
def test_events(action: str, kind: str) -> None:
    body = {"id": 30815340, "action": action, "timestamp": 1795521600, "text": {"url": URL}}
    found = make("filestack").read(verified(json.dumps(body).encode()))
    (one,) = found.events
    assert (one.kind.value, one.id, one.urls, one.occurred_at) == (kind, "HANDLE", (URL,), NOW)
    assert found.event_id == "30815340"


def test_a_file() -> None:
    file = {"url": URL, "mimetype": "image/png", "filename": "a.png", "key": "k_a.png"}
    found = event({"action": "fp.overwrite", "text": file})
    assert (found.mime_type, found.filename, found.key) == ("image/png", "a.png", "k_a.png")


@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}?a=/b", f"{URL}#/c", f"{URL}/?x"])
def test_the_handle(url: str) -> None:
    assert event({"action": "fp.delete", "text": {"url": url}}).id == "HANDLE"


def test_a_host_of_one_s_own() -> None:
    found = event({"action": "fp.delete", "text": {"url": URL}}, cdn_host="img.example.com")
    assert (found.id, found.urls) == ("HANDLE", ("https://img.example.com/HANDLE",))
    assert problem("filestack", cdn_host="a/b") == ("cdn_host", "'a/b' cannot be part of an image's URL")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"action": "fs.workflow"}, "a fs.workflow event changes no image's delivery"),
        ({"action": "fp.converse", "text": {"url": URL}}, "a fp.converse event changes no image's delivery"),
        ({"status": "completed", "uuid": "u1"}, "a None event changes no image's delivery"),
        (
            {"action": "fp.overwrite", "text": {"url": URL, "mimetype": "video/mp4"}},
            "the file is video/mp4, no image",
        ),
    ],
)
def test_what_changes_no_image(body: Any, why: str) -> None:
    found = make("filestack").read(verified(json.dumps(body).encode()))
    assert (found.instead, found.events) == (Ignored(why), ())


@pytest.mark.parametrize("file", [{}, {"url": ""}, {"url": "HANDLE"}, None])
def test_a_file_without_a_url_is_unreadable(file: Any) -> None:
    with pytest.raises(Unreadable, match=r"the fp\.delete event has no text\.url"):
        event({"action": "fp.delete", "text": file})
