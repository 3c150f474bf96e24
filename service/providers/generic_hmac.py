"""An HMAC of the sender's own making, spelled out in relay.yaml under `hmac:`."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from string import Formatter

from service.domain.clock import iso, to_ms
from service.domain.errors import Refused
from service.domain.requests import Authentic, RawRequest
from service.providers.base import Guide, Info, Sample, SourceProblem, refuse_stale
from service.providers.plain_provider import PlainProvider
from service.providers.signatures import matches_any, to_base64url, unix_time, utc_time
from service.settings.model import Source

_NAMES = ("body", "timestamp", "method", "path", "header")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # https://www.rfc-editor.org/rfc/rfc9110#name-field-names
_SAMPLE_VALUE = "sample"  # of a signed header that a sample knows nothing of

# One spelling each, so that what was given is compared with what should have been given, and never decoded.
_ENCODERS: Mapping[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "upper-hex": lambda digest: digest.hex().upper(),
    "base64": lambda digest: base64.b64encode(digest).decode(),
    "base64url": to_base64url,
}
_TIMES: Mapping[str, Callable[[str], datetime]] = {
    "s": lambda value: unix_time(value, "s"),
    "ms": lambda value: unix_time(value, "ms"),
    "iso": utc_time,
}
_CLOCKS: Mapping[str, Callable[[datetime], str]] = {
    "s": lambda now: str(to_ms(now) // 1000),
    "ms": lambda now: str(to_ms(now)),
    "iso": iso,
}

_DECODERS: Mapping[str, Callable[[str], bytes]] = {
    "text": str.encode,
    "hex": bytes.fromhex,
    "base64": lambda secret: base64.b64decode(secret, validate=True),
}

Part = tuple[str, str]
"""A name in the template and its argument; the name of literal text is empty."""


class Hmac(PlainProvider):
    """https://www.rfc-editor.org/rfc/rfc2104"""

    info = Info(
        name="hmac",
        title="An HMAC of your sender's own making",
        doc_url="https://www.rfc-editor.org/rfc/rfc2104",
        signs="what `hmac:` in relay.yaml says; a time where it has one",
        tolerance=300,
        stored_headers=frozenset({"content-type"}),
        auth=(),
        options=("hmac",),
        guide=Guide(
            setup=(
                "Have the sender post to `https://relay.example.com/hooks/NAME` with an HMAC in a header.",
                "`hmac:` says how: `header`, `algorithm`, `prefix`, `encoding`, `key_encoding`, the template "
                "`signed` (such as `{timestamp}.{body}`), and `timestamp_header` with `timestamp_format` where a "
                "time is signed.",
                "Its secret is one of `secrets`; `image-relay explain` judges a captured request without a server.",
            ),
            events="Your sender says what happened: the last part of `type` (or `event`, `event_type`, `action`) is "
            "`created`, `updated`, `published`, `replaced`, `renamed`, `deleted`, `unpublished` or `restored`; "
            "anything else becomes `unknown`.",
            covered="What `signed` names and nothing else: the body always, method, path, time and headers where "
            "they stand in it. Without a time a request can be replayed.",
            retries="Your sender's affair. The relay answers 200 once it has stored the event, 401 to what does not "
            "verify, 503 while it cannot store: try again on that, for some hours.",
            urls="In the payload, of your own making: `url` or `urls`, and `old_url` or `previous_url` for earlier "
            "ones, at the top or within `data`. Any other shape is up to a rule, which sees the whole `payload`.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        if source.hmac is None:
            raise SourceProblem("hmac", "is missing: it says how the sender signs, `hmac: {header: X-Signature}`")
        self._scheme = source.hmac
        self._header = source.hmac.header.lower()
        self._time_header = (source.hmac.timestamp_header or "").lower()
        parts = _parts(source.hmac.signed)
        self._check(source, parts)
        self._parts = [("header", self._time_header) if name == "timestamp" else (name, more) for name, more in parts]
        self._keys = [_key(secret.reveal(), source.hmac.key_encoding) for secret in source.secrets]

    def _check(self, source: Source, parts: Sequence[Part]) -> None:
        scheme, names = self._scheme, [name for name, _ in parts]
        for setting in ("header", "timestamp_header"):
            value = getattr(scheme, setting)
            if value is not None and not _HEADER_NAME.fullmatch(value):
                raise SourceProblem(f"hmac.{setting}", f"{value!r} is no header's name")
        if "body" not in names:
            raise SourceProblem("hmac.signed", "without {body} anybody could put another one behind the signature")
        if "timestamp" in names and scheme.timestamp_header is None:
            raise SourceProblem("hmac.timestamp_header", "is missing: {timestamp} is taken from it")
        if "timestamp" not in names and scheme.timestamp_header is not None:
            raise SourceProblem("hmac.signed", "without {timestamp} the time is not signed, and says nothing")
        if ("header", self._header) in parts:
            raise SourceProblem("hmac.signed", "the signature cannot sign itself")
        if scheme.timestamp_header is None and source.tolerance is not None:
            raise SourceProblem("tolerance", "without hmac.timestamp_header no time is signed")

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        given = _bytes(request.required(self._header))
        signed_at = None
        if self._time_header:
            signed_at = _TIMES[self._scheme.timestamp_format](request.required(self._time_header))
        if not matches_any([given], [value.encode() for value in self._expected(request)]):
            raise Refused("signature_mismatch")
        if signed_at is not None:
            refuse_stale(signed_at, now, self.tolerance)
        return Authentic(f"hmac-{self._scheme.algorithm}", signed_at)

    def _expected(self, request: RawRequest) -> Iterator[str]:
        """The header's value as each of the secrets would have it."""
        message = b"".join(self._value(name, argument, request) for name, argument in self._parts)
        for key in self._keys:
            digest = hmac.digest(key, message, self._scheme.algorithm)
            yield self._scheme.prefix + _ENCODERS[self._scheme.encoding](digest)

    def _value(self, name: str, argument: str, request: RawRequest) -> bytes:
        match name:
            case "body":
                return request.body
            case "method":
                return _bytes(request.method)
            case "path":
                return _bytes(request.path)
            case "header":
                return _bytes(request.required(argument, "signed_header_missing"))
        return argument.encode()

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        headers = {argument: _SAMPLE_VALUE for name, argument in self._parts if name == "header"} | dict(sample.headers)
        if self._time_header:
            headers[self._time_header] = _CLOCKS[self._scheme.timestamp_format](now)
        request = RawRequest.of("POST", path, headers, sample.body)
        return Sample(sample.body, headers | {self._header: next(self._expected(request))})


def _parts(template: str) -> Sequence[Part]:
    """The template's pieces in their order; SourceProblem for what names nothing."""
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise SourceProblem("hmac.signed", f"is no template: {error}") from None
    return [part for piece in pieces for part in _piece(*piece)]


def _piece(text: str, name: str | None, argument: str | None, conversion: str | None) -> Iterator[Part]:
    if text:
        yield "", text
    if name is None:
        return
    if name not in _NAMES or conversion is not None:
        raise SourceProblem("hmac.signed", f"there is no {{{name}}}: there are {', '.join(_NAMES)}")
    if bool(argument) is not (name == "header") or (argument and not _HEADER_NAME.fullmatch(argument)):
        raise SourceProblem("hmac.signed", "a header is written {header:X-Name}, the others are a name alone")
    yield name, (argument or "").lower()


def _key(secret: str, encoding: str) -> bytes:
    try:
        key = _DECODERS[encoding](secret)
    except ValueError:
        key = b""
    if not key:
        raise SourceProblem("secrets", f"one is not {encoding}, which hmac.key_encoding says it is")
    return key


def _bytes(value: str) -> bytes:
    """The bytes that were received, which reach this far as latin-1 text."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise Refused("header_malformed") from None
