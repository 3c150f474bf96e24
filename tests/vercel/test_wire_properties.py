"""No answer and no purge makes the wire format raise."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from service.domain.outcomes import OutcomeKind
from service.domain.purges import Action
from service.vercel.wire import MAX_REASON, purge_request, read_reply

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
YEAR = timedelta(days=366)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["error", "err", "limit", "message", "reset"]), inner)
    ),
    max_leaves=12,
)
ERRORS = st.fixed_dictionaries(
    {"error": st.fixed_dictionaries({"message": JSON, "code": JSON, "limit": st.fixed_dictionaries({"reset": JSON})})}
)
BODIES = (
    st.binary()
    | st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))
    | (JSON | ERRORS).map(lambda document: json.dumps(document).encode())
)
VALUES = st.text() | st.integers().map(str) | st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT"))
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "x-ratelimit-reset", "x-ratelimit-remaining", "x-vercel-id"]) | st.text(), VALUES
)


@given(status=st.integers(100, 599), headers=HEADERS, body=BODIES)
def test_any_answer_gives_an_outcome(status: int, headers: dict[str, str], body: bytes) -> None:
    outcome = read_reply(status, headers, body, NOW)
    assert outcome.status == status
    assert 0 < len(outcome.reason) <= MAX_REASON
    assert outcome.reason.isprintable()
    assert (outcome.kind is OutcomeKind.DONE) == (200 <= status < 300)
    for moment in (outcome.retry_at, outcome.quota_until):
        assert moment is None or NOW < moment <= NOW + YEAR


@given(project=st.text(min_size=1), team=st.none() | st.text(), images=st.lists(st.text(), min_size=1, max_size=8))
def test_any_purge_gives_ascii_and_utf8(project: str, team: str | None, images: list[str]) -> None:
    request = purge_request(
        api="https://api.example.com",
        project=project,
        team=team,
        action=Action.DELETE,
        src_images=images,
        deadline=0,
    )
    assert request.url.isascii()
    assert request.url.isprintable()
    assert json.loads(request.body.decode())["srcImages"] == images
