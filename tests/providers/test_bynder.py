"""Bynder: what it publishes to its topic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import AUTHS, NAME, NOW, make, problem, read, secrets, signed, verified
from support.sns import notification
from support.vectors import agrees, cases, verdict

from service.domain.clock import parse_moment
from service.domain.events import AssetEvent, AssetKind, Confirmation, Ignored, Notification
from service.providers.registry import build
from service.settings.model import Source

MEDIA = "17F01106-6F26-4A9D-884ABECE523D1129"


def said(subject: str | None, message: str | None = None) -> Notification:
    text = json.dumps({"media_id": MEDIA}) if message is None else message
    return make("bynder").read(verified(json.dumps(notification(text, Subject=subject)).encode()))


@pytest.mark.parametrize("case", cases("bynder-amazon-sns"))
def test_vectors(case: Mapping[str, Any]) -> None:
    """The certificate is younger than the vectors' clock, so it is pinned: then its dates do not count."""
    body = json.loads(case["body"])
    source = Source(provider="bynder", topics=[body["TopicArn"]], public_keys=secrets(case["secret"]))
    provider = build(NAME, source)
    assert agrees(found := verdict(provider, case, parse_moment(str(case["now"]))), case), found
    if not case["valid"]:
        return
    read_case = provider.read(verified(case["body"].encode()))
    if body["Type"] == "SubscriptionConfirmation":
        assert isinstance(read_case.instead, Confirmation)
        return
    (event,) = read_case.events
    assert (event.kind, event.id) == (AssetKind.UPDATED, MEDIA)


def test_a_sample_s_subject_is_signed() -> None:
    request = signed(make("bynder"))
    assert json.loads(request.body)["Subject"] == "asset_bank.media.updated"
    assert "x-amz-sns-subject" not in dict(request.headers)
    assert read(make("bynder"), request).event_id


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("create", AssetKind.CREATED),
        ("upload", AssetKind.UPDATED),
        ("uploaded", AssetKind.UPDATED),
        ("updated", AssetKind.UPDATED),
        ("archived", AssetKind.UPDATED),
        ("deleted", AssetKind.DELETED),
    ],
)
def test_events(action: str, kind: AssetKind) -> None:
    assert said(f"asset_bank.media.{action}").events == (AssetEvent(kind=kind, id=MEDIA, occurred_at=NOW),)


def test_a_message_without_an_envelope_says_that_something_happened() -> None:
    behind = make("bynder", auth=AUTHS["basic"], secrets=secrets("fake-secret"))
    assert read(behind, signed(behind)).events == (AssetEvent(kind=AssetKind.UPDATED, id=MEDIA),)


@pytest.mark.parametrize(
    ("subject", "message", "why"),
    [
        ("asset_bank.media.meta_updated", None, "asset_bank.media.meta_updated changes no file"),
        ("asset_bank.media.pre_archived", None, "asset_bank.media.pre_archived changes no file"),
        ("workflow.job.create", None, "workflow.job.create changes no file"),
        ("updated", None, "updated changes no file"),
        ("asset_bank.media.updated", "{}", "the message names no media_id"),
        ("asset_bank.media.updated", "hello", "the message names no media_id"),
    ],
)
def test_what_is_not_about_a_file(subject: str, message: str | None, why: str) -> None:
    found = said(subject, message)
    assert (found.instead, found.events) == (Ignored(why), ())
    assert found.event_id


def test_a_topic_has_no_buckets_here() -> None:
    assert problem("bynder", bases={"b": "https://x/"})[0] == "bases"
    assert type(make("bynder")).warnings(Source(provider="bynder")) == []
