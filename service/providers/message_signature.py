"""HTTP Message Signatures: what is signed, from the headers that say so, and the body's digest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256, sha512
from urllib.parse import urlsplit

from msgspec import Struct

from service.domain.errors import Refused
from service.domain.requests import RawRequest
from service.providers.signatures import from_base64, matches_any

MAX_SIGNATURES = 8  # in one request: the sender's own and what proxies on the way add

INPUT = "signature-input"
SIGNATURE = "signature"
DIGEST = "content-digest"

# The subset of RFC 8941 that signers write: no parameters on a component, no escapes in a string.
COMPONENT = re.compile(r"[a-z0-9@_.-]+")
_COMPONENT = rf'"{COMPONENT.pattern}"'
_PARAMETER = r';[a-z][a-z0-9_-]*=(?:[0-9]{1,15}|"[\x20-\x21\x23-\x5b\x5d-\x7e]*")'
_LABEL = r"([a-z*][a-z0-9_.*-]*)"
_INPUT_MEMBER = re.compile(rf"{_LABEL}=(\(((?:{_COMPONENT}(?: {_COMPONENT})*)?)\)((?:{_PARAMETER})*))")
_BYTES_MEMBER = re.compile(rf"{_LABEL}=:([A-Za-z0-9+/]*={{0,2}}):")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_FIELD = re.compile(r"[\t\x20-\x7e]*")

_DIGESTS = {"sha-256": sha256, "sha-512": sha512}  # https://www.rfc-editor.org/rfc/rfc9530#section-5


class Input(Struct, frozen=True):
    """One member of Signature-Input: what is covered, and the text that is signed with it as it came."""

    text: str
    components: Sequence[str]
    parameters: Mapping[str, str]

    def message(self, request: RawRequest, registered_url: str | None) -> bytes:
        """https://www.rfc-editor.org/rfc/rfc9421#name-creating-the-signature-base"""
        lines = [f'"{name}": {_component(name, request, registered_url)}' for name in self.components]
        return "\n".join([*lines, f'"@signature-params": {self.text}']).encode()


def _component(name: str, request: RawRequest, registered_url: str | None) -> str:
    path, mark, query = request.path.partition("?")
    match name:
        case "@method":
            value = request.method
        case "@authority":
            value = request.required("host", "signed_header_missing").lower()
        case "@path":
            value = path
        case "@query":
            value = f"?{query}"
        case "@request-target":
            value = path + mark + query
        case "@target-uri" if registered_url is not None:
            value = registered_url
        case "@scheme" if registered_url is not None:
            value = urlsplit(registered_url).scheme
        case _ if name.startswith("@"):
            raise Refused("component_unsupported", f"{name} is signed and cannot be told here, or takes registered_url")
        case _:
            value = request.required(name, "signed_header_missing").strip(" \t")
    if not _FIELD.fullmatch(value):
        raise Refused("header_malformed", f"{name} holds what cannot be signed")
    return value


def check_digest(request: RawRequest) -> None:
    """https://www.rfc-editor.org/rfc/rfc9530: every digest that is known must be right, and one must be known."""
    given = byte_sequences(request.required(DIGEST))
    known = {name: algorithm for name, algorithm in _DIGESTS.items() if name in given}
    if not known or not all(
        matches_any([given[name]], [algorithm(request.body).digest()]) for name, algorithm in known.items()
    ):
        raise Refused("digest_mismatch", "content-digest is not the body's")


def parse_inputs(value: str) -> dict[str, Input]:
    found = {}
    for member in _members(value, _INPUT_MEMBER):
        components = re.findall(r'"([^"]+)"', member[3])
        if len(set(components)) < len(components):
            raise Refused("signature_malformed", "a component is listed twice")
        parameters = (part.partition("=") for part in re.findall(_PARAMETER, member[4]))
        found[member[1]] = Input(member[2], components, {name[1:]: text.strip('"') for name, _, text in parameters})
    return found


def byte_sequences(value: str) -> dict[str, bytes]:
    return {member[1]: from_base64(member[2]) for member in _members(value, _BYTES_MEMBER)}


def _members(value: str, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """The members of a dictionary, https://www.rfc-editor.org/rfc/rfc8941#name-dictionaries"""
    position = 0
    for _ in range(MAX_SIGNATURES):
        member = pattern.match(value, position)
        if member is None:
            break
        yield member
        if member.end() == len(value):
            return
        comma = _COMMA.match(value, member.end())
        position = comma.end() if comma else len(value)
    raise Refused("signature_malformed", "a signature header is no dictionary of what is expected in it")
