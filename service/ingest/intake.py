"""One webhook, from its bytes to what its sender may be told; the order of the steps is the product's promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec.structs import replace

from service.domain.errors import KeyUnavailable, Refused, RelayError, StoreUnavailable, Unreadable
from service.domain.events import Challenge, Confirmation
from service.domain.purges import ReceiptStatus
from service.domain.receipts import NewReceipt, first_due
from service.domain.requests import RawRequest, Verified
from service.ingest import published_keys
from service.ingest.keeper import Keeper
from service.ingest.pipeline import Pipeline
from service.ingest.ports import Answer, Inbox, Network, Span, StoreWatch

Wake = Callable[[Mapping[str, datetime]], None]


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

    async def take(self, pipeline: Pipeline, request: RawRequest, now: datetime, span: Span | None = None) -> Answer:
        """What became of a request. A 2xx says that it is committed; whatever may pass by itself is a 503."""
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
            return await self._stored(pipeline, request, verified, span)
        except Refused as error:
            return self._refused(pipeline, pipeline.refused(request, error, now), error)
        except KeyUnavailable as error:
            return _unavailable(error, scheme)
        except StoreUnavailable as error:
            self._watch.store_failed(str(error), now)
            return _unavailable(error, scheme)

    def _refused(self, pipeline: Pipeline, receipt: NewReceipt, error: Refused) -> Answer:
        # Not awaited: a refusal takes as long whether or not it is kept.
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

    async def _stored(self, pipeline: Pipeline, request: RawRequest, verified: Verified, span: Span | None) -> Answer:
        try:
            notification = pipeline.read(verified)
        except Unreadable as error:
            return await self._unreadable(pipeline, request, verified, error)
        if isinstance(notification.instead, Confirmation):
            await self._network.confirm(notification.instead.url)  # before the answer: a sender retries what failed
        receipt = pipeline.receipt(request, verified, notification)
        planner = pipeline.planner(notification, verified)
        if span is None:
            stored = await self._inbox.accept(receipt, notification.events, planner)
        else:
            with span.commit():
                receipt = replace(receipt, traceparent=span.traceparent)
                stored = await self._inbox.accept(receipt, notification.events, planner)
        self._watch.store_works()
        if due := first_due(stored.planned, receipt.received_at):
            self._wake(due)
        if stored.lookups:
            self._wake_lookups(pipeline.name)
        return Answer(
            status=pipeline.provider.info.success_status,
            verdict=stored.status,
            receipt=stored.id,
            detail=stored.reason,
            purges=stored.purges,
            scheme=verified.scheme,
            challenge_answer=notification.instead.answer if isinstance(notification.instead, Challenge) else None,
        )

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


def _unavailable(error: RelayError, scheme: str | None) -> Answer:
    return Answer(status=503, verdict="unavailable", reason=error.reason, detail=str(error), scheme=scheme)
