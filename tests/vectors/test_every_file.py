"""Every recording is used: each vector has a provider that judges it, each capture one that reads it.

Where a vector's verdict is not the relay's own. Libraries of vendors are lax in places, and the relay is strict:

* Times ahead of the clock are let through by Contentful's, Cloudinary's and Stripe's; the relay refuses what lies
  further ahead than the tolerance, as it does behind (`support.vectors.TOO_NEW`).
* A vector without a verdict has none because libraries disagree, or because it came without a credential: it is
  refused, and read all the same where it says what it is about.
* `support.recorded.OURS` names the rest, with the reason.
"""

from __future__ import annotations

import json

import pytest
from support.recorded import KEYS_ALONE, OURS, files, provider_of
from support.senders import make, verified
from support.vectors import VECTORS, captured

from service.providers.registry import PROVIDERS

CAPTURES = VECTORS / "captures"

# Who sent what was captured, by the beginning of the file's name.
SENDERS = {
    "ceph-rgw": "ceph-rgw",
    "localstack-eb": "aws-eventbridge",
    "moto-sns": "aws-sns",
    "pubsub": "gcs-pubsub",
}


@pytest.mark.parametrize("file", files())
def test_a_file_of_vectors_is_a_provider_s(file: str) -> None:
    assert provider_of(file) in PROVIDERS
    assert files()[file]


def test_there_is_nothing_but_vectors_keys_and_captures() -> None:
    known = {f"{file}.json" for file in (*files(), KEYS_ALONE)}
    found = {path.name for path in VECTORS.iterdir() if path.suffix != ".py" and path.is_file()}
    assert found <= known
    assert {path.suffix for path in CAPTURES.iterdir()} <= {".http", ".pem"}


def test_a_verdict_of_our_own_is_about_a_vector_that_is_there() -> None:
    assert set(OURS) <= {case.get("id") for cases in files().values() for case in cases}


@pytest.mark.parametrize("name", sorted(path.stem for path in CAPTURES.glob("*.http")))
def test_a_capture_is_what_its_sender_sends(name: str) -> None:
    request = captured(name)
    sender = SENDERS[name.rpartition("-")[0]]
    topics = {"topics": [json.loads(request.body)["TopicArn"]]} if sender == "aws-sns" else {}
    provider = make(sender, **topics)
    notification = provider.read(verified(request.body, request.header_map(provider.info.stored_headers)))
    assert notification.events or notification.instead


@pytest.mark.parametrize("name", sorted(path.stem for path in CAPTURES.glob("*.pem")))
def test_a_captured_certificate_belongs_to_a_captured_request(name: str) -> None:
    assert (CAPTURES / f"{name}.http").is_file()


@pytest.mark.parametrize("file", files())
def test_a_vector_of_a_capture_is_that_capture(file: str) -> None:
    for case in files()[file]:
        path = VECTORS / case["capture"] if case.get("capture") else None
        if path is not None and path.is_file():
            request = captured(path.stem)
            assert (request.method, request.path) == (case["method"], case["path"])
            assert request.body.decode() == case["body"]
