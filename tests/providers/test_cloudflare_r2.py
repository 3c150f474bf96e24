"""Cloudflare R2: what its queue says, and that the documented Worker signs what the relay verifies."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from support.senders import (
    AUTHS,
    NOW,
    PATH,
    SECRETS,
    changed,
    make,
    problem,
    secrets,
    signed,
    source,
    verified,
    without,
)
from support.vectors import cases

from service.domain.clock import iso, to_ms
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Ignored
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.cloudflare_r2 import WORKER, CloudflareR2
from service.providers.verification import verify

NAME = "cloudflare-r2"
# What a Worker has around it: a queue of three messages, and a relay that takes the first, refuses the second and is
# not there for the third.
DRIVER = """
const sent = [], settled = [];
globalThis.fetch = async (url, init) => {
  sent.push({ url, ...init });
  if (sent.length === 3) throw new TypeError("fetch failed");
  return { ok: sent.length === 1 };
};
Date.now = () => %d;
const message = (id, attempts, body) => ({
  id, attempts, body, ack: () => settled.push("ack"), retry: ({ delaySeconds }) => settled.push(delaySeconds)
});
const env = { RELAY_URL: "https://relay.example/hooks/hook", RELAY_SECRET: "%s" };
const messages = [message("m1", 1, { bucket: "\u00fc" }), message("m2", 1, {}), message("m3", 20, {})];
worker.queue({ messages }, env).then(() => console.log(JSON.stringify({ sent, settled })));
"""


def one(action: Any = "PutObject", **more: Any) -> dict[str, Any]:
    usual = {"action": action, "bucket": "my-bucket", "object": {"key": "a+b c.jpg", "eTag": "e1"}}
    return usual | {"eventTime": iso(NOW)} | more


def events(document: Any, **settings: Any) -> tuple[AssetEvent, ...]:
    return make(NAME, **settings).read(verified(json.dumps(document).encode())).events


def outcome(provider: Provider, request: RawRequest, now: datetime = NOW) -> str:
    try:
        return verify(provider, request, now).scheme
    except Refused as error:
        return error.reason


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("PutObject", "updated"),
        ("CopyObject", "updated"),
        ("CompleteMultipartUpload", "updated"),
        ("DeleteObject", "deleted"),
        ("LifecycleDeletion", "deleted"),
        ("AbortMultipartUpload", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_actions(action: Any, kind: str | None) -> None:
    assert [event.kind.value for event in events(one(action))] == ([] if kind is None else [kind])


def test_what_a_message_says() -> None:
    (event,) = events(one())
    assert (event.id, event.bucket, event.key) == ("my-bucket/a+b c.jpg", "my-bucket", "a+b c.jpg")
    assert event.urls == ("https://img.example.com/a%2Bb%20c.jpg", "https://img.example.com/a+b%20c.jpg")
    assert (event.occurred_at, event.content_hash) == (NOW, "e1")
    (event,) = events(one("DeleteObject", object={"key": "a.jpg"}))
    assert event.content_hash is None
    (event,) = events(one(), key_encoding="form")
    assert event.key == "a b c.jpg"


@pytest.mark.parametrize("document", [{}, one(bucket=None), one(object=None), one(object={"key": "a\n"})])
def test_what_names_no_object_is_ignored(document: Any) -> None:
    found = make(NAME).read(verified(json.dumps(document).encode(), {"webhook-id": "m1"}))
    ignored = Ignored("the message does not tell of an object that was written or removed")
    assert (found.events, found.instead, found.event_id) == ((), ignored, "m1")


@pytest.mark.parametrize("case", cases(NAME))
def test_what_a_pull_of_the_queue_answers(case: Mapping[str, Any]) -> None:
    """The vector is the other way to read a queue; the message in it is what the Worker forwards."""
    (message,) = json.loads(case["response"])["result"]["messages"]
    body = base64.b64decode(message["body"])
    (event,) = make(NAME).read(verified(body)).events
    assert (event.bucket, event.key, event.kind.value) == ("photos", "uploads/flower.jpg", "updated")
    with pytest.raises(Unreadable, match="not an object"):
        make(NAME).read(verified(b"[]"))


def test_signatures() -> None:
    provider = make(NAME, secrets=secrets("whsec_bmV3LW5ldy1uZXctbmV3LW5ldw==", SECRETS[NAME]))
    request = signed(make(NAME))
    assert outcome(provider, request) == "standard-webhooks-v1"
    assert outcome(provider, changed(request, {"webhook-id": "other"})) == "signature_mismatch"
    assert outcome(provider, without(request, "webhook-signature")) == "signature_missing"
    assert outcome(make(NAME, auth=AUTHS["capability"], secrets=secrets("fake")), request) == "credential_missing"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js, which a Worker's code is written for")
def test_the_documented_worker_signs_what_the_relay_verifies() -> None:
    script = WORKER.replace("export default", "const worker =") + DRIVER % (to_ms(NOW), SECRETS[NAME])
    done = subprocess.run(["node", "-e", script], capture_output=True, check=True, timeout=60)
    found = json.loads(done.stdout)
    assert found["settled"] == ["ack", 30, 3600]
    for sent, identity in zip(found["sent"], ("m1", "m2", "m3"), strict=True):
        assert (sent["url"], sent["method"]) == ("https://relay.example/hooks/hook", "POST")
        request = RawRequest.of("POST", PATH, sent["headers"], sent["body"].encode())
        assert outcome(make(NAME), request) == "standard-webhooks-v1"
        assert make(NAME).read(verify(make(NAME), request, NOW)).event_id == identity


@pytest.mark.parametrize(
    ("settings", "warned"), [({}, False), ({"bases": {}}, True), ({"bases": {}, "rules": [{"name": "x"}]}, False)]
)
def test_without_bases_nothing_has_a_url(settings: Mapping[str, Any], warned: bool) -> None:
    assert bool(CloudflareR2.warnings(source(NAME, **settings))) is warned
    assert problem(NAME, bases={"a": "x"})[0] == "bases"
