"""Adobe I/O Events: RSA-SHA256 over the body, by either of two published keys; the assets of AEM."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from service.domain.errors import CommandFailed, Refused, Unreadable
from service.domain.events import AssetEvent, Ignored, Notification, TestPing
from service.domain.requests import Authentic, Greeting, RawRequest, Verified
from service.providers import json_body
from service.providers.adobe_assets import (
    RECIPIENTS,
    SAMPLE_CLIENT,
    batch,
    event_id,
    read_event,
    sample_event,
)
from service.providers.adobe_handshake import asked_url, challenge_answer, question
from service.providers.base import Guide, Info, Provider, Sample, SourceProblem
from service.providers.keys import pinned_rsa_keys, published_rsa_keys, rsa_private_key
from service.providers.s3_records import Objects, id_of_batch, warnings_of_bases
from service.providers.signatures import from_base64, rsa_signature, rsa_verifies
from service.settings.model import Source

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_DOCS = "https://developer.adobe.com/events/docs/guides/"
_SIGNATURES = ("x-adobe-digital-signature-1", "x-adobe-digital-signature-2")
_KEY_PATHS = ("x-adobe-public-key1-path", "x-adobe-public-key2-path")
_KEY_HOST = "https://static.adobeioevents.com"
# The path comes from a header: it is matched as a whole, so that no `//`, `@` or `..` leads to another place.
_KEY_PATH = re.compile(r"/prod/keys/pub-key-[A-Za-z0-9-]{1,64}\.pem")
_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class AdobeIoEvents(Provider):
    """https://developer.adobe.com/events/docs/guides/

    Adobe signs for all of its customers with the same keys, so `project_id`, the project's client id, says whose
    events these are.
    """

    info = Info(
        name="adobe-io-events",
        title="Adobe I/O Events (AEM Assets)",
        doc_url=_DOCS,
        signs="RSA-SHA256 over the body, with one of two keys that Adobe publishes",
        tolerance=None,
        stored_headers=frozenset(
            {*_SIGNATURES, *_KEY_PATHS, "x-adobe-event-id", "x-adobe-delivery-id", "x-adobe-event-code", "content-type"}
        ),
        options=("public_keys", "project_id", "bases", "key_encoding"),
        needs_secret=False,
        unreadable_status=200,  # a registration with too many errors is disabled
        handshake_methods=("GET",),
        guide=Guide(
            setup=(
                "Adobe Developer Console: *your project → Add to Project → Event*, provider **AEM Assets** (or the "
                "author environment's own), and the event types below.",
                "*Event Registration → Deliver through webhook*: `https://relay.example.com/hooks/NAME`. Adobe asks at "
                "once with `?challenge=`, and the relay answers, so it has to run by then with this source configured.",
                "`project_id`: the **client id** of the project's credential. `bases`: the events' `source` (such as "
                "`author-p12345-e123456.adobeaemcloud.com`) to the host that visitors load from, "
                "`https://publish-p12345-e123456.adobeaemcloud.com/`.",
            ),
            events="AEM as a Cloud Service: assets `published` (→ `updated`), `unpublished` and `deleted`; `created`, "
            "`updated` and `processing_completed` (→ `updated`) where a site shows what is not published. AEM 6.5: "
            "asset created, updated, deleted. `metadata_updated` and everything that is no asset are ignored. Several "
            "events may come in one array.",
            covered="The whole body. No time of sending is signed and the `x-adobe-…` headers are not either: a "
            "repeated delivery is known by the event's id in the body. The challenge is not signed at all; "
            "it is answered with itself, and only where it is a word. Where Adobe asks by POST instead, the log has "
            "the URL to open, and the relay never opens it.",
            retries="An answer is due within 10 s. 429 and 5xx (but 505) are retried for 24 hours, anything else is "
            "lost there. A registration that fails 80 % of ten or more attempts in 24 hours becomes unstable, then is "
            "**disabled until you enable it**; Adobe's journal keeps the events for 7 days.",
            urls="Computed: the base of the event's `source` and `repo:path`, which stays when a file is uploaded "
            "again. Dynamic Media's URLs are not in the event: make them in a rule.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        if source.secrets and self.credential is None:
            raise SourceProblem("secrets", "Adobe signs with its own keys; secrets are for `auth:` alone")
        if source.project_id is None and self.credential is None and not source.unverified:
            raise SourceProblem("project_id", "Adobe's keys sign for everybody: give your project's client id here")
        if source.project_id is not None and not _CLIENT_ID.fullmatch(source.project_id):
            raise SourceProblem("project_id", f"{source.project_id!r} is not a client id")
        self._public_keys = pinned_rsa_keys(source)
        self._objects = Objects.of(source, "verbatim")

    @classmethod
    def warnings(cls, source: Source) -> list[str]:
        return warnings_of_bases(source)

    def greeting(self, request: RawRequest, now: datetime) -> Greeting | None:
        if request.method != "GET":
            return question(request) if self.credential is None else None
        if self.credential is not None:
            super().verify(request, now)
        return challenge_answer(request)

    def key_urls(self, request: RawRequest) -> tuple[str, ...]:
        if self.credential is not None or self.source.unverified or self._public_keys:
            return ()
        self._check_recipient(request.body)  # who does not know the client id causes no fetch
        paths = [path for name in _KEY_PATHS if (path := request.header(name))]
        if not all(_KEY_PATH.fullmatch(path) for path in paths):
            raise Refused("key_path_refused", "the key's path is not where Adobe publishes keys")
        return tuple(_KEY_HOST + path for path in dict.fromkeys(paths))

    def verify(self, request: RawRequest, now: datetime, key: bytes | None = None) -> Authentic:
        authentic = super().verify(request, now, key)
        self._check_recipient(request.body)
        return authentic

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        given = [from_base64(value) for name in _SIGNATURES if (value := request.header(name))]
        if not given:
            raise Refused("signature_missing", f"neither {' nor '.join(_SIGNATURES)} is there")
        # Either will do, as a key in rotation may be gone: https://developer.adobe.com/events/docs/guides/
        keys: list[RSAPublicKey] = self._public_keys or published_rsa_keys(
            None if key is None else key.decode("latin-1")
        )
        if not any(rsa_verifies(one, signature, request.body, "sha256") for one in keys for signature in given):
            raise Refused("signature_mismatch")
        return Authentic("adobe-rsa-sha256")

    def _check_recipient(self, body: bytes) -> None:
        """Every event in the body is for the source's client."""
        try:
            document = json_body.parse(body)
        except Unreadable as error:
            raise Refused("body_malformed", str(error)) from None
        if self.source.project_id is None or self._is_question(document):
            return
        for event in batch(document):
            named = {json_body.text(event, key) for key in RECIPIENTS} - {None}
            if named != {self.source.project_id}:
                raise Refused("recipient_not_allowed", "an event in it is for another client")

    def sign(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None = None) -> RawRequest:
        client = self.source.project_id or SAMPLE_CLIENT
        addressed = sample.body.replace(SAMPLE_CLIENT.encode(), client.encode())
        return super().sign(Sample(addressed, sample.headers), path, now, signing_key)

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        if signing_key is None:
            raise CommandFailed(
                "Adobe alone has Adobe's keys: give an RSA private key (PEM) with --signing-key, and its public half "
                "to the source as public_keys"
            )
        signature = base64.b64encode(rsa_signature(rsa_private_key(signing_key), sample.body, "sha256")).decode()
        return Sample(sample.body, {**sample.headers, _SIGNATURES[0]: signature})

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse(request.body)
        if self._is_question(payload):
            asked = TestPing("Adobe wants the registration confirmed: open the body's validationUrl within 5 minutes")
            return Notification(payload=payload, instead=asked)
        delivered = batch(payload)
        found = [read_event(event, self._objects) for event in delivered]
        events = tuple(one for one in found if isinstance(one, AssetEvent))
        instead = next((one for one in found if isinstance(one, Ignored)), Ignored("the batch is empty"))
        given_id = id_of_batch(event_id(event) for event in delivered)  # the header that repeats it is not signed
        return Notification(payload=payload, events=events, instead=None if events else instead, event_id=given_id)

    def _is_question(self, document: Any) -> bool:
        """Whether it is the POST that asks for confirmation, which is not signed: a credential has to vouch for it."""
        return self.credential is not None and asked_url(document) is not None

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {action: sample_event(action, now) for action in ("published", "unpublished", "deleted")}
