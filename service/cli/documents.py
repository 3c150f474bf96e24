"""What the store holds, as JSON documents."""

from __future__ import annotations

from typing import Any

from service.cli.output import moment
from service.domain.attempts import Attempt
from service.domain.holds import Hold
from service.domain.lookups import Lookup
from service.domain.memory import AssetMemory
from service.domain.purges import Action, Purge
from service.domain.receipts import Receipt


def receipt_document(receipt: Receipt) -> dict[str, Any]:
    """A receipt without its body and trace."""
    return {
        "id": receipt.id,
        "source": receipt.source,
        "status": receipt.status.value,
        "reason": receipt.reason,
        "received_at": moment(receipt.received_at),
        "signed_at": moment(receipt.signed_at),
        "seen_at": moment(receipt.seen_at),
        "deliveries": receipt.deliveries,
        "scheme": receipt.scheme,
        "method": receipt.method,
        "path": receipt.path,
        "headers": dict(receipt.headers),
        "body_bytes": receipt.body_bytes,
    }


def purge_document(purge: Purge) -> dict[str, Any]:
    return {
        "id": purge.id,
        "project": purge.project,
        "state": purge.state.value,
        "action": purge.action.value,
        "src_image": purge.src_image,
        "revalidation_deadline_seconds": purge.deadline if purge.action is Action.DELETE else None,
        "created_at": moment(purge.created_at),
        "due_at": moment(purge.due_at),
        "failing_since": moment(purge.failing_since),
        "finished_at": moment(purge.finished_at),
        "attempts": purge.attempts,
        "events": purge.events,
        "last_error": purge.last_error,
        "superseded_by": purge.superseded_by,
    }


def lookup_document(lookup: Lookup) -> dict[str, Any]:
    return {
        "id": lookup.id,
        "asset": lookup.asset_id,
        "environment": lookup.environment,
        "state": lookup.state.value,
        "url": lookup.url,
        "created_at": moment(lookup.created_at),
        "due_at": moment(lookup.due_at),
        "failing_since": moment(lookup.failing_since),
        "finished_at": moment(lookup.finished_at),
        "attempts": lookup.attempts,
        "last_error": lookup.last_error,
    }


def attempt_document(attempt: Attempt) -> dict[str, Any]:
    return {
        "call_id": attempt.call_id,
        "at": moment(attempt.at),
        "images": attempt.images,
        "status": attempt.status,
        "outcome": attempt.outcome,
        "reason": attempt.reason,
        "duration_ms": attempt.duration_ms,
    }


def hold_document(hold: Hold) -> dict[str, Any]:
    return {
        "project": hold.project,
        "kind": hold.kind.value,
        "reason": hold.reason,
        "since": moment(hold.since),
        "probe_at": moment(hold.probe_at),
    }


def asset_document(environment: str, memory: AssetMemory) -> dict[str, Any]:
    return {
        "environment": environment or None,
        "urls": list(memory.urls),
        "earlier_urls": list(memory.earlier_urls),
        "content_hash": memory.content_hash,
        "occurred_at": moment(memory.occurred_at),
        "gone": memory.gone,
    }
