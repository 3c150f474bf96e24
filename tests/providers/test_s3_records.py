"""S3 event records: which of them matter, and how a key becomes a URL."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import problem
from support.sns import record

from service.providers.s3_records import amazon_sequence, bases_of, object_urls, read_records
from service.settings.model import Source

BASES = {"my-bucket": "https://img.example.com/"}


def keys(*records: Any, key_encoding: str | None = None) -> list[str | None]:
    return [event.key for event in read_records({"Records": list(records)}, BASES, key_encoding)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ObjectCreated:Put", "updated"),
        ("ObjectCreated:CompleteMultipartUpload", "updated"),
        ("s3:ObjectCreated:Copy", "updated"),
        ("ObjectRemoved:Delete", "deleted"),
        ("s3:ObjectRemoved:DeleteMarkerCreated", "deleted"),
        ("LifecycleExpiration:Delete", "deleted"),
        ("LifecycleExpiration:DeleteMarkerCreated", "deleted"),
        ("ObjectTagging:Put", None),
        ("ObjectAcl:Put", None),
        ("ObjectRestore:Completed", None),
        ("Replication:OperationFailedReplication", None),
        ("LifecycleTransition", None),
        ("IntelligentTiering", None),
        ("", None),
    ],
)
def test_names_of_events(name: str, kind: str | None) -> None:
    found = read_records({"Records": [record(name)]}, BASES, None)
    assert [event.kind.value for event in found] == ([] if kind is None else [kind])


@pytest.mark.parametrize(
    ("source", "encoding", "raw", "key"),
    [
        # What each sender writes for the same key, as it was measured.
        ("aws:s3", None, "uploads/%C3%A9t%C3%A9/red+flower%2B1+%28%C3%BC%29.jpg", "uploads/été/red flower+1 (ü).jpg"),
        (
            "aws:s3",
            None,
            "uploads%2F%C3%A9t%C3%A9%2Fred+flower%2B1+%28%C3%BC%29.jpg",
            "uploads/été/red flower+1 (ü).jpg",
        ),
        ("aws:s3", None, "uploads/%C3%A9t%C3%A9/red%20flower%2B1.jpg", "uploads/été/red flower+1.jpg"),
        ("minio:s3", None, "a%2Fb+c", "a/b c"),
        ("ceph:s3", None, "uploads/été/red flower+1 %41.jpg", "uploads/été/red flower+1 %41.jpg"),
        ("other", None, "a+b", "a b"),
        ("aws:s3", "verbatim", "a+b%20c", "a+b%20c"),
        ("aws:s3", "url", "a+b%20c", "a+b c"),
        ("ceph:s3", "form", "a+b%20c", "a b c"),
    ],
)
def test_keys_are_decoded_as_their_sender_wrote_them(source: str, encoding: str | None, raw: str, key: str) -> None:
    assert keys(record(key=raw, eventSource=source), key_encoding=encoding) == [key]


@pytest.mark.parametrize("raw", ["a%00b", "a%0d%0ab", "a%E2%80%A8b", "%7f", "a\x1fb"])
def test_keys_with_control_characters_are_left_out(raw: str) -> None:
    assert keys(record(key=raw), record(key="b")) == ["b"]
    assert keys(record(bucket="a\nb")) == []


@pytest.mark.parametrize(
    "broken",
    [None, 1, "x", [], {}, {"eventName": "ObjectCreated:Put"}, record(s3={}), record(s3={"bucket": {"name": "b"}})],
)
def test_what_is_no_record_is_left_out(broken: Any) -> None:
    assert keys(broken, record()) == ["a.jpg"]
    assert read_records({"Records": broken}, BASES, None) == ()


def test_what_a_record_says() -> None:
    (event,) = read_records({"Records": [record()]}, BASES, None)
    assert (event.id, event.bucket, event.urls) == ("my-bucket/a.jpg", "my-bucket", ("https://img.example.com/a.jpg",))
    assert event.content_hash == "d41d8cd98f00b204e9800998ecf8427e"
    assert event.occurred_at is not None
    json.dumps(event.id)


@pytest.mark.parametrize(
    ("bucket", "key", "urls"),
    [
        ("my-bucket", "a/b.jpg", ("https://img.example.com/a/b.jpg",)),
        ("my-bucket", "red flower+1 (ü).jpg", (
            "https://img.example.com/red%20flower%2B1%20%28%C3%BC%29.jpg",
            "https://img.example.com/red%20flower+1%20(%C3%BC).jpg",
        )),
        ("my-bucket", "a?b#c%d", ("https://img.example.com/a%3Fb%23c%25d",)),
        ("my-bucket", "../x//y", ("https://img.example.com/../x//y",)),
        ("evil.example/", "a", ()),
    ],
)  # fmt: skip
def test_the_urls_of_an_object(bucket: str, key: str, urls: tuple[str, ...]) -> None:
    assert object_urls(BASES, bucket, key) == urls


def test_bases() -> None:
    source = Source(provider="aws-sns", bases={"a": "https://x", "b": "/img/", "c": "http://x/?key="})
    assert bases_of(source) == {"a": "https://x/", "b": "/img/", "c": "http://x/?key="}
    assert problem("aws-sns", bases={"a": "x"}) == (
        "bases",
        "the base of a is neither a URL nor a path on the site: 'x'",
    )


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("0066F2A1B3C4D5E6F7", "0066F2A1B3C4D5E6F8"),
        ("0066f2a1", "0066F2A2"),
        ("0066F2A1", "0066F2A101"),  # the shorter one is filled up at its right
        ("0066F2A1", "1"),
        ("0", "01"),
    ],
)
def test_sequencers_of_amazon_are_in_order(earlier: str, later: str) -> None:
    first, second = amazon_sequence(earlier), amazon_sequence(later)
    assert first is not None
    assert second is not None
    assert first < second


def test_zeros_at_the_end_of_a_sequencer_say_nothing() -> None:
    assert amazon_sequence("0A00") == amazon_sequence("0a") == "0A"


@pytest.mark.parametrize("sequencer", [None, "", "xyz", "0A\n", "A" * 65, "\u0660"])
def test_what_is_no_sequencer_orders_nothing(sequencer: str | None) -> None:
    assert amazon_sequence(sequencer) is None


@pytest.mark.parametrize(("sender", "sequence"), [("aws:s3", "0A"), ("ceph:s3", None), ("minio:s3", None)])
def test_whose_sequencers_are_in_order(sender: str, sequence: str | None) -> None:
    told = record(eventSource=sender, s3={"bucket": {"name": "b"}, "object": {"key": "a.jpg", "sequencer": "0A0"}})
    (event,) = read_records({"Records": [told]}, BASES, None)
    assert event.sequence == sequence
