"""Azure Event Grid: the events of blobs, in Event Grid's schema and as CloudEvents, and both schemas' handshakes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from service.domain.errors import Refused, Unreadable
from service.domain.events import Challenge, Ignored, Notification
from service.domain.requests import Authentic, Greeting, RawRequest, Verified
from service.providers import json_body
from service.providers.azure_blobs import blob_events
from service.providers.azure_samples import azure_samples
from service.providers.base import Guide, Info, Sample, SourceProblem
from service.providers.credential_only import CredentialOnly
from service.providers.s3_records import Objects, id_of_batch
from service.providers.token_credential import TokenCredential
from service.providers.webhook_consent import METHODS, asks_for_consent, consent
from service.settings.model import Source

_ORIGINS = ("eventgrid.azure.net",)
_VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
_DIRECTORIES = ("Microsoft.Storage.DirectoryDeleted", "Microsoft.Storage.DirectoryRenamed")
_CODE = re.compile(r"[0-9A-Za-z-]{1,64}")


class AzureEventGrid(CredentialOnly):
    """https://learn.microsoft.com/azure/event-grid/webhook-event-delivery

    Nothing is signed in any mode, so whoever sends must know the URL's or a header's secret, or bring a token. Only
    then is a handshake answered: else anybody could subscribe topics of his own to the relay.
    """

    info = Info(
        name="azure-eventgrid",
        title="Azure Event Grid and Blob Storage",
        doc_url="https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage",
        signs="nothing of the events: a secret in the URL or a header, or a token (JWT, RS256) of Microsoft Entra",
        tolerance=None,
        stored_headers=frozenset({"content-type", "aeg-event-type", "aeg-subscription-name", "aeg-delivery-count"}),
        auth=("jwt", "query", "header", "capability"),
        options=("bases", "key_encoding", "topics"),
        handshake_methods=METHODS,
        guide=Guide(
            setup=(
                "*Storage account → Events → Event Subscription*: endpoint type **Web Hook**, the URL "
                "`https://relay.example.com/hooks/NAME?code=SECRET` (Azure hides the query) and `auth: {query: code}`; "
                "or what `image-relay url` prints and `auth: {capability: true}`.",
                "*Delivery properties* instead: a static header marked as secret, and `auth: {header: NAME}`. Whether "
                "the handshake carries it is unknown; where it does not, visit the `validationUrl` of the refused "
                "request within ten minutes, or begin with the secret in the URL.",
                "*Additional features → Microsoft Entra authentication* instead: tenant and the application that "
                "stands for the relay. `auth: {jwt: {tenant: …, audience: …, app_id: "
                "4962773b-9cdb-44cf-a8bf-237846a00ab7, role: AzureEventGridSecureWebhookSubscriber}}`: Event Grid's "
                "own application (of the public cloud) and the role that Microsoft's script gives it. Take the Event "
                "Grid schema: OPTIONS is answered only where the token's keys are pinned in `public_keys`.",
                "`topics: [/subscriptions/…/storageAccounts/NAME]` pins the account, `bases: {CONTAINER: https://…}` "
                "gives the addresses your site uses where they are not the blobs' own.",
            ),
            events="`BlobCreated` (→ `updated`: a new blob and an overwritten one look the same), `BlobDeleted` "
            "(→ `deleted`), `BlobRenamed` (→ `deleted` under the old name, `renamed` under the new one). A directory "
            "that was deleted or renamed comes as one event that names no blob: it is ignored, with a warning. The "
            "subscription's validation is answered and kept as a test.",
            covered="Nothing is signed: whoever holds the secret or token is believed, body and time and all. A "
            "repeated delivery is known by the events' ids.",
            retries="An answer is due within 30 s; 200 to 204 count, a batch as a whole. The rest is retried for up to "
            "24 hours, ever more slowly. **400, 401, 403 and 413 are not retried**: the event is dead-lettered, or "
            "lost without a dead-letter container, so change a secret with both in `secrets`. An endpoint that fails "
            "is served late for hours, and the subscription stays on.",
            urls="The blob's own URL as the event states it, and the base of the container (`bases`) with the blob's "
            "name. How Azure encodes special characters in either is unknown; names are taken as they are.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        if isinstance(self.credential, TokenCredential) and self.credential.expected.preset != "entra":
            raise SourceProblem("auth.jwt", "is not Entra's: give `tenant`, `audience`, `app_id` and `role`")
        self._objects = Objects.of(source, "verbatim")
        self._topics = {topic.lower() for topic in source.topics}

    @classmethod
    def completed(cls, source: Source) -> Source:
        if source.auth is None and not source.unverified:
            raise SourceProblem(
                "auth", "is missing: Event Grid signs nothing, so choose query, header, capability or jwt"
            )
        return source

    def greeting(self, request: RawRequest, now: datetime) -> Greeting | None:
        if not asks_for_consent(request):
            return None
        if self.credential is not None:
            self.credential.verify(request, now, None)
        return consent(request, self.source, _ORIGINS)

    def verify(self, request: RawRequest, now: datetime, key: bytes | None = None) -> Authentic:
        authentic = super().verify(request, now, key)
        if self._topics:
            self._check_topics(request.body)
        return authentic

    def _check_topics(self, body: bytes) -> None:
        """A resource's id is written in any case, https://learn.microsoft.com/azure/azure-resource-manager."""
        try:
            given = _documents(body)
        except Unreadable as error:
            raise Refused("message_malformed", str(error)) from None
        for one in given:
            if (json_body.first_text(one, "topic", "source") or "").lower() not in self._topics:
                raise Refused("topic_not_allowed", "an event's topic is not among the source's topics")

    def read(self, request: Verified) -> Notification:
        documents = _documents(request.body)
        types = [json_body.first_text(one, "eventType", "type") or "" for one in documents]
        event_id = id_of_batch(json_body.text(one, "id") for one in documents)
        payload = documents[0] if len(documents) == 1 else documents
        if types == [_VALIDATION]:
            return Notification(payload=payload, instead=_challenge(documents[0]), event_id=event_id)
        events = tuple(
            event
            for one, event_type in zip(documents, types, strict=True)
            for event in blob_events(self._objects, one, event_type)
        )
        instead = None if events else Ignored(_why(types))
        return Notification(payload=payload, events=events, instead=instead, event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return azure_samples(now)


def _documents(body: bytes) -> list[Any]:
    """The events of a request; Event Grid's schema has a list even of one."""
    document = json_body.parse(body)
    found = document if isinstance(document, list) else [document]
    if not all(isinstance(one, dict) for one in found):
        raise Unreadable("the body holds no events")
    return found


def _challenge(document: Any) -> Challenge:
    """https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema: the code is sent
    back; the `validationUrl` beside it is never visited."""
    code = json_body.text(document, "data", "validationCode") or ""
    if not _CODE.fullmatch(code):
        raise Unreadable("the subscription's validation has no code that can be sent back")
    return Challenge(msgspec.json.encode({"validationResponse": code}), "Event Grid asked whether it may send here")


def _why(types: list[str]) -> str:
    directories = [one for one in types if one in _DIRECTORIES]
    if directories:
        return f"{directories[0]} names no blob: purge what lay in the directory yourself"
    return "no event tells of a blob that was written, renamed or removed"
