"""A webhook, from its bytes to what its sender may be told; the order of the steps is the product's promise.

Those that come in together take each step together: what a step runs through then stays in the processor's caches, and
all of it takes little more than half of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from service.domain.errors import KeyUnavailable, Refused, RelayError, StoreUnavailable, Unreadable
from service.domain.events import Challenge, Confirmation, Notification
from service.domain.log import log
from service.domain.purges import ReceiptStatus
from service.domain.receipts import NewReceipt, PlannedEvent, first_due
from service.domain.requests import RawRequest, Verified
from service.ingest import published_keys
from service.ingest.keeper import Keeper
from service.ingest.pipeline import Pipeline
from service.ingest.ports import Answer, Inbox, Network, Planner, Span, Stored, StoreWatch

Wake = Callable[[Mapping[str, datetime]], None]


class Webhook(Struct, frozen=True):
    """A request to a source that came in `now`; its name in the log, and its part of a trace."""

    pipeline: Pipeline
    request: RawRequest
    now: datetime
    request_id: str
    span: Span | None = None


class Genuine(Struct, frozen=True):
    """A webhook that was verified and read, and what is to be stored of it."""

    webhook: Webhook
    verified: Verified
    notification: Notification
    receipt: NewReceipt

    @classmethod
    def of(cls, webhook: Webhook, verified: Verified, notification: Notification) -> Genuine:
        receipt = webhook.pipeline.receipt(webhook.request, verified, notification)
        return cls(webhook, verified, notification, receipt)

    @property
    def planner(self) -> Planner:
        """What plans its events."""
        return self.webhook.pipeline.planner(self.notification, self.verified)


class Intake:
    """Verifies, reads, plans and stores. `wake` is told when which projects have new work, once that is committed, and
    `wake_lookups` which source has URLs to look up."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        keeper: Keeper,
        network: Network,
        watch: StoreWatch,
        wake: Wake,
        wake_lookups: Callable[[str], None],
    ) -> None:
        self._inbox = inbox
        self._keeper = keeper
        self._network = network
        self._watch = watch
        self._wake = wake
        self._wake_lookups = wake_lookups

    async def take(self, webhook: Webhook) -> Answer:
        """What became of a request. A 2xx says that it is committed; whatever may pass by itself is a 503."""
        pipeline, request, now = webhook.pipeline, webhook.request, webhook.now
        scheme: str | None = None
        try:
            if (greeting := pipeline.provider.greeting(request, now)) is not None:
                return Answer(status=greeting.status, verdict="handshake", detail=greeting.reason, greeting=greeting)
            if request.method != "POST":
                return Answer(status=405, verdict="method_not_allowed")
            if urls := pipeline.provider.key_urls(request):
                verified = await published_keys.verified(pipeline, request, now, self._network, urls)
            else:
                verified = pipeline.verify(request, now)
            scheme = verified.scheme
            return await self._read_and_stored(webhook, verified)
        except Refused as error:
            return self._refused(webhook, error)
        except KeyUnavailable as error:
            return _unavailable(error, scheme)
        except StoreUnavailable as error:
            return self._not_stored(error, now, scheme)
        except Exception as error:
            return _failed(webhook, error)

    def judge(self, webhooks: Sequence[Webhook]) -> Sequence[Genuine | Answer | None]:
        """The same steps, for POSTs that have come in together, up to what `store` does. None for what has to be taken
        by itself: it is something to wait for, or it failed in a way that nobody foresaw."""
        verified = [self._verified(webhook) for webhook in webhooks]
        read = [self._read(*each) for each in zip(webhooks, verified, strict=True)]
        return [self._genuine(*each) for each in zip(webhooks, verified, read, strict=True)]

    async def store(self, genuine: Sequence[Genuine]) -> Sequence[Answer]:
        """What became of each, once all are committed or have failed to."""
        outcomes: Sequence[Stored | Exception]
        try:
            outcomes = await self._inbox.accept(
                [(one.receipt, one.notification.events, one.planner) for one in genuine]
            )
        except StoreUnavailable as error:
            outcomes = [error] * len(genuine)
        self._tell_of(genuine, outcomes)
        return [self._answer(*each) for each in zip(genuine, outcomes, strict=True)]

    def _tell_of(self, genuine: Sequence[Genuine], outcomes: Sequence[Stored | Exception]) -> None:
        """Whoever sends and looks up hears of what is there now."""
        planned: list[PlannedEvent] = []
        works = False
        for one, outcome in zip(genuine, outcomes, strict=True):
            if isinstance(outcome, Exception):
                continue
            works = True
            planned += outcome.planned
            if outcome.lookups:
                self._wake_lookups(one.webhook.pipeline.name)
        if works:
            self._watch.store_works()
        if due := first_due(planned, genuine[0].receipt.received_at):
            self._wake(due)

    def _verified(self, webhook: Webhook) -> Verified | Answer | None:
        provider, request, now = webhook.pipeline.provider, webhook.request, webhook.now
        try:
            if webhook.span is not None or provider.greeting(request, now) is not None or provider.key_urls(request):
                return None
            return webhook.pipeline.verify(request, now)
        except Refused as error:
            return self._refused(webhook, error)
        except Exception:  # which comes again, and is told, when it is taken by itself
            return None

    def _read(self, webhook: Webhook, verified: Verified | Answer | None) -> Notification | None:
        if not isinstance(verified, Verified):
            return None
        try:
            notification = webhook.pipeline.read(verified)
        except Exception:  # unreadable, for the most part, and that has to be stored
            return None
        return None if isinstance(notification.instead, Confirmation) else notification

    def _genuine(
        self, webhook: Webhook, verified: Verified | Answer | None, read: Notification | None
    ) -> Genuine | Answer | None:
        if not isinstance(verified, Verified) or read is None:
            return verified if isinstance(verified, Answer) else None
        try:
            return Genuine.of(webhook, verified, read)
        except Exception:
            return None

    def _refused(self, webhook: Webhook, error: Refused) -> Answer:
        # Not awaited: a refusal takes as long whether or not it is kept.
        pipeline = webhook.pipeline
        receipt = pipeline.refused(webhook.request, error, webhook.now)
        kept = self._keeper.offer(receipt)
        credential = pipeline.provider.credential
        return Answer(
            status=401,
            verdict=ReceiptStatus.REFUSED,
            receipt=receipt.id if kept else None,
            reason=error.reason,
            detail=str(error),
            challenge=None if credential is None else credential.challenge,
        )

    async def _read_and_stored(self, webhook: Webhook, verified: Verified) -> Answer:
        pipeline, span = webhook.pipeline, webhook.span
        try:
            notification = pipeline.read(verified)
        except Unreadable as error:
            return await self._unreadable(pipeline, webhook.request, verified, error)
        if isinstance(notification.instead, Confirmation):
            await self._network.confirm(notification.instead.url)  # before the answer: a sender retries what failed
        genuine = Genuine.of(webhook, verified, notification)
        if span is None:
            (answer,) = await self.store([genuine])
        else:
            with span.commit():
                receipt = replace(genuine.receipt, traceparent=span.traceparent)
                (answer,) = await self.store([replace(genuine, receipt=receipt)])
        return answer

    def _answer(self, genuine: Genuine, outcome: Stored | Exception) -> Answer:
        if isinstance(outcome, StoreUnavailable):
            return self._not_stored(outcome, genuine.webhook.now, genuine.verified.scheme)
        if isinstance(outcome, Exception):
            return _failed(genuine.webhook, outcome)
        return self._stored(genuine, outcome)

    def _stored(self, genuine: Genuine, stored: Stored) -> Answer:
        instead = genuine.notification.instead
        return Answer(
            status=genuine.webhook.pipeline.provider.info.success_status,
            verdict=stored.status,
            receipt=stored.id,
            detail=stored.reason,
            purges=stored.purges,
            scheme=genuine.verified.scheme,
            challenge_answer=instead.answer if isinstance(instead, Challenge) else None,
        )

    def _not_stored(self, error: StoreUnavailable, now: datetime, scheme: str | None) -> Answer:
        self._watch.store_failed(str(error), now)
        return _unavailable(error, scheme)

    async def _unreadable(
        self, pipeline: Pipeline, request: RawRequest, verified: Verified, error: Unreadable
    ) -> Answer:
        receipt = pipeline.unreadable(request, verified, error)
        await self._inbox.keep(receipt, 0)  # the count bounds refused requests alone
        self._watch.store_works()
        return Answer(
            status=pipeline.provider.info.unreadable_status,
            verdict=ReceiptStatus.UNREADABLE,
            receipt=receipt.id,
            reason=error.reason,
            detail=str(error),
            scheme=verified.scheme,
        )


def _failed(webhook: Webhook, error: Exception) -> Answer:
    """A bug of ours is no reason for the sender to give the webhook up."""
    log.exception("webhook.failed", error, request_id=webhook.request_id, source=webhook.pipeline.name)
    return Answer(status=503, verdict="failed", reason="unexpected")


def _unavailable(error: RelayError, scheme: str | None) -> Answer:
    return Answer(status=503, verdict="unavailable", reason=error.reason, detail=str(error), scheme=scheme)
