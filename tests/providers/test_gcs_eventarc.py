"""Cloud Storage through Eventarc: its vectors, batches, and what is not about objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import NAME, NOW, make, secrets, verified
from support.vectors import cases, request_of, verdict

from service.domain.events import Ignored
from service.providers.registry import build
from service.providers.verification import verify
from service.settings.model import Auth, Jwt, Source

TOKEN = Jwt(
    email="push@relay-prod.iam.gserviceaccount.com", audience="https://relay.example.com/hooks/gcs", max_lifetime=10**10
)


@pytest.mark.parametrize("pinned", ["cert", "jwks"])
@pytest.mark.parametrize("case", cases("gcs-eventarc"))
def test_every_vector(case: Mapping[str, Any], pinned: str) -> None:
    keys = list(case["cert"].values()) if pinned == "cert" else [json.dumps(case["config"]["jwks"])]
    bases = {"photos": "https://img.example.com/"}
    source = Source(provider="gcs-eventarc", auth=Auth(jwt=TOKEN), public_keys=secrets(*keys), bases=bases)
    provider = build(NAME, source)
    assert verdict(provider, case, NOW) == "accepted"
    found = provider.read(verify(provider, request_of(case), NOW))
    (wanted,) = case["expect"]
    assert found.event_id == wanted["dedup"].replace("|", " ")
    if wanted["op"] == "metadata":
        assert isinstance(found.instead, Ignored)
        return
    (event,) = found.events
    assert (event.bucket, event.key) == (wanted["bucket"], wanted["key"])
    assert event.urls[0] == "https://img.example.com/uploads/%C3%A9t%C3%A9/red%20flower%2B1.jpg"
    assert event.kind.gone == (wanted["op"] == "delete")
    assert event.content_hash == "Pb4AoWdlOhqu4B2T535zDg=="


def structured(*events: Mapping[str, Any]) -> bytes:
    usual = {"specversion": "1.0", "source": "//storage.googleapis.com/projects/_/buckets/my-bucket"}
    documents = [{**usual, "id": str(number), **event} for number, event in enumerate(events)]
    return json.dumps(documents).encode()


def test_a_batch_and_events_of_other_kinds() -> None:
    of_object = {"data": {"bucket": "my-bucket", "name": "a.jpg"}}
    prefix = "google.cloud.storage.object.v1."
    found = make("gcs-eventarc").read(
        verified(
            structured(
                {"type": f"{prefix}finalized", **of_object},
                {"type": f"{prefix}archived", **of_object},
                {"type": f"{prefix}deleted", "data": []},
                {"type": "google.cloud.pubsub.topic.v1.messagePublished", **of_object},
            )
        )
    )
    assert [event.kind.value for event in found.events] == ["updated", "unpublished"]
    assert found.event_id is not None
    assert isinstance(make("gcs-eventarc").read(verified(b"[]")).instead, Ignored)
