"""What came in over HTTP, before and after it was verified."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Self

from msgspec import Struct
from msgspec.structs import force_setattr

from service.domain.errors import Refused


class HidesBody(Struct, frozen=True):
    """Shows its fields in `repr`, but for the body and what is its own."""

    def __repr__(self) -> str:
        shown = (name for name in self.__struct_fields__ if name != "body" and not name.startswith("_"))
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


class RawRequest(HidesBody, frozen=True):
    """A request as it was received: nothing decoded, nothing trusted.

    `path` is path and query as the sender sees and signs them, still percent-encoded. Header names are lower-case and
    values are latin-1 text, in the order received.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    _by_name: Mapping[str, str] = {}  # the last of each, for itself to fill: one look, not many

    def __post_init__(self) -> None:
        force_setattr(self, "_by_name", dict(self.headers))

    @classmethod
    def of(cls, method: str, path: str, headers: Mapping[str, str] | Iterable[tuple[str, str]], body: bytes) -> Self:
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        return cls(method, path, tuple((name.lower(), value) for name, value in pairs), body)

    def header(self, name: str) -> str | None:
        """The value of a lower-case header name, None when absent; refuses a repeated one, which has no one meaning."""
        found = self._by_name.get(name)
        if found is not None and len(self._by_name) < len(self.headers):
            times = sum(key == name for key, _ in self.headers)
            if times > 1:
                raise Refused("header_repeated", f"the header {name} came {times} times")
        return found

    def carries(self, name: str) -> bool:
        """Whether a lower-case header name is there at all."""
        return name in self._by_name

    def required(self, name: str, reason: str = "signature_missing") -> str:
        """As `header`, but an absent or empty one is refused."""
        value = self.header(name)
        if not value:
            raise Refused(reason, f"the header {name} is missing")
        return value

    def header_map(self, names: frozenset[str]) -> dict[str, str]:
        """The headers among `names`, the last one winning: what may be stored and shown."""
        return {key: value for key, value in self._by_name.items() if key in names}


class Greeting(HidesBody, frozen=True, kw_only=True):
    """The answer to a request that only asks whether somebody is here; nothing of it is stored."""

    reason: str
    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Authentic(Struct, frozen=True):
    """What a provider's verification found. `signed_at` is the sender's own signed clock, where the scheme has one."""

    scheme: str
    signed_at: datetime | None = None


class Verified(HidesBody, frozen=True):
    """A request that proved its sender. Only `service.providers.verification` makes one.

    `headers` holds the provider's allow-listed headers alone, and a secret within the body is blotted out: no
    credential survives into here.
    """

    source: str
    scheme: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    signed_at: datetime | None = None
