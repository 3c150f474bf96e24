from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.events import AssetEvent, AssetKind
from service.domain.memory import AssetMemory
from service.rules.memory import next_memory, overtaken, with_memory

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
BEFORE, AFTER = NOON - timedelta(seconds=1), NOON + timedelta(seconds=1)
UPDATED, DELETED = AssetKind.UPDATED, AssetKind.DELETED


def event(
    kind: AssetKind = UPDATED,
    urls: str = "",
    earlier: str = "",
    *,
    content_hash: str | None = None,
    occurred_at: datetime | None = None,
    sequence: str | None = None,
) -> AssetEvent:
    return AssetEvent(
        kind=kind,
        id="a1",
        urls=tuple(urls),
        earlier_urls=tuple(earlier),
        content_hash=content_hash,
        occurred_at=occurred_at,
        sequence=sequence,
    )


def memory(
    urls: str = "",
    earlier: str = "",
    *,
    content_hash: str | None = None,
    occurred_at: datetime | None = None,
    gone: bool = False,
    sequence: str | None = None,
) -> AssetMemory:
    return AssetMemory(
        urls=tuple(urls),
        earlier_urls=tuple(earlier),
        content_hash=content_hash,
        occurred_at=occurred_at,
        gone=gone,
        sequence=sequence,
    )


def test_without_memory_an_event_is_what_it_says() -> None:
    given_event = event(urls="a")
    assert with_memory(given_event, None) is given_event


@pytest.mark.parametrize(
    ("told", "known", "earlier"),
    [
        (event(urls="b"), memory("a", "yz"), "ayz"),
        (event(urls="a"), memory("a", "yz"), "yz"),
        (event(urls="y"), memory("a", "yz"), "az"),
        (event(DELETED), memory("ab", "yz"), "abyz"),
        (event(AssetKind.RENAMED, "b", "c"), memory("a", "c"), "ca"),
    ],
)
def test_remembered_urls_join_the_earlier_ones(told: AssetEvent, known: AssetMemory, earlier: str) -> None:
    seen = with_memory(told, known)
    assert seen.earlier_urls == tuple(earlier)
    assert seen.urls == told.urls


@pytest.mark.parametrize(
    ("told", "known", "kind"),
    [
        (event(urls="a"), memory("a"), UPDATED),
        (event(urls="ba"), memory("ab"), UPDATED),
        (event(urls="b"), memory("a"), AssetKind.REPLACED),
        (event(urls="ab"), memory("a"), AssetKind.REPLACED),
        (event(urls=""), memory("a"), UPDATED),
        (event(urls="a"), memory(""), UPDATED),
        (event(urls="a"), memory("", "b"), UPDATED),
        (event(content_hash="1"), memory(content_hash="2"), AssetKind.REPLACED),
        (event(content_hash="1"), memory(content_hash="1"), UPDATED),
        (event(content_hash="1"), memory(), UPDATED),
        (event(), memory(content_hash="1"), UPDATED),
        (event(urls="a", content_hash="1"), memory("a", content_hash="2"), AssetKind.REPLACED),
        (event(AssetKind.CREATED, "b"), memory("a"), AssetKind.CREATED),
        (event(DELETED, "b"), memory("a"), DELETED),
    ],
)
def test_an_update_that_changed_the_image_is_a_replacement(
    told: AssetEvent, known: AssetMemory, kind: AssetKind
) -> None:
    assert with_memory(told, known).kind is kind


