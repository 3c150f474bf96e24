"""The benchmark of events goes on working: every provider's sample can be grown to its size and read."""

from __future__ import annotations

import json

import pytest
from benchmarks import events
from support.senders import PROVIDERS, make, read


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_sample_grown_to_two_kilobytes_is_still_an_event(name: str) -> None:
    provider = make(name)
    request = events.request_of(provider)
    assert len(request.body) > events.BODY_BYTES - 21  # which no further field has place in
    assert read(provider, request).events


@pytest.mark.parametrize("word", events.WHY)
def test_an_explanation_is_somebody_s(word: str) -> None:
    assert any(word == name or word in make(name).info.signs for name in PROVIDERS)


def test_a_document_is_grown_to_the_byte() -> None:
    for body in (b"{}", b'[{"a": 1}]', json.dumps({"a": "x" * 1900}).encode()):
        assert len(events.grown(body)) == events.BODY_BYTES


def test_the_table_has_a_line_for_each_provider(capsys: pytest.CaptureFixture[str]) -> None:
    events.main(["--rounds", "1", "--provider", "github", "--provider", "aws-sns"])
    head, *lines, last = capsys.readouterr().out.splitlines()
    assert "× unit" in head
    assert [line.split()[0] for line in lines] == ["github", "aws-sns"]
    assert last.startswith("over the budget of 3 without an explanation:")
