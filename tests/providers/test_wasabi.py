"""Wasabi: an Amazon SNS topic that carries another store's records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import NOW, TOPIC, make, problem, read, signed
from support.sns import notification, record, sealed

from service.domain.errors import Refused
from service.domain.requests import RawRequest
from service.providers.verification import verify

NAME = "wasabi"


def message(*records: Any, topic: str = TOPIC) -> RawRequest:
    body = sealed(notification(json.dumps({"Records": records}), TopicArn=topic))
    return RawRequest.of("POST", "/hooks/hook", {"content-type": "text/plain"}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("settings", "key"),
    [({}, "a/b c+d.jpg"), ({"key_encoding": "verbatim"}, "a/b+c%2Bd.jpg"), ({"key_encoding": "url"}, "a/b+c+d.jpg")],
)
def test_keys_are_read_as_the_source_says(settings: dict[str, Any], key: str) -> None:
    one = record("ObjectCreated:Put", "a/b+c%2Bd.jpg", eventSource="another:store")
    (event,) = read(make(NAME, **settings), message(one)).events
    assert (event.key, event.bucket) == (key, "my-bucket")


def test_only_the_topics_of_the_source_may_speak() -> None:
    with pytest.raises(Refused, match="topic"):
        verify(make(NAME), message(topic=TOPIC + "-other"), NOW)
    assert problem(NAME, topics=[])[0] == "topics"


def test_it_names_itself() -> None:
    provider = make(NAME)
    assert provider.info.name == NAME
    assert verify(provider, signed(provider), NOW).scheme == "aws-sns-v2"
