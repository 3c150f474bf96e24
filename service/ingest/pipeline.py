"""One source's way from a request to planned purges. Pure: the endpoint, `explain` and a replay all walk it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from service.domain.clock import iso, to_ms
from service.domain.errors import Refused, RuleFailed, Unreadable
from service.domain.events import AssetEvent, Ignored, Notification
from service.domain.ids import new_id
from service.domain.lookups import PlannedLookup
from service.domain.memory import AssetMemory
from service.domain.purges import ReceiptStatus
from service.domain.receipts import NewReceipt, PlannedEvent, Receipt
from service.domain.requests import RawRequest, Verified
from service.ingest.ports import Planner
from service.providers.base import Provider
from service.providers.credentials import CAPABILITY_HEADER, HIDDEN, query_parameter, without_values
from service.providers.registry import build, provider_class
from service.providers.verification import restore, verify
from service.resolve.compiled import Resolver, compile_resolve
from service.rules.compiled import CompiledRules, compile_settings
from service.rules.limits import shown
from service.rules.memory import next_memory, overtaken, with_memory
from service.rules.plan import Plan, plan
from service.settings.model import Settings

REFUSED_BODY_BYTES = 16 * 1024
"""How much of a refused request's body is kept."""

_BEGINNING = 16  # bytes of an event's id: `msg_` and the time in a KSUID, a UUID's 48 bits of it


class Pipeline(Struct, frozen=True, kw_only=True):
    """A configured source, ready to judge requests and to plan what follows from them."""

    name: str
    provider: Provider
    rules: CompiledRules
    events_per_request: int
    urls_per_asset: int
    resolver: Resolver | None = None
    codes: frozenset[str] = frozenset()
    """The query parameters that carry a credential at any source: a sender may knock at the wrong one."""

    def verify(self, request: RawRequest, now: datetime, key: bytes | None = None) -> Verified:
        """Raises Refused unless the sender is who it claims to be. `key` is what `provider.key_urls` asked for."""
        if request.carries(CAPABILITY_HEADER) and not self._takes_key:
            raise Refused("capability_unexpected", "the URL ends in a key, and this source has no auth: capability")
        return verify(self.provider, request, now, key)

    def read(self, verified: Verified) -> Notification:
        """The events in a verified body; raises Unreadable."""
        if verified.headers.get("content-encoding", "identity") != "identity":
            raise Unreadable("the body is compressed, and this sender signs and sends plain bodies")
        notification = self.provider.read(verified)
        if len(notification.events) > self.events_per_request:
            raise Unreadable(
                f"the body holds {len(notification.events)} events, limits.events_per_request allows "
                f"{self.events_per_request}"
            )
        return notification

    def planner(self, notification: Notification, verified: Verified) -> Planner:
        """What the rules make of each event in the light of the asset's memory, and what to remember after it."""

        def planned(event: AssetEvent, memory: AssetMemory | None) -> PlannedEvent:
            seen = with_memory(event, memory)
            result = plan(self.rules, seen, payload=notification.payload, headers=verified.headers, source=self.name)
            lookup, failed = self._lookup(event, seen, memory, notification.payload, verified.headers)
            return PlannedEvent(
                event=seen,
                purges=result.purges,
                memory=next_memory(event, memory, self.urls_per_asset),
                trace=_trace(seen, overtaken(event, memory), result, lookup),
                failed=result.error if failed is None else "; ".join(filter(None, (result.error, failed))),
                lookup=lookup,
            )

        return planned

    def planner_of(self, receipt: Receipt) -> Planner:
        """The planner for a stored receipt; raises Unreadable where its body cannot be read any more."""
        verified = restored(receipt)
        return self.planner(self.read(verified), verified)

    def _lookup(
        self,
        event: AssetEvent,
        seen: AssetEvent,
        memory: AssetMemory | None,
        payload: Any,
        headers: Mapping[str, str],
    ) -> tuple[PlannedLookup | None, str | None]:
        """The lookup that an event without URLs takes, and why there can be none."""
        if self.resolver is None or not self.resolver.wanted(event, memory):
            return None, None
        try:
            url = self.resolver.url.render(event, payload=payload, headers=headers, source=self.name)
        except RuleFailed as error:
            return None, str(error)
        # What the memory has made of the kind stands: it has changed by the time the answer is there.
        return PlannedLookup(replace(event, kind=seen.kind), url), None

    def receipt(self, request: RawRequest, verified: Verified, notification: Notification) -> NewReceipt:
        """The receipt of a request that was read. Its status is final unless there are events to plan."""
        status, reason = _status(notification)
        return NewReceipt(
            id=new_id("rcp", verified.received_at),
            source=self.name,
            status=status,
            reason=None if reason is None else shown(reason),
            scheme=verified.scheme,
            method=request.method,
            path=self._stored_path(request),
            headers=verified.headers,
            body=verified.body,
            body_bytes=len(verified.body),
            received_at=verified.received_at,
            signed_at=verified.signed_at,
            dedupe=_dedupe(verified, notification.event_id),
        )

    def unreadable(self, request: RawRequest, verified: Verified, error: Unreadable) -> NewReceipt:
        """The receipt of a genuine request whose body says nothing: whole, for whoever finds out why."""
        return NewReceipt(
            id=new_id("rcp", verified.received_at),
            source=self.name,
            status=ReceiptStatus.UNREADABLE,
            reason=shown(str(error)),
            scheme=verified.scheme,
            method=request.method,
            path=self._stored_path(request),
            headers=verified.headers,
            body=verified.body,
            body_bytes=len(verified.body),
            received_at=verified.received_at,
            signed_at=verified.signed_at,
        )

    def refused(self, request: RawRequest, error: Refused, now: datetime) -> NewReceipt:
        """What is kept of a request that did not verify: its allow-listed headers and the beginning of its body."""
        body = self.provider.stored_body(request.body)
        return NewReceipt(
            id=new_id("rcp", now),
            source=self.name,
            status=ReceiptStatus.REFUSED,
            reason=shown(error.told),
            scheme=None,
            method=request.method,
            path=self._stored_path(request),
            headers=request.header_map(self.provider.info.stored_headers),
            body=body[:REFUSED_BODY_BYTES],
            body_bytes=len(body),
            received_at=now,
        )

    @property
    def _takes_key(self) -> bool:
        return self.provider.credential is not None and self.provider.credential.kind == "capability"

    def _stored_path(self, request: RawRequest) -> str:
        """The path without any credential; a key at its end is one, whether the source takes keys or not."""
        path = without_values(request.path, self.codes) if self.codes else request.path
        if not request.carries(CAPABILITY_HEADER):
            return path if self._takes_key else self.provider.stored_path(path)
        path, mark, query = path.partition("?")
        return self.provider.stored_path(f"{path.rpartition('/')[0]}/{HIDDEN}{mark}{query}")


