from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from support.dispatching import DONE, DOWN, FORBIDDEN, INVALID, MISSING
from support.virtual_time import START

from service.dispatch.policy import Dead, Decision, Done, Hold, Retry, Split, decide, halves, settlements
from service.domain.attempts import Settlement
from service.domain.batches import Batch
from service.domain.clock import EPOCH
from service.domain.outcomes import Outcome, OutcomeKind
from service.domain.purges import Action, Purge, PurgeState

MAX_AGE = timedelta(hours=72)


def half() -> float:
    return 0.5


def purge(number: int = 0, attempts: int = 1, failing_since: datetime | None = None) -> Purge:
    return Purge(
        id=f"prg_{number}",
        project="shop",
        action=Action.DELETE,
        src_image=f"/{number}.jpg",
        deadline=60,
        state=PurgeState.CLAIMED,
        due_at=START - timedelta(seconds=number),
        created_at=START - timedelta(days=4),
        attempts=attempts,
        failing_since=failing_since,
    )


def batch(*purges: Purge) -> Batch[Purge]:
    return Batch("shop", Action.DELETE, 60, purges or (purge(),))


def settled(
    decision: Decision, of: Batch[Purge], *, counted_from: datetime = EPOCH, max_age: timedelta = MAX_AGE
) -> list[Settlement]:
    return settlements(decision, of, START, max_age=max_age, counted_from=counted_from)


def transient(status: int | None, retry_at: datetime | None = None) -> Outcome:
    return Outcome(kind=OutcomeKind.TRANSIENT, status=status, reason="not now", retry_at=retry_at)


@pytest.mark.parametrize(
    ("outcome", "images", "decision"),
    [
        (DONE, 1, Done()),
        (DONE, 8, Done()),
        (Outcome(kind=OutcomeKind.DONE, status=202, reason="x", warning="202, not 200"), 2, Done("202, not 200")),
        (INVALID, 8, Split(INVALID.reason)),
        (INVALID, 2, Split(INVALID.reason)),
        (INVALID, 1, Dead(INVALID.reason)),
        (FORBIDDEN, 8, Hold(FORBIDDEN.reason)),
        (MISSING, 1, Hold(MISSING.reason)),
        (DOWN, 1, Retry((START + timedelta(seconds=0.5),), DOWN.reason)),
        (transient(None), 2, Retry((START + timedelta(seconds=0.5),) * 2, "not now")),
    ],
)
def test_the_answer_table(outcome: Outcome, images: int, decision: Decision) -> None:
    assert decide(outcome, batch(*map(purge, range(images))), START, half) == decision


@pytest.mark.parametrize(
    ("attempts", "failing_since", "wait"),
    [(1, None, 0.5), (2, START, 1), (3, START, 2), (5, START, 8), (40, START, 150), (7, None, 0.5), (0, START, 0.5)],
)
def test_retries_back_off_by_failures_in_a_row(attempts: int, failing_since: datetime | None, wait: float) -> None:
    decision = decide(DOWN, batch(purge(0, attempts, failing_since)), START, half)
    assert decision == Retry((START + timedelta(seconds=wait),), DOWN.reason)


@pytest.mark.parametrize("status", [429, 503])
def test_no_retry_comes_before_vercel_asked_for_it(status: int) -> None:
    asked = START + timedelta(days=7)
    chance = random.Random(1)  # noqa: S311 - the same numbers in every run
    for attempts in (1, 2, 3, 9):
        purges = [purge(number, attempts, START) for number in range(8)]
        decision = decide(transient(status, asked), batch(*purges), START, chance.random)
        assert isinstance(decision, Retry)
        assert all(at >= asked for at in decision.at)


def test_a_time_vercel_asked_for_that_is_over_when_it_is_read_changes_nothing() -> None:
    decision = decide(transient(503, START - timedelta(seconds=9)), batch(), START, half)
    assert decision == Retry((START + timedelta(seconds=0.5),), "not now")


@pytest.mark.parametrize(
    ("status", "attempts", "times"),
    [(503, 2, 1), (503, 3, 8), (None, 3, 8), (408, 4, 8), (429, 3, 1)],
)
def test_images_that_failed_together_three_times_go_their_own_ways(
    status: int | None, attempts: int, times: int
) -> None:
    chance = random.Random(1)  # noqa: S311 - the same numbers in every run
    purges = [purge(number, attempts, START) for number in range(8)]
    decision = decide(transient(status), batch(*purges), START, chance.random)
    assert isinstance(decision, Retry)
    assert len(set(decision.at)) == times


