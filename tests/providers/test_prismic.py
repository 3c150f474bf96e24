"""Prismic: the secret in the body, which is looked at and then forgotten, and documents by their ids."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import AUTHS, NOW, changed, make, read, secrets, signed, verified

from service.domain import events
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetKind, Ignored, Notification
from service.providers.verification import verify

SECRET = 'fake "prismic" sécret \\'


def notification(**body: Any) -> Notification:
    return make("prismic").read(verified(json.dumps(body).encode()))


def test_the_secret_is_not_kept() -> None:
    provider = make("prismic", secrets=secrets(SECRET))
    request = signed(provider)
    kept = provider.stored_body(request.body)
    assert json.loads(kept) == json.loads(request.body) | {"secret": "***"}
    assert provider.read(verified(kept)).events == read(provider, request).events


def test_a_header_in_place_of_the_secret() -> None:
    provider = make("prismic", auth=AUTHS["header"], secrets=secrets("fake-header"))
    request = signed(provider)
    assert json.loads(request.body)["secret"] is None
    assert verify(provider, request, NOW).scheme == "header"
    with pytest.raises(Refused):
        verify(provider, changed(request, {"x-relay-key": "fake"}), NOW)


def test_every_document_is_an_event_of_its_own() -> None:
    found = notification(type="api-update", documents=["Za", "", None, {"id": "Zc"}, "Zb", "Za"])
    assert [(event.kind, event.id, event.all_urls) for event in found.events] == [
        (AssetKind.UPDATED, "Za", ()),
        (AssetKind.UPDATED, "Zb", ()),
    ]


@pytest.mark.parametrize("documents", [[], None, "Za", {}])
def test_without_documents_nothing_happened(documents: Any) -> None:
    found = notification(type="api-update", documents=documents, releases={"update": [{"id": "r"}]})
    assert found.instead == Ignored("no document was published or unpublished")


def test_the_test_button() -> None:
    assert notification(type="test-trigger").instead == events.TestPing("Prismic's test button")


def test_a_body_without_a_type_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="the body has no type"):
        notification(documents=["Za"])
