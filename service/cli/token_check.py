"""Whether Vercel knows a project's token; asking changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from service.cli.store import exists, opened
from service.dispatch.credentials import Credentials, Missing
from service.domain.clock import system_clock
from service.domain.outcomes import OutcomeKind
from service.domain.tokens import StoredToken
from service.settings.model import Settings
from service.store.tokens import Tokens
from service.vault import Vault
from service.vercel.client import VercelClient
from service.vercel.wire import project_request


class Verdict(Struct, frozen=True):
    """What asking came to. `fingerprint` is None where there is no token, `status` where no answer came."""

    project: str
    fine: bool
    message: str
    fingerprint: str | None = None
    status: int | None = None


class _Stored:
    """The tokens in a store that is opened only if one is needed; where there is no store yet, there are none."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def list(self) -> Sequence[StoredToken]:
        if not exists(self._settings):
            return []
        async with opened(self._settings) as engine:
            return await Tokens(engine).list()


async def check_projects(settings: Settings, names: Sequence[str]) -> list[Verdict]:
    """Asks Vercel about each project with the token that its purges would go out with."""
    vault = Vault(settings.vault.keys)
    credentials = Credentials(settings.projects, _Stored(settings), vault, system_clock)
    async with VercelClient.open(read_seconds=settings.dispatch.timeout) as client:
        return [await _check(settings, name, credentials, client) for name in names]


async def _check(settings: Settings, name: str, credentials: Credentials, client: VercelClient) -> Verdict:
    credential = await credentials.for_project(name)
    if isinstance(credential, Missing):
        return Verdict(name, False, credential.reason)
    project = settings.projects[name]
    request = project_request(settings.vercel_api, project.project, project.team)
    outcome = await client.send(request, credential.token, system_clock)
    fine = outcome.kind is OutcomeKind.DONE
    message = f"Vercel lets the token {credential.fingerprint} see {project.project}" if fine else outcome.reason
    return Verdict(name, fine, message, credential.fingerprint, outcome.status)