@pytest.mark.parametrize(
    ("told", "known", "after"),
    [
        (event(urls="aab", earlier="xb"), None, memory("ab", "x")),
        (event(urls="b"), memory("a", "yz"), memory("b", "ayz")),
        (event(urls="y"), memory("a", "yz"), memory("y", "az")),
        (event(), memory("a", "y"), memory("a", "y")),
        (event(AssetKind.RENAMED, "b", "c"), memory("a", "y"), memory("b", "acy")),
        (event(DELETED), memory("a"), memory("a", gone=True)),
        (event(AssetKind.UNPUBLISHED), None, memory(gone=True)),
        (event(AssetKind.RESTORED), memory("a", gone=True), memory("a")),
        (event(urls="vwx"), memory("abc", "yz"), memory("vwx", "abcy")),
        (event(content_hash="2"), memory(content_hash="1"), memory(content_hash="2")),
        (event(), memory(content_hash="1"), memory(content_hash="1")),
        (event(occurred_at=AFTER), memory(occurred_at=NOON), memory(occurred_at=AFTER)),
        (event(), memory(occurred_at=NOON), memory(occurred_at=NOON)),
        (event(occurred_at=NOON), memory("a"), memory("a", occurred_at=NOON)),
        # late: older than what is remembered
        (event(urls="b", occurred_at=BEFORE), memory("a", "y", occurred_at=NOON), memory("a", "by", occurred_at=NOON)),
        (
            event(urls="ab", earlier="x", content_hash="1", occurred_at=BEFORE),
            memory("a", content_hash="2", occurred_at=NOON, gone=True),
            memory("a", "bx", content_hash="2", occurred_at=NOON, gone=True),
        ),
        (event(DELETED, occurred_at=BEFORE), memory("a", occurred_at=NOON), memory("a", occurred_at=NOON)),
        # the same moment as the store keeps it, to the millisecond
        (
            event(urls="b", occurred_at=NOON + timedelta(microseconds=100)),
            memory("a", occurred_at=NOON + timedelta(microseconds=400)),
            memory("b", "a", occurred_at=NOON + timedelta(microseconds=100)),
        ),
        # the sender's own numbers come before its times
        (event(urls="b", sequence="1"), memory("a", sequence="2"), memory("a", "b", sequence="2")),
        (event(urls="b", sequence="3"), memory("a", sequence="2"), memory("b", "a", sequence="3")),
        (event(urls="b", sequence="2"), memory("a", sequence="2"), memory("b", "a", sequence="2")),
        (
            event(urls="b", sequence="3", occurred_at=BEFORE),
            memory("a", sequence="2", occurred_at=NOON),
            memory("b", "a", sequence="3", occurred_at=BEFORE),
        ),
        (
            event(DELETED, sequence="2", occurred_at=BEFORE),
            memory("a", sequence="2", occurred_at=NOON),
            memory("a", sequence="2", occurred_at=NOON),
        ),
        (event(UPDATED, "a", sequence="1"), memory("a", sequence="2", gone=True), memory("a", sequence="2", gone=True)),
        # without a number on both sides, times have to do
        (event(urls="b"), memory("a", sequence="2"), memory("b", "a")),
        (
            event(urls="b", sequence="1", occurred_at=AFTER),
            memory("a", occurred_at=NOON),
            memory("b", "a", sequence="1", occurred_at=AFTER),
        ),
        # what no image may hold is not worth remembering
        (event(urls="a\0\ud800", earlier="\n"), None, memory("a")),
    ],
)
def test_what_is_remembered(told: AssetEvent, known: AssetMemory | None, after: AssetMemory) -> None:
    assert next_memory(told, known, 4) == after


@pytest.mark.parametrize(
    ("told", "known", "why"),
    [
        (event(), None, None),
        (event(occurred_at=AFTER), memory(occurred_at=NOON), None),
        (event(), memory(occurred_at=NOON, gone=True), None),
        (
            event(occurred_at=BEFORE),
            memory(occurred_at=NOON, gone=True),
            "older than what is known: that it is gone, as of 2026-11-24T12:00:00.000Z",
        ),
        (event(sequence="1"), memory(sequence="2"), "older than what is known: a later state"),
    ],
)
def test_why_an_event_comes_too_late(told: AssetEvent, known: AssetMemory | None, why: str | None) -> None:
    assert overtaken(told, known) == why


