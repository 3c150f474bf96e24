from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from service.domain.batches import Batch
from service.domain.outcomes import OutcomeKind
from service.domain.purges import Action, PlannedPurge, Purge, PurgeState
from service.domain.secret import Secret
from service.settings.model import Project
from service.vercel.caller import VercelCaller, batch_request
from service.vercel.client import VercelClient

TOKEN = "vcp_fakefakefake0123456789"
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
API = "https://api.vercel.example"
PROJECTS = {"shop": Project(project="my-shop", team="team_1a2b3c"), "blog": Project(project="blog/1", team="acme")}
DELETE = "/v1/edge-cache/dangerously-delete-by-src-images"
INVALIDATE = "/v1/edge-cache/invalidate-by-src-images"


def stored(image: str, project: str, action: Action, deadline: int) -> Purge:
    return Purge(
        id=f"prg_{image}",
        project=project,
        action=action,
        src_image=image,
        deadline=deadline,
        state=PurgeState.CLAIMED,
        due_at=NOW,
        created_at=NOW,
    )


def planned(image: str, project: str, action: Action, deadline: int) -> PlannedPurge:
    return PlannedPurge(
        project=project, action=action, src_image=image, deadline=deadline, settle=0, rule="r", template="{{ url }}"
    )


TABLE = pytest.mark.parametrize(
    ("project", "action", "deadline", "url", "body"),
    [
        (
            "shop",
            Action.DELETE,
            60,
            f"{API}{DELETE}?projectIdOrName=my-shop&teamId=team_1a2b3c",
            {"srcImages": ["/a.png", "/ü.png"], "revalidationDeadlineSeconds": 60},
        ),
        (
            "blog",
            Action.INVALIDATE,
            0,
            f"{API}{INVALIDATE}?projectIdOrName=blog%2F1&slug=acme",
            {"srcImages": ["/a.png", "/ü.png"]},
        ),
    ],
)


@TABLE
def test_a_planned_batch_shows_the_request_that_a_stored_one_makes(
    project: str, action: Action, deadline: int, url: str, body: dict[str, Any]
) -> None:
    fields = (project, action, deadline)
    shown = batch_request(
        API, PROJECTS[project], Batch(*fields, tuple(planned(image, *fields) for image in ("/a.png", "/ü.png")))
    )
    sent = batch_request(
        API, PROJECTS[project], Batch(*fields, tuple(stored(image, *fields) for image in ("/a.png", "/ü.png")))
    )
    assert shown == sent
    assert (sent.method, sent.url, json.loads(sent.body)) == ("POST", url, body)


@TABLE
async def test_a_batch_goes_to_its_project_with_the_token_it_is_given(
    project: str, action: Action, deadline: int, url: str, body: dict[str, Any]
) -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b""))

    async with VercelClient.open(read_seconds=5, transport=httpx.MockTransport(handler)) as client:
        caller = VercelCaller(client, API, PROJECTS, lambda: NOW)
        purges = tuple(stored(image, project, action, deadline) for image in ("/a.png", "/ü.png"))
        outcome = await caller.purge(Batch(project, action, deadline, purges), Secret(TOKEN))
    assert outcome.kind is OutcomeKind.DONE
    (request,) = seen
    assert (str(request.url), json.loads(request.content)) == (url, body)
    assert request.headers["authorization"] == f"Bearer {TOKEN}"


async def test_what_vercel_says_in_seconds_counts_from_the_callers_clock() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        return httpx.Response(429, headers={"retry-after": "30"}, stream=httpx.ByteStream(b""))

    async with VercelClient.open(read_seconds=5, transport=httpx.MockTransport(handler)) as client:
        caller = VercelCaller(client, API, PROJECTS, lambda: NOW)
        batch = Batch("shop", Action.DELETE, 0, (stored("/a.png", "shop", Action.DELETE, 0),))
        outcome = await caller.purge(batch, Secret(TOKEN))
    assert outcome.retry_at is not None
    assert (outcome.retry_at - NOW).total_seconds() == 30
