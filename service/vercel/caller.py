"""From a batch of purges to a call at Vercel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from service.domain.batches import Batch, P
from service.domain.clock import Clock
from service.domain.outcomes import Outcome
from service.domain.purges import Purge
from service.domain.secret import Secret
from service.settings.model import Project
from service.vercel.wire import WireRequest, purge_request

if TYPE_CHECKING:
    from service.vercel.client import VercelClient  # brings httpx along, which `explain` can do without


def batch_request(api: str, project: Project, batch: Batch[P]) -> WireRequest:
    """The request that purges a batch, planned or stored; `project` is the one that the batch names."""
    return purge_request(
        api=api,
        project=project.project,
        team=project.team,
        action=batch.action,
        src_images=batch.images,
        deadline=batch.deadline,
    )


class VercelCaller:
    """Makes the calls of the configured projects."""

    def __init__(self, client: VercelClient, api: str, projects: Mapping[str, Project], clock: Clock) -> None:
        self._client = client
        self._api = api
        self._projects = projects
        self._clock = clock

    async def purge(self, batch: Batch[Purge], token: Secret) -> Outcome:
        """One call; every trouble on the way is an outcome."""
        request = batch_request(self._api, self._projects[batch.project], batch)
        return await self._client.send(request, token, self._clock)
