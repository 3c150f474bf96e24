"""Our requests against those of Vercel's own SDK, and the fake against the SDK's reading of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from support.loopback import serve

from service.domain.clock import system_clock
from service.domain.outcomes import OutcomeKind
from service.domain.purges import Action
from service.domain.secret import Secret
from service.testing.fake_answers import Answer
from service.testing.fake_vercel import FakeVercel, create_fake_vercel
from service.vercel.client import VercelClient
from service.vercel.wire import purge_request

TOKEN = "fake-token-for-the-sdk-comparison"
ODD = [
    "/a b.png",
    "https://img.example.com/ä/ö.jpg?w=1&h=2#x",
    "//host/protocol-relative.png",
    '/quote"and\\backslash.png',
    "/emoji-😀.png",
    "/%2F%zz+plus,comma;semicolon.png",
    "/line\u2028separator.png",
    "/<script>'.png",
]


@dataclass(frozen=True)
class Case:
    project: str
    team: str | None
    action: Action
    src_images: tuple[str, ...]
    deadline: int = 0

    def sdk_job(self, server: str) -> dict[str, Any]:
        """The same purge as the SDK's documentation would have a user write it."""
        body: dict[str, Any] = {"srcImages": list(self.src_images)}
        if self.action is Action.DELETE:
            body["revalidationDeadlineSeconds"] = self.deadline
        request: dict[str, Any] = {"projectIdOrName": self.project, "requestBody": body}
        if self.team is not None:
            request["teamId" if self.team.startswith("team_") else "slug"] = self.team
        return {"server": server, "token": TOKEN, "operation": self.action.value, "request": request}


CASES = [
    Case("prj_fake1", "team_fake1", Action.DELETE, ("/images/hero.png",), 60),
    Case("prj_fake1", "team_fake1", Action.DELETE, ("/images/hero.png",), 0),
    Case("prj_fake1", "team_fake1", Action.DELETE, ("/images/hero.png",), 31_536_000),
    Case("prj_fake1", "team_fake1", Action.INVALIDATE, ("/images/hero.png",)),
    Case("my-shop", None, Action.DELETE, ("https://img.example.com/a.png?v=2&x=a b",), 60),
    Case("my-shop", None, Action.INVALIDATE, ("https://img.example.com/a.png?v=2&x=a b",)),
    Case("my shop/ä", "my-team", Action.DELETE, ("/ü/ß.png",), 60),
    Case("a&b=c+d%20e#f?g", "t e/am?&=", Action.INVALIDATE, ("/x.png",)),
    Case("-_.!~*()'", "team_-_.!~*()'", Action.DELETE, ("/x.png",)),
    Case('"<>[]{}|^`\\@:;,$', "日本", Action.INVALIDATE, ("/x.png",)),
    Case("my-shop", "my-team", Action.DELETE, tuple(ODD), 60),
    Case("my-shop", "my-team", Action.INVALIDATE, tuple(ODD)),
]


@pytest.fixture
def fake() -> FakeVercel:
    return FakeVercel(tokens=[TOKEN])


@pytest.fixture
def server(fake: FakeVercel) -> Iterator[str]:
    with serve(create_fake_vercel(fake)) as url:
        yield url


@pytest.mark.asyncio
async def test_the_client_says_what_the_sdk_says(vercel_sdk: Any, fake: FakeVercel, server: str) -> None:
    assert vercel_sdk([case.sdk_job(server) for case in CASES]) == [{"ok": True}] * len(CASES)
    theirs = fake.calls
    fake.clear_calls()
    async with VercelClient.open(read_seconds=10) as client:
        for case in CASES:
            request = purge_request(
                api=server,
                project=case.project,
                team=case.team,
                action=case.action,
                src_images=case.src_images,
                deadline=case.deadline,
            )
            outcome = await client.send(request, Secret(TOKEN), system_clock)
            assert (outcome.kind, outcome.status, outcome.warning) == (OutcomeKind.DONE, 200, None), case
    same = ("method", "path", "raw_query", "authorization_fingerprint", "body", "status")
    assert [{key: call[key] for key in same} for call in fake.calls] == [
        {key: call[key] for key in same} for call in theirs
    ]


@pytest.mark.parametrize(
    ("answer", "in_body"),
    [
        (Answer(status=400), '"code":"bad_request"'),
        (Answer(status=403), '"invalidToken":true'),
        (Answer(status=429, body="rate_limited"), '"code":"rate_limited"'),
        (Answer(status=429, body="too_many_requests", retry_after="1"), '"code":"too_many_requests"'),
        (Answer(status=503), "<html>"),
        (Answer(status=204), ""),
    ],
    ids=lambda value: f"{value.status}-{value.body}" if isinstance(value, Answer) else "",
)
def test_the_sdk_reads_the_fakes_errors_as_vercels(
    vercel_sdk: Any, fake: FakeVercel, server: str, answer: Answer, in_body: str
) -> None:
    fake.script(answer)
    failed, repeated = vercel_sdk([CASES[0].sdk_job(server), CASES[0].sdk_job(server)])
    assert (failed["ok"], failed["name"], failed["statusCode"]) == (False, "SDKError", answer.status)
    assert in_body in failed["body"]
    assert repeated == {"ok": True}
    assert [call["status"] for call in fake.calls] == [answer.status, 200]
