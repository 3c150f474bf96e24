"""The one error tree.

RelayError                  every error of ours; `reason` is a stable machine word, `str()` is for a person
├── Refused                 the request is not from whom it claims: 401, and the answer never says why
│   └── KeyUnknown          no published key that is known has the request's key id: they are fetched once more
├── Unreadable              verified, but the body is not what this provider sends: 400
├── KeyUnavailable          the key that would judge the request cannot be had right now: 503
├── RuleFailed              an operator's rule raised on this event: the receipt is kept as `unmatched`
├── ConfigInvalid           one or many problems in the operator's configuration, all at once
├── StoreUnavailable        disk full, read-only, locked or gone: 503, never a 2xx
│   └── StoreTooNew         the database was written by a newer release
├── VaultError              no vault key, or none that opens this token
└── CommandFailed           a command line request that cannot be carried out
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct


class RelayError(Exception):
    """Base of every error the relay raises on purpose."""

    reason = "error"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason


class Refused(RelayError):
    """The request does not verify. `reason` goes to log, metric and inbox, never to the sender."""

    reason = "refused"

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason.replace("_", " "), reason=reason)
        self.told = f"{reason}: {message}" if message else reason


class KeyUnknown(Refused):
    """The request names a key that is not among those fetched; its publisher may have a new one by now."""

    def __init__(self, message: str) -> None:
        super().__init__("key_unknown", message)


class Unreadable(RelayError):
    """A verified body that is not what the provider documents."""

    reason = "unreadable"


class KeyUnavailable(RelayError):
    """A published key or certificate could not be fetched now; the sender should try again."""

    reason = "key_unavailable"


class RuleFailed(RelayError):
    """A rule of the operator's raised while it was applied to an event."""

    reason = "rule_failed"


class Problem(Struct, frozen=True):
    """One mistake in the configuration. `path` is dotted and `line` counts from 1.

    Line 0 and a path: it is not in the file, `path` is the environment variable or flag. Line 0 and no path: the file.
    """

    path: str
    message: str
    line: int = 0

    def shown(self, file: str = "") -> str:
        """`relay.yaml:LINE: path: message`, as far as there are these."""
        place = f"{file}:{self.line}: " if file and self.line else f"{file}: " if file and not self.path else ""
        return f"{place}{self.path}: {self.message}" if self.path else f"{place}{self.message}"


class ConfigInvalid(RelayError):
    """Every problem found in the configuration, in file order."""

    reason = "config_invalid"

    def __init__(self, problems: Sequence[Problem], file: str = "") -> None:
        self.problems = tuple(problems)
        self.file = file
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """`relay.yaml:LINE: path: message`, one a problem."""
        return [problem.shown(self.file) for problem in self.problems]


class StoreUnavailable(RelayError):
    """The store cannot commit at the moment."""

    reason = "store_unavailable"


class StoreTooNew(StoreUnavailable):
    """The database's schema is newer than this release knows."""

    reason = "store_too_new"


class VaultError(RelayError):
    """The vault is locked: no key is configured, or no configured key opens what is stored."""

    reason = "vault"


class CommandFailed(RelayError):
    """A command cannot be carried out; the message names the remedy."""

    reason = "command_failed"
