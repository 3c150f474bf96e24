"""What stands between a project and its calls: a hold, a missing token, a used-up rate budget, the pace."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from service.dispatch import policy
from service.dispatch.credentials import Credential, Credentials, Missing
from service.dispatch.limits import Pace, Random
from service.dispatch.notices import Notices
from service.domain.clock import EPOCH, Clock
from service.domain.holds import Hold, HoldKind
from service.domain.log import log
from service.domain.outcomes import Outcome


class Pass(Struct, frozen=True):
    """One call may be made. A `probe` finds out whether a held project's trouble is over."""

    credential: Credential
    probe: bool = False


class Wait(Struct, frozen=True):
    """No call now; look again at `until`, or when woken."""

    until: datetime | None = None


class Gate:
    """One project's gate; every method that awaits raises StoreUnavailable."""

    def __init__(
        self,
        *,
        project: str,
        concurrency: int,
        notices: Notices,
        credentials: Credentials,
        clock: Clock,
        random: Random,
        probe_every: timedelta,
    ) -> None:
        self._project = project
        self._concurrency = concurrency
        self._notices = notices
        self._credentials = credentials
        self._clock = clock
        self._random = random
        self._probe_every = probe_every
        self._fingerprint: str | None = None
        self._looked = False
        self.pace = Pace()
        self.held: str | None = None
        """Why the project is held, as far as is known; None where it is not."""
        self.open_since = EPOCH
        """When the latest hold ended: what failed before it has not been failing since."""

    @property
    def watching(self) -> bool:
        """Whether something may change here without a purge becoming due."""
        return self.held is not None or not self._looked

    def room(self, calls: int) -> bool:
        """Whether another call may go beside those under way."""
        return self.pace.room(calls, self._concurrency)

    async def admit(self, *, calls: int, pending: bool) -> Pass | Wait:
        """Whether a call may be made now; `calls` are under way, and `pending` says that there is one to make."""
        hold = await self._notices.hold_of(self._project)
        self._notice(hold)
        if hold is not None and hold.kind is HoldKind.MANUAL:
            return Wait()
        if hold is None and not pending:
            return Wait()
        credential = await self._credentials.for_project(self._project)
        if isinstance(credential, Missing):
            if pending and (hold is None or (hold.reason, hold.credential) != (credential.reason, "")):
                await self._shut(credential.reason, "")
            return Wait()
        if credential.fingerprint != self._fingerprint:
            # Another token has another budget, and may do what the former one might not.
            self._fingerprint, self.pace = credential.fingerprint, Pace()
        if hold is None or hold.credential != credential.fingerprint:
            if hold is not None:
                await self._open("another token")
            return await self._paced(credential)
        if calls or not pending:
            return Wait()
        if self._clock() < hold.probe_at:
            return Wait(hold.probe_at)
        return await self._paced(credential, probe=True)

    def stumbled(self, begun: datetime, retry_at: datetime | None = None) -> None:
        """A call made at `begun` failed for the time being: slowly now."""
        self.pace = self.pace.failed(begun, self._clock(), retry_at, self._random)

    def went_well(self) -> None:
        """A call was answered, whatever the answer, and that is on disk: full speed."""
        self.pace = Pace()

    async def tell(self, outcome: Outcome, decision: policy.Decision, admitted: Pass) -> None:
        """Puts on the board what the answer means for later calls; may be repeated."""
        if outcome.quota_until is not None:
            await self._notices.block(admitted.credential.fingerprint, outcome.quota_until)
        if isinstance(decision, policy.Hold):
            await self._shut(decision.reason, admitted.credential.fingerprint)
        elif admitted.probe and not isinstance(decision, policy.Retry):
            await self._open("a probe succeeded")

    async def _paced(self, credential: Credential, *, probe: bool = False) -> Pass | Wait:
        used_up = await self._notices.used_up_until(credential.fingerprint)
        now = self._clock()
        if used_up is not None and now < used_up:
            self.pace = self.pace.limited(used_up, self._random)
        return Wait(self.pace.not_before) if now < self.pace.not_before else Pass(credential, probe)

    def _notice(self, hold: Hold | None) -> None:
        """Keeps up with what the board says, whoever wrote it."""
        self._looked = True
        if hold is None:
            if self.held is not None:
                self._opened("an operator")
        elif hold.reason != self.held:
            self._held(hold)

    async def _shut(self, reason: str, fingerprint: str) -> None:
        now = self._clock()
        hold = Hold(
            project=self._project,
            kind=HoldKind.AUTO,
            reason=reason,
            credential=fingerprint,
            since=now,
            probe_at=now + self._probe_every,
        )
        await self._notices.hold(hold)
        # Read back: a manual hold of the meantime stays as it is.
        self._notice(await self._notices.hold_of(self._project))

    async def _open(self, by: str) -> None:
        await self._notices.release(self._project)
        if self.held is not None:
            self._opened(by)

    def _held(self, hold: Hold) -> None:
        self.held = hold.reason
        log.warning("project.held", project=self._project, kind=str(hold.kind), reason=hold.reason)

    def _opened(self, by: str) -> None:
        self.held, self.open_since = None, self._clock()
        log.info("project.resumed", project=self._project, by=by)
