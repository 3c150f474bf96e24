"""Static credentials, for senders that cannot sign: a header, a query parameter, Basic, Bearer, or a capability URL."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Self
from urllib.parse import parse_qsl, unquote_plus, urlencode

from itsdangerous import BadData, URLSafeSerializer

from service.domain.errors import Refused
from service.domain.requests import Authentic, RawRequest
from service.settings.model import Auth, Source

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # https://www.rfc-editor.org/rfc/rfc9110#name-field-names

HIDDEN = "***"  # stands in a stored path where a credential was
CAPABILITY_HEADER = ":capability"  # no real header can have this name; the endpoint puts the URL's key here


def _any_equal(given: bytes, expected: Sequence[bytes]) -> bool:
    """Whether `given` is one of `expected`; every one is compared, so time tells nothing about which."""
    matches = [hmac.compare_digest(given, candidate) for candidate in expected]
    return any(matches)


def _latin1(value: str | None) -> bytes | None:
    """A header's bytes; refused when it holds a character no header can."""
    try:
        return None if value is None else value.encode("latin-1")
    except UnicodeEncodeError:
        raise Refused("header_malformed") from None


def authorization(request: RawRequest, scheme: str) -> bytes | None:
    """What stands behind the scheme in the Authorization header, None without one; refused for another scheme."""
    value = _latin1(request.header("authorization"))
    if value is None:
        return None
    given, _, rest = value.partition(b" ")
    if given.lower() != scheme.encode():
        raise Refused("credential_malformed", f"the Authorization header is not {scheme}")
    return rest.strip()


def auth_kind(auth: Auth) -> tuple[str, str]:
    """The one scheme an `auth:` names and its argument; ValueError unless there is exactly one."""
    chosen = [(kind, value) for kind in Auth.__struct_fields__ if (value := getattr(auth, kind)) is not None]
    if len(chosen) != 1:
        raise ValueError(f"give exactly one of {', '.join(Auth.__struct_fields__)}")
    kind, value = chosen[0]
    if kind == "header" and not _HEADER_NAME.fullmatch(str(value)):
        raise ValueError(f"{value!r} is no header's name")
    if kind == "basic" and ":" in str(value):
        raise ValueError("a user name for HTTP Basic has no colon")
    return kind, value if isinstance(value, str) else ""


