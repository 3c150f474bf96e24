"""What every provider is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from msgspec import Struct

from service.domain.errors import Refused
from service.domain.events import Notification
from service.domain.requests import Authentic, Greeting, RawRequest, Verified
from service.domain.variants import Variant
from service.providers.credentials import Credential, StaticCredential, auth_kind
from service.settings.model import Source

_OPTIONS = (  # settings that only some providers read: elsewhere they would do nothing, silently
    "public_keys",
    "topics",
    "bases",
    "key_encoding",
    "signature_algorithm",
    "emulator",
    "project_id",
    "dataset",
    "cdn_host",
    "cloud_name",
    "hmac",
    "registered_url",
    "region",
    "allowed_origins",
    "covered",
)
_OF_VERIFICATION = ("secrets", "auth", "public_keys", "tolerance", "signature_algorithm")
_OF_SIGNATURES = ("public_keys", "signature_algorithm", "tolerance")
_ALWAYS_KEPT = frozenset({"content-encoding"})  # a signature over a compressed body says nothing of what is in it


class SourceProblem(ValueError):
    """A source's settings do not suit its provider. `key` is the setting below the source, "" for the source itself."""

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(message)


class Guide(Struct, frozen=True, kw_only=True):
    """What an operator has to know of a sender, in Markdown.

    `setup` are the steps in the vendor's console. `events` says which to switch on and what each becomes, `covered`
    what the signature or credential says nothing about, `retries` how the vendor delivers (time-out, success, retries,
    whether it switches itself off), `urls` where source image URLs come from.
    """

    setup: tuple[str, ...]
    events: str
    covered: str
    retries: str
    urls: str


class Info(Struct, frozen=True, kw_only=True):
    """What the product says about a provider, in `image-relay providers` and its page.

    `tolerance` is in seconds, None where the scheme signs no time. `auth` lists the settings of `auth:` it offers in
    place of its own signature, or beside it where `signs_beside_auth`. `stored_headers` (lower-case) is the allow-list
    of headers that are kept; it holds no credential. `options` are the source settings only this kind of provider
    reads. `handshake_methods` are HTTP's methods beside POST with which the vendor asks whether somebody is here.
    `unreadable_status` answers a genuine body that says nothing: 200 for senders that switch themselves off on errors.
    """

    name: str
    title: str
    doc_url: str
    signs: str
    tolerance: float | None
    stored_headers: frozenset[str]
    auth: tuple[str, ...] = ("capability",)
    options: tuple[str, ...] = ()
    signs_beside_auth: bool = False
    needs_secret: bool = True
    success_status: int = 200
    unreadable_status: int = 400
    handshake_methods: tuple[str, ...] = ()
    guide: Guide


class Sample(Struct, frozen=True):
    """A realistic event for `send` and the demo: a body, and the headers that go with it before signing."""

    body: bytes
    headers: Mapping[str, str] = {}


