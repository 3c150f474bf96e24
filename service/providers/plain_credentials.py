"""Senders that cannot sign: a credential lets them in, and the payload is of their own making."""

from __future__ import annotations

from typing import ClassVar

from msgspec.structs import replace

from service.providers.base import Guide, Info, SourceProblem
from service.providers.credential_only import UNSIGNED_AUTH, CredentialOnly
from service.providers.plain_provider import PlainProvider
from service.settings.model import Auth, Source

_STORED = frozenset({"content-type"})


def _guide(*setup: str, also: str = "") -> Guide:
    """All but the steps is the same for whoever sends a payload of its own making; `also` is not covered either."""
    return Guide(
        setup=setup,
        events="Your sender says what happened: the last part of `type` (or `event`, `event_type`, `action`) is "
        "`created`, `updated`, `published`, `replaced`, `renamed`, `deleted`, `unpublished` or `restored`; "
        "anything else becomes `unknown`.",
        covered="Nothing of the request: whoever knows the credential may say anything, and replay it. Every "
        f"delivery without a time of its own in the body counts as another event.{also}",
        retries="Your sender's affair. The relay answers 200 once it has stored the event, 401 to what does not "
        "verify, 503 while it cannot store: try again on that, for some hours.",
        urls="In the payload, of your own making: `url` or `urls`, and `old_url` or `previous_url` for earlier "
        "ones, at the top or within `data`. Any other shape is up to a rule, which sees the whole `payload`.",
    )


class PlainCredential(CredentialOnly, PlainProvider):
    """Where `auth:` is left out and the provider's name says all there is to say, `implied` takes its place."""

    implied: ClassVar[Auth | None] = None

    @classmethod
    def completed(cls, source: Source) -> Source:
        if source.unverified:
            raise SourceProblem("unverified", f"{cls.info.name} is a credential: `provider: plain` goes without any")
        if source.auth is not None:
            return source
        if cls.implied is None:
            raise SourceProblem("auth", f"is missing: give `auth: {{{cls.info.auth[0]}: …}}`")
        return replace(source, auth=cls.implied)


class Basic(PlainCredential):
    """https://www.rfc-editor.org/rfc/rfc7617"""

    info = Info(
        name="basic",
        title="HTTP Basic",
        doc_url="https://www.rfc-editor.org/rfc/rfc7617",
        signs="nothing; `auth: {basic: USER}` names the user, `secrets` the passwords",
        tolerance=None,
        stored_headers=_STORED,
        auth=("basic",),
        guide=_guide(
            "Have the sender post JSON to `https://relay.example.com/hooks/NAME` with HTTP Basic.",
            "`auth: {basic: USER}`; the password is one of `secrets`.",
        ),
    )


class Bearer(PlainCredential):
    """https://www.rfc-editor.org/rfc/rfc6750#section-2.1"""

    info = Info(
        name="bearer",
        title="Bearer token",
        doc_url="https://www.rfc-editor.org/rfc/rfc6750#section-2.1",
        signs="nothing; `Authorization: Bearer` carries one of `secrets`",
        tolerance=None,
        stored_headers=_STORED,
        auth=("bearer",),
        guide=_guide(
            "Have the sender post JSON to `https://relay.example.com/hooks/NAME` with `Authorization: Bearer SECRET`.",
            "SECRET is one of `secrets`: 32 random characters or more.",
        ),
    )
    implied = Auth(bearer=True)


class Header(PlainCredential):
    """https://www.rfc-editor.org/rfc/rfc9110#name-field-names"""

    info = Info(
        name="header",
        title="A header of your choice",
        doc_url="https://www.rfc-editor.org/rfc/rfc9110#name-field-names",
        signs="nothing; `auth: {header: NAME}` names the header, `secrets` its values",
        tolerance=None,
        stored_headers=_STORED,
        auth=("header",),
        guide=_guide(
            "Have the sender post JSON to `https://relay.example.com/hooks/NAME` with a header of your choice.",
            "`auth: {header: X-Relay-Key}`; the header's value is one of `secrets`.",
        ),
    )


class CapabilityUrl(PlainCredential):
    """https://www.w3.org/TR/capability-urls/"""

    info = Info(
        name="capability-url",
        title="A secret URL",
        doc_url="https://www.w3.org/TR/capability-urls/",
        signs="nothing; the URL that `image-relay url` makes is the credential",
        tolerance=None,
        stored_headers=_STORED,
        auth=("capability",),
        guide=_guide(
            "One of `secrets` is what makes keys: 32 random characters or more.",
            "`image-relay url NAME` prints the whole address, `https://relay.example.com/hooks/NAME/KEY`: have "
            "the sender post JSON to it, and to nobody tell it.",
            also=" The key is in the URL, so proxies in between may log it; the relay itself does not. Another secret "
            "makes every older key worthless.",
        ),
    )
    implied = Auth(capability=True)


class Plain(PlainCredential):
    """https://www.rfc-editor.org/rfc/rfc9110#section-11"""

    info = Info(
        name="plain",
        title="Any JSON of your own",
        doc_url="https://www.rfc-editor.org/rfc/rfc9110#section-11",
        signs="nothing; `auth:` names the credential, or `unverified: true` says that there is none",
        tolerance=None,
        stored_headers=_STORED,
        auth=(*UNSIGNED_AUTH, "query"),
        guide=_guide(
            "Have the sender post JSON to `https://relay.example.com/hooks/NAME`.",
            "`auth:` names its credential; `unverified: true` says that there is none, and that anybody may "
            "purge what the rules let through.",
        ),
    )

    @classmethod
    def completed(cls, source: Source) -> Source:
        if source.auth is None and not source.unverified:
            raise SourceProblem("auth", "is missing: choose a credential, or spell `unverified: true`")
        return source