class Credential(ABC):
    """What a source with `auth:` asks of every request; `kind` is the setting below it."""

    __slots__ = ()

    kind: str

    @property
    @abstractmethod
    def challenge(self) -> str | None:
        """The `WWW-Authenticate` of a refusal, None where HTTP has no name for the scheme."""

    @abstractmethod
    def verify(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        """Raises Refused. `key` is what was found at `key_urls`."""

    @abstractmethod
    def key_urls(self, request: RawRequest) -> tuple[str, ...]:
        """Where the keys are published that judging this request takes; raises Refused."""

    @abstractmethod
    def carried(self, path: str, body: bytes, now: datetime, signing_key: bytes | None) -> tuple[str, dict[str, str]]:
        """The path and the extra headers of a request that carries this credential, for `send` and the tests; raises
        CommandFailed where that takes a key which was not given."""

    @abstractmethod
    def without_secret(self, path: str) -> str:
        """The path and query with `***` where this credential stands in them."""


class StaticCredential(Credential):
    """What a source with `auth:` asks of every request. The secrets are its values; any one of them will do."""

    __slots__ = ("argument", "kind", "secrets", "source")

    def __init__(self, source: str, kind: str, argument: str, secrets: tuple[str, ...]) -> None:
        self.source = source
        self.kind = kind
        self.argument = argument
        self.secrets = secrets

    @classmethod
    def of(cls, name: str, source: Source) -> Self | None:
        """The credential that `secrets` are the values of, None where there is none; ValueError."""
        if source.auth is None:
            return None
        kind, argument = auth_kind(source.auth)
        if kind == "jwt":
            return None
        return cls(name, kind, argument, tuple(secret.reveal() for secret in source.secrets))

    @property
    def challenge(self) -> str | None:
        """Amazon SNS sends the user and password of its URL only when so asked:
        https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.prepare.html
        """
        match self.kind:
            case "basic":
                return 'Basic realm="vercel-image-relay"'
            case "bearer":
                return "Bearer"
        return None

    def verify(self, request: RawRequest, now: datetime | None = None, key: bytes | None = None) -> Authentic:
        """Raises Refused; compares in constant time."""
        given = getattr(self, f"_{self.kind}")(request)
        if given is None:
            raise Refused("credential_missing")
        if self.kind == "capability":
            self._check_capability(given.decode("latin-1"))
        elif not _any_equal(given, [secret.encode() for secret in self.secrets]):
            raise Refused("credential_mismatch")
        return Authentic(scheme=self.kind)

    def key_urls(self, request: RawRequest) -> tuple[str, ...]:
        return ()

    def carried(self, path: str, body: bytes, now: datetime, signing_key: bytes | None) -> tuple[str, dict[str, str]]:
        return self.applied(path)

    def applied(self, path: str) -> tuple[str, dict[str, str]]:
        """The path and the extra headers of a request that carries the first of the secrets."""
        secret = self.secrets[0]
        match self.kind:
            case "header":
                return path, {self.argument.lower(): secret.encode().decode("latin-1")}
            case "query":
                return f"{path}{'&' if '?' in path else '?'}{urlencode({self.argument: secret})}", {}
            case "basic":
                pair = base64.b64encode(f"{self.argument}:{secret}".encode()).decode()
                return path, {"authorization": f"Basic {pair}"}
            case "bearer":
                return path, {"authorization": "Bearer " + secret.encode().decode("latin-1")}
            case _:
                return f"{path}/{make_capability(self.source, self.secrets)}", {}

    def without_secret(self, path: str) -> str:
        if self.kind == "capability":
            bare, mark, query = path.partition("?")
            return f"{bare.rpartition('/')[0]}/{HIDDEN}{mark}{query}"
        return without_values(path, (self.argument,)) if self.kind == "query" else path

    def _header(self, request: RawRequest) -> bytes | None:
        return _latin1(request.header(self.argument.lower()))

    def _query(self, request: RawRequest) -> bytes | None:
        query = request.path.partition("?")[2]
        values = [value for key, value in parse_qsl(query, keep_blank_values=True) if key == self.argument]
        if len(values) > 1:
            raise Refused("credential_repeated", f"the query parameter {self.argument} came {len(values)} times")
        return values[0].encode(errors="replace") if values else None

    def _bearer(self, request: RawRequest) -> bytes | None:
        return authorization(request, "bearer")

    def _basic(self, request: RawRequest) -> bytes | None:
        encoded = authorization(request, "basic")
        if encoded is None:
            return None
        try:
            user, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            raise Refused("credential_malformed", "the Basic credentials are not base64") from None
        if not colon:
            raise Refused("credential_malformed", "the Basic credentials have no colon")
        # A wrong user is compared, not returned early: the time to refuse tells nothing.
        same_user = hmac.compare_digest(user, self.argument.encode())
        return password if same_user else b"\0" + password

    def _capability(self, request: RawRequest) -> bytes | None:
        return _latin1(request.header(CAPABILITY_HEADER))

    def _check_capability(self, given: str) -> None:
        try:
            source = _serializer(self.secrets).loads(given)
        except BadData:
            raise Refused("capability_invalid") from None
        if source != self.source:
            raise Refused("capability_for_another_source")


def query_parameter(credential: Credential | None) -> str | None:
    """The name of the query parameter that a credential is the value of, None for any other kind."""
    return credential.argument if isinstance(credential, StaticCredential) and credential.kind == "query" else None


def without_values(path: str, names: Collection[str]) -> str:
    """The path and query with `***` for the values of these parameters."""
    bare, mark, query = path.partition("?")
    if not mark:
        return path
    shown = (
        f"{name}={HIDDEN}" if unquote_plus(name) in names else part
        for part in query.split("&")
        for name in [part.partition("=")[0]]
    )
    return f"{bare}?{'&'.join(shown)}"


@lru_cache(maxsize=64)
def _serializer(secrets: tuple[str, ...]) -> URLSafeSerializer:
    # itsdangerous tries keys newest last and signs with the last one; relay.yaml lists the newest first.
    return URLSafeSerializer(
        list(reversed(secrets)),
        salt="vercel-image-relay capability url",
        signer_kwargs={"digest_method": hashlib.sha256},
    )


def make_capability(source: str, secrets: Sequence[str]) -> str:
    """The last path segment of a capability URL for `source`, signed with the first of its secrets."""
    return str(_serializer(tuple(secrets)).dumps(source))
