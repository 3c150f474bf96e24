"""A stored webhook through today's configuration: after a rule or a secret was fixed."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from service.domain.errors import CommandFailed, Refused, Unreadable
from service.domain.events import Confirmation
from service.domain.purges import ReceiptStatus
from service.domain.receipts import Receipt
from service.domain.requests import RawRequest, Verified
from service.ingest import published_keys
from service.ingest.pipeline import Pipeline, restored
from service.ingest.ports import Inbox, Network, Stored


async def replay(
    receipt: Receipt, pipeline: Pipeline, inbox: Inbox, now: datetime, network: Network | None = None
) -> Stored:
    """Plan a stored receipt, read with its body, anew. A refused one is verified first, at the time it came in.

    `network` is asked for a published key, where judging a refused request takes one, and visits what confirms a
    subscription. Raises CommandFailed where the receipt cannot be replayed, StoreUnavailable, KeyUnavailable.
    """
    if receipt.body is None or not receipt.whole:
        kept = 0 if receipt.body is None else len(receipt.body)
        raise CommandFailed(
            f"{receipt.id} cannot be replayed: of its {receipt.body_bytes} bytes only {kept} were kept; "
            "have its sender send it again"
        )
    request = RawRequest.of(receipt.method, receipt.path, receipt.headers, receipt.body)
    if receipt.status is ReceiptStatus.REFUSED:
        verified = await _verified_now(receipt, request, pipeline, network)
    else:
        verified = restored(receipt)
    try:
        notification = pipeline.read(verified)
    except Unreadable as error:
        raise CommandFailed(f"{receipt.id} still cannot be read: {error}") from None
    if isinstance(notification.instead, Confirmation):
        await _confirm(receipt, notification.instead, network)
    # Purges are due from now on: what they were planned from may be days old.
    new = replace(pipeline.receipt(request, verified, notification), id=receipt.id, received_at=now)
    return await inbox.replan(receipt, new, notification.events, pipeline.planner(notification, verified))


async def _verified_now(receipt: Receipt, request: RawRequest, pipeline: Pipeline, network: Network | None) -> Verified:
    if pipeline.provider.credential is not None:
        raise CommandFailed(
            f"{receipt.id} was refused, and the credential it came with was not kept, so it cannot be judged again; "
            "have its sender send it again"
        )
    try:
        urls = pipeline.provider.key_urls(request)
        if not urls:
            return pipeline.verify(request, receipt.received_at)
        if network is None:
            raise CommandFailed(f"{receipt.id} was refused, and judging it again takes the key at {urls[0]}")
        return await published_keys.verified(pipeline, request, receipt.received_at, network, urls)
    except Refused as error:
        raise CommandFailed(f"{receipt.id} is still refused: {error.told}") from None


async def _confirm(receipt: Receipt, confirmation: Confirmation, network: Network | None) -> None:
    if network is None:
        raise CommandFailed(f"{receipt.id} asks for a confirmation over the network: {confirmation.reason}")
    await network.confirm(confirmation.url)