def same(one: Purge) -> tuple[object, ...]:
    return (one, PurgeState.PENDING, FORBIDDEN.reason, one.due_at, None)


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (Done(), lambda one: (one, PurgeState.DONE, None, None, None)),
        (Done("202"), lambda one: (one, PurgeState.DONE, "202", None, None)),
        (Dead("no"), lambda one: (one, PurgeState.DEAD, "no", None, None)),
        (Hold(FORBIDDEN.reason), same),
    ],
)
def test_what_becomes_of_each_purge(decision: Decision, expected: Callable[[Purge], tuple[object, ...]]) -> None:
    purges = batch(purge(0, 3, START), purge(1))
    assert [
        (one.purge, one.state, one.last_error, one.due_at, one.failing_since) for one in settled(decision, purges)
    ] == [expected(one) for one in purges.purges]


def test_a_batch_that_is_split_is_not_settled_yet() -> None:
    assert settled(Split("400"), batch(purge(0), purge(1))) == []


def test_a_failed_purge_waits_from_its_first_failure_on() -> None:
    since = START - timedelta(hours=1)
    at = (START + timedelta(seconds=1), START + timedelta(seconds=2))
    purges = (purge(0), purge(1, 5, since))
    assert settled(Retry(at, "not now"), batch(*purges)) == [
        Settlement(purge=purges[0], state=PurgeState.PENDING, last_error="not now", due_at=at[0], failing_since=START),
        Settlement(purge=purges[1], state=PurgeState.PENDING, last_error="not now", due_at=at[1], failing_since=since),
    ]


@pytest.mark.parametrize(
    ("failing_for", "open_for", "state", "counted"),
    [
        (timedelta(hours=71), None, PurgeState.PENDING, timedelta(hours=71)),
        (timedelta(hours=72), None, PurgeState.DEAD, None),
        (timedelta(hours=80), None, PurgeState.DEAD, None),
        # The project was held until an hour ago.
        (timedelta(hours=80), timedelta(hours=1), PurgeState.PENDING, timedelta(hours=1)),
        (timedelta(hours=80), timedelta(hours=73), PurgeState.DEAD, None),
    ],
)
def test_a_purge_that_has_failed_for_too_long_is_dead(
    failing_for: timedelta, open_for: timedelta | None, state: PurgeState, counted: timedelta | None
) -> None:
    counted_from = EPOCH if open_for is None else START - open_for
    of = batch(purge(0, 9, START - failing_for))
    (one,) = settled(Retry((START,), "503 Service Unavailable"), of, counted_from=counted_from)
    assert one.state is state
    assert one.failing_since == (None if counted is None else START - counted)
    if state is PurgeState.DEAD:
        assert one.last_error == "still failing after 72 h: 503 Service Unavailable"


@pytest.mark.parametrize(
    ("max_age", "said"),
    [(timedelta(hours=72), "72 h"), (timedelta(hours=1.5), "1.5 h"), (timedelta(minutes=1), "1 min")],
)
def test_how_long_it_failed_is_said_in_what_is_easy_to_read(max_age: timedelta, said: str) -> None:
    of = batch(purge(0, 9, START - timedelta(hours=80)))
    (one,) = settlements(Retry((START,), "500"), of, START, max_age=max_age, counted_from=EPOCH)
    assert one.last_error == f"still failing after {said}: 500"


def test_age_is_each_purges_own() -> None:
    of = batch(purge(0, 9, START - timedelta(hours=80)), purge(1))
    states = [one.state for one in settled(Retry((START, START), "not now"), of)]
    assert states == [PurgeState.DEAD, PurgeState.PENDING]


def test_without_any_age_there_is_one_call() -> None:
    (one,) = settled(Retry((START,), "not now"), batch(), max_age=timedelta())
    assert one.state is PurgeState.DEAD


@pytest.mark.parametrize(("images", "sizes"), [(2, (1, 1)), (3, (1, 2)), (8, (4, 4))])
def test_halves(images: int, sizes: tuple[int, int]) -> None:
    whole = batch(*map(purge, range(images)))
    first, second = halves(whole)
    assert (len(first.purges), len(second.purges)) == sizes
    assert first.purges + second.purges == whole.purges
    assert {(one.project, one.action, one.deadline) for one in (first, second)} == {("shop", Action.DELETE, 60)}
