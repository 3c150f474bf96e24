"""What a webhook would lead to, as a document: the same code that takes webhooks in, without network and store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from service.cli.address import HOOKS
from service.cli.output import moment
from service.domain.batches import batches
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Confirmation, Notification
from service.domain.memory import AssetMemory
from service.domain.purges import Action, PlannedPurge, ReceiptStatus
from service.domain.receipts import PlannedEvent, verdict
from service.domain.requests import Greeting, RawRequest, Verified
from service.ingest.pipeline import Pipeline
from service.providers.credentials import CAPABILITY_HEADER
from service.providers.verification import restore
from service.resolve.compiled import shown_request
from service.rules.plan import merge
from service.settings.model import Settings
from service.vercel.caller import batch_request


class Explanation(msgspec.Struct, kw_only=True):
    """The answer of `explain`. `reason` is why it did not verify or was not judged, `status_reason` why the status."""

    source: str
    provider: str
    verified: bool | None
    reason: str | None
    detail: str | None = None
    scheme: str | None = None
    signed_at: str | None = None
    status: ReceiptStatus
    status_reason: str | None = None
    confirmation_url: str | None = None
    lookups: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    rules: list[dict[str, Any]] = []
    purges: list[dict[str, Any]] = []
    requests: list[dict[str, Any]] = []


def with_key_of_path(request: RawRequest, source: str) -> RawRequest:
    """The request as the endpoint hands it on: a key at the end of its path is a header of our own."""
    _, mark, key = request.path.partition("?")[0].rpartition(f"{HOOKS}/{source}/")
    if not mark or not key or "/" in key:
        return request
    return RawRequest(request.method, request.path, (*request.headers, (CAPABILITY_HEADER, key)), request.body)


def explain(
    settings: Settings, pipeline: Pipeline, request: RawRequest, now: datetime, *, judge: bool, key: bytes | None
) -> Explanation:
    """`judge` is off where nothing was given that verification could look at. `key` is the sender's published key."""
    try:
        if (greeting := pipeline.provider.greeting(request, now)) is not None:
            return _handshake(pipeline, greeting)
        verified, skipped = _verified(pipeline, request, now, judge=judge, key=key)
    except Refused as error:
        return Explanation(
            source=pipeline.name,
            provider=pipeline.provider.info.name,
            verified=False,
            reason=error.reason,
            detail=str(error),
            status=ReceiptStatus.REFUSED,
        )
    explanation = Explanation(
        source=pipeline.name,
        provider=pipeline.provider.info.name,
        verified=True if skipped is None else None,
        reason=skipped,
        scheme=verified.scheme if skipped is None else None,
        signed_at=moment(verified.signed_at),
        status=ReceiptStatus.ACCEPTED,
    )
    try:
        notification = pipeline.read(verified)
    except Unreadable as error:
        explanation.status, explanation.status_reason = ReceiptStatus.UNREADABLE, str(error)
    else:
        receipt = pipeline.receipt(request, verified, notification)
        planned = _planned(pipeline, notification, verified)
        explanation.status, explanation.status_reason = verdict(receipt, planned)
        _plan(explanation, settings, notification, planned)
        explanation.lookups = _lookups(pipeline, planned)
    if explanation.reason is None:
        explanation.reason = explanation.status_reason
    return explanation


def _handshake(pipeline: Pipeline, greeting: Greeting) -> Explanation:
    return Explanation(
        source=pipeline.name,
        provider=pipeline.provider.info.name,
        verified=None,
        reason=f"a handshake, answered {greeting.status}: {greeting.reason}",
        status=ReceiptStatus.IGNORED,
        status_reason="a handshake is no webhook",
    )


def _verified(
    pipeline: Pipeline, request: RawRequest, now: datetime, *, judge: bool, key: bytes | None
) -> tuple[Verified, str | None]:
    """The request, and why it was not judged; raises Refused."""
    skipped = None if judge else "verification skipped: no header was given"
    if judge and key is None and (urls := pipeline.provider.key_urls(request)):
        places = " and ".join(urls)
        skipped = f"verification skipped: it takes the key published at {places}; save it and give it with --key"
    if skipped is None:
        return pipeline.verify(request, now, key), None
    headers = request.header_map(pipeline.provider.info.stored_headers)
    unjudged = restore(
        source=pipeline.name, scheme="", headers=headers, body=request.body, received_at=now, signed_at=None
    )
    return unjudged, skipped


def _plan(
    explanation: Explanation, settings: Settings, notification: Notification, planned: Sequence[PlannedEvent]
) -> None:
    if isinstance(notification.instead, Confirmation):
        explanation.confirmation_url = notification.instead.url
    for number, outcome in enumerate(planned, 1):
        told = msgspec.to_builtins(outcome.trace)
        explanation.events.append(_event(outcome.event) | {"late": told["event"]["late"]})
        explanation.rules += [{"event": number, **rule} for rule in told["rules"]]
    merged: dict[tuple[str, str], PlannedPurge] = {}
    for outcome in planned:
        merge(merged, outcome.purges)
    explanation.purges = [_purge(purge) for purge in merged.values()]
    explanation.requests = _requests(settings, [purge for purge in merged.values() if purge.refusal is None])


def _lookups(pipeline: Pipeline, planned: Sequence[PlannedEvent]) -> list[dict[str, Any]]:
    """The GETs that would find the URLs of events that have none, without their secrets."""
    found = [(number, outcome.lookup) for number, outcome in enumerate(planned, 1)]
    return [
        {"event": number, **shown_request(pipeline.resolver, lookup.url)}
        for number, lookup in found
        if lookup is not None and pipeline.resolver is not None
    ]


def _planned(pipeline: Pipeline, notification: Notification, verified: Verified) -> list[PlannedEvent]:
    """Each event on the memory the one before it leaves; nothing else is remembered here."""
    planner = pipeline.planner(notification, verified)
    fresh: dict[tuple[str | None, str], AssetMemory] = {}
    planned = []
    for event in notification.events:
        outcome = planner(event, fresh.get((event.environment, event.id)))
        fresh[event.environment, event.id] = outcome.memory
        planned.append(outcome)
    return planned


def _event(event: AssetEvent) -> dict[str, Any]:
    return {
        "kind": event.kind.value,
        "id": event.id,
        "urls": list(event.urls),
        "earlier_urls": list(event.earlier_urls),
        "bucket": event.bucket,
        "key": event.key,
        "filename": event.filename,
        "mime_type": event.mime_type,
        "environment": event.environment,
        "locale": event.locale,
        "occurred_at": moment(event.occurred_at),
    }


def _purge(purge: PlannedPurge) -> dict[str, Any]:
    return {
        "project": purge.project,
        "action": purge.action.value,
        "src_image": purge.src_image,
        "revalidation_deadline_seconds": purge.deadline if purge.action is Action.DELETE else None,
        "settle_seconds": purge.settle,
        "rule": purge.rule,
        "template": purge.template,
        "url": purge.url,
        "refusal": purge.refusal,
    }


def _requests(settings: Settings, purges: Sequence[PlannedPurge]) -> list[dict[str, Any]]:
    requests = []
    for batch in batches(purges):
        wire = batch_request(settings.vercel_api, settings.projects[batch.project], batch)
        requests.append({"method": wire.method, "url": wire.url, "body": json.loads(wire.body)})
    return requests