class Provider(ABC):
    """One configured source's provider: keys are decoded and options checked once, here in the constructor."""

    info: ClassVar[Info]
    variants: ClassVar[Mapping[str, Variant]] = {}

    def __init__(self, name: str, source: Source) -> None:
        """Raise SourceProblem where the source's settings do not suit."""
        source = self.completed(source)
        self.name = name
        self.source = source
        self.tolerance = source.tolerance if source.tolerance is not None else self.info.tolerance
        self.kept_headers = self.info.stored_headers | _ALWAYS_KEPT
        self.credential = self._credential()
        self._check_options()
        self._check_secrets()

    def _check_options(self) -> None:
        """No setting does nothing."""
        source = self.source
        if source.unverified:
            for option in _OF_VERIFICATION:
                if getattr(source, option) not in (None, []):
                    raise SourceProblem("unverified", f"and `{option}` contradict each other: give one of them")
        # What takes the place of the issuer's published keys goes with every token.
        pinned = {"public_keys"} if source.auth is not None and source.auth.jwt is not None else set()
        for option in _OPTIONS:
            if getattr(source, option) and option not in {*self.info.options, *pinned}:
                raise SourceProblem(option, f"{self.info.name} has no such option")
        if source.tolerance is not None and self.info.tolerance is None:
            raise SourceProblem("tolerance", f"{self.info.name} signs no time, so this would do nothing")
        if self.credential is not None and not self.info.signs_beside_auth:
            for option in _OF_SIGNATURES:
                if option not in pinned and getattr(source, option) not in (None, []):
                    raise SourceProblem(option, "with `auth:` no signature is looked at, so this would do nothing")

    def _check_secrets(self) -> None:
        """Nobody gets in for want of a secret, unless the file says so."""
        source = self.source
        if not all(source.secrets):
            raise SourceProblem("secrets", "an empty secret would let everybody in")
        if isinstance(self.credential, StaticCredential) and not source.secrets:
            raise SourceProblem("secrets", f"auth: {self.credential.kind} takes its values from here")
        if source.unverified or self.credential is not None:
            return
        if self.info.needs_secret and not (source.secrets or source.public_keys):
            raise SourceProblem("secrets", f"{self.info.name} signs its webhooks: give the signing secret here")

    def _credential(self) -> Credential | None:
        auth = self.source.auth
        if auth is None:
            return None
        try:
            kind, _ = auth_kind(auth)
        except ValueError as error:
            raise SourceProblem("auth", str(error)) from None
        if kind not in self.info.auth:
            offered = ", ".join(self.info.auth) or "none"
            raise SourceProblem("auth", f"{self.info.name} does not offer {kind} (offered: {offered})")
        if auth.jwt is not None:
            from service.providers.token_credential import TokenCredential  # few sources need it

            return TokenCredential.of(auth.jwt, self.source)
        return StaticCredential.of(self.name, self.source)

    @classmethod
    def completed(cls, source: Source) -> Source:
        """The settings with what this provider implies where they leave it out; raises SourceProblem."""
        return source

    @classmethod
    def warnings(cls, source: Source) -> list[str]:
        """What looks wrong in a source's settings and may yet be meant."""
        return []

    def verify(self, request: RawRequest, now: datetime, key: bytes | None = None) -> Authentic:
        """Judge a request; raises Refused. `key` is what was found at `key_urls`, one after the other."""
        if self.source.unverified:
            return Authentic("unverified")
        if self.credential is not None:
            return self.credential.verify(request, now, key)
        return self.verify_signature(request, now, key)

    def stored_path(self, path: str) -> str:
        """The path as it may be stored and shown: without the credential that some sources carry in it."""
        return path if self.credential is None else self.credential.without_secret(path)

    def stored_body(self, body: bytes) -> bytes:
        """The body as it may be stored and shown: without the secret that some senders put into it."""
        return body

    def greeting(self, request: RawRequest, now: datetime) -> Greeting | None:
        """The answer to a vendor's handshake that comes before any webhook, None for what is none; raises Refused.

        Asked for every POST before it is verified, and for `info.handshake_methods`. Nothing is fetched, and nothing
        is echoed that was not looked at.
        """
        return None

    def key_urls(self, request: RawRequest) -> tuple[str, ...]:
        """Where the published keys are that this request names, if judging it takes any: already held against the
        provider's host rule. Raises Refused where the rule is broken."""
        return () if self.credential is None else self.credential.key_urls(request)

    @abstractmethod
    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        """Judge the provider's own signature over the received bytes; raises Refused."""

    @abstractmethod
    def read(self, request: Verified) -> Notification:
        """Read a verified body; raises Unreadable."""

    def sign(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None = None) -> RawRequest:
        """The request the vendor would send: for `send`, the demo and the tests. `signing_key` is a PEM private key
        (or the vendor's own spelling of one) for schemes in which the receiver holds only the public half.

        Raises CommandFailed where the key that it takes was not given. With `auth: {capability: true}` the path grows
        by the key, as the sender's URL has it."""
        sample = Sample(sample.body, {name.lower(): value for name, value in sample.headers.items()})
        if self.source.unverified:
            return RawRequest.of("POST", path, sample.headers, sample.body)
        if self.credential is not None:
            path, credential = self.credential.carried(path, sample.body, now, signing_key)
            return RawRequest.of("POST", path, {**sample.headers, **credential}, sample.body)
        signed = self.signed(sample, path, now, signing_key)
        return RawRequest.of("POST", path, signed.headers, signed.body)

    @abstractmethod
    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        """The sample as the vendor sends it, signed; its header names are lower-case here."""

    @classmethod
    @abstractmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        """Realistic events by name; the first is the default. Bodies carry `now` where the vendor's do."""


def refuse_stale(signed_at: datetime, now: datetime, tolerance: float | None) -> None:
    """Refuse a signed time further than `tolerance` seconds from `now`, in either direction."""
    if tolerance is None:
        return
    offset = (now - signed_at).total_seconds()
    if offset > tolerance:
        raise Refused("timestamp_too_old", f"signed {offset:.0f} s ago, {tolerance:.0f} s are allowed")
    if -offset > tolerance:
        raise Refused("timestamp_too_new", f"signed {-offset:.0f} s ahead of this clock, {tolerance:.0f} s are allowed")