def build_pipelines(settings: Settings, read_table: Callable[[str], bytes]) -> dict[str, Pipeline]:
    """Every source's pipeline; `read_table` reads a file beside relay.yaml. For settings that passed their check."""
    rules = compile_settings(settings, read_table, lambda source: provider_class(source.provider).variants)
    providers = {name: build(name, source) for name, source in settings.sources.items()}
    codes = frozenset(filter(None, (query_parameter(provider.credential) for provider in providers.values())))
    return {
        name: Pipeline(
            name=name,
            provider=providers[name],
            rules=rules[name],
            events_per_request=settings.limits.events_per_request,
            urls_per_asset=settings.limits.urls_per_asset,
            resolver=None if source.resolve is None else compile_resolve(source.resolve),
            codes=codes,
        )
        for name, source in settings.sources.items()
    }


def restored(receipt: Receipt) -> Verified:
    """A stored receipt, whole and once verified, as it was then."""
    return restore(
        source=receipt.source,
        scheme=receipt.scheme or "",
        headers=receipt.headers,
        body=receipt.body or b"",
        received_at=receipt.received_at,
        signed_at=receipt.signed_at,
    )


def table_reader(folder: Path) -> Callable[[str], bytes]:
    """Reads a lookup table by its name relative to the folder of relay.yaml."""
    return lambda name: (folder / name).read_bytes()


def _status(notification: Notification) -> tuple[ReceiptStatus, str | None]:
    match notification.instead:
        case None if notification.events:
            return ReceiptStatus.ACCEPTED, None
        case None:
            return ReceiptStatus.IGNORED, "the body tells of no image"
        case Ignored(reason):
            return ReceiptStatus.IGNORED, reason
        case asked:
            return ReceiptStatus.TEST, asked.reason


def _dedupe(verified: Verified, event_id: str | None) -> bytes:
    """What all deliveries of one event share: 16 bytes of digest over the sender's id, else over the signed time and
    the body, and before them the beginning of that id or that time.

    Most ids begin with a time or a number, so that what comes one after the other is stored side by side: a group of
    webhooks changes a page or two of the index, and not one each.
    """
    source = verified.source.encode()
    if event_id is not None:
        told = event_id.encode(errors="surrogatepass")
        beginning = told[:_BEGINNING]
        shared = b"%b\0id\0%b" % (source, told)
    else:
        beginning = b"" if verified.signed_at is None else str(to_ms(verified.signed_at)).encode()
        shared = b"%b\0body\0%b\0%b" % (source, beginning, verified.body)
    return beginning + sha256(shared).digest()[:16]


def _trace(event: AssetEvent, late: str | None, result: Plan, lookup: PlannedLookup | None) -> dict[str, Any]:
    """What `receipts show` and `explain` say of one event; Structs among it, for whoever writes the JSON."""
    return {
        "event": {
            "kind": event.kind.value,
            "id": event.id,
            "urls": list(event.urls),
            "earlier_urls": list(event.earlier_urls),
            "environment": event.environment,
            "occurred_at": None if event.occurred_at is None else iso(event.occurred_at),
            "late": late,
            "lookup": None if lookup is None else lookup.url,
        },
        "rules": result.traces,
    }