@pytest.mark.parametrize(
    ("told", "known", "newer"),
    [
        (event(), memory(), None),
        (event(sequence="1"), memory(), None),
        (event(), memory(sequence="1"), None),
        (event(sequence="1"), memory(sequence="1"), False),
        (event(sequence="1"), memory(sequence="2"), True),
        (event(sequence="2"), memory(sequence="1"), False),
        (event(occurred_at=NOON), memory(occurred_at=NOON), False),
        (event(occurred_at=BEFORE), memory(occurred_at=NOON), True),
        (event(occurred_at=BEFORE), memory(), None),
    ],
)
def test_which_state_is_the_newer_where_the_sender_says(
    told: AssetEvent, known: AssetMemory, newer: bool | None
) -> None:
    assert known.is_newer_than(told) is newer


letters = st.text("abcdef", max_size=5)
moments = st.none() | st.sampled_from([BEFORE, NOON, AFTER])
hashes = st.none() | st.sampled_from(["1", "2"])
timed_events = st.builds(event, st.sampled_from(AssetKind), letters, letters, content_hash=hashes, occurred_at=moments)
all_events = st.builds(
    event,
    st.sampled_from(AssetKind),
    letters,
    letters,
    content_hash=hashes,
    occurred_at=moments,
    sequence=st.none() | st.sampled_from(["1", "2", "3"]),
)


def histories() -> st.SearchStrategy[AssetMemory | None]:
    """Memories as they come about: from any events, one after the other."""

    def remember(told: list[AssetEvent]) -> AssetMemory | None:
        known = None
        for one in told:
            known = next_memory(one, known, 4)
        return known

    return st.lists(all_events, max_size=4).map(remember)


@given(all_events, histories())
def test_adding_the_memory_twice_is_adding_it_once(told: AssetEvent, known: AssetMemory | None) -> None:
    once = with_memory(told, known)
    assert with_memory(once, known) == once


@given(all_events, histories())
def test_no_url_is_lost_before_the_rules(told: AssetEvent, known: AssetMemory | None) -> None:
    remembered = () if known is None else (*known.urls, *known.earlier_urls)
    assert set(with_memory(told, known).all_urls) == {*told.urls, *told.earlier_urls, *remembered}


@given(all_events, histories(), st.integers(0, 20))
def test_no_url_is_forgotten_within_the_limit(told: AssetEvent, known: AssetMemory | None, limit: int) -> None:
    after = next_memory(told, known, limit)
    everything = {*told.urls, *told.earlier_urls, *(() if known is None else (*known.urls, *known.earlier_urls))}
    kept = (*after.urls, *after.earlier_urls)
    assert len(set(kept)) == len(kept)
    assert len(after.earlier_urls) == min(limit, len(everything) - len(after.urls))
    assert set(kept) <= everything


@given(all_events, histories())
def test_the_rules_see_the_event_and_the_memory_may_too(told: AssetEvent, known: AssetMemory | None) -> None:
    plain, seen = next_memory(told, known, 20), next_memory(with_memory(told, known), known, 20)
    assert set(plain.earlier_urls) == set(seen.earlier_urls)
    assert (plain.urls, plain.gone, plain.occurred_at) == (seen.urls, seen.gone, seen.occurred_at)


@given(st.lists(timed_events.filter(lambda told: told.occurred_at is not None), max_size=5))
def test_time_in_memory_never_runs_back(told: list[AssetEvent]) -> None:
    known: AssetMemory | None = None
    for one in told:
        after = next_memory(one, known, 4)
        assert after.occurred_at == max(moment for moment in (one.occurred_at, known and known.occurred_at) if moment)
        known = after


@given(st.lists(all_events.filter(lambda told: told.sequence is not None), max_size=5))
def test_the_senders_numbers_in_memory_never_run_back(told: list[AssetEvent]) -> None:
    known: AssetMemory | None = None
    for one in told:
        after = next_memory(one, known, 4)
        assert after.sequence == max(number for number in (one.sequence, known and known.sequence) if number)
        known = after
