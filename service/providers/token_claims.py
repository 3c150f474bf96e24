"""What a token must say before it lets in: Google's, Microsoft Entra's, or one of any other issuer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from msgspec import Struct

from service.domain.errors import Refused
from service.providers import json_body
from service.providers.base import SourceProblem
from service.settings.addresses import http_url_problem, is_plain_http
from service.settings.model import Jwt

SKEW = 10.0  # seconds that an issuer's clock may be off
_LAST_TIME = 253_402_300_799  # the end of the year 9999, beyond which no time is one

# google-auth takes both spellings; Pub/Sub's documentation shows the first.
# https://docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions
_GOOGLE_ISSUERS = ("https://accounts.google.com", "accounts.google.com")
_GOOGLE_KEYS = "https://www.googleapis.com/oauth2/v3/certs"

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Pin = Callable[[Mapping[str, Any]], None]


class Expected(Struct, frozen=True, kw_only=True):
    """Whose token is believed. `sample` are the claims of a token that is, but for its times."""

    preset: str
    issuers: tuple[str, ...]
    audience: str | None
    algorithms: tuple[str, ...]
    jwks_url: str | None
    needs_key_id: bool
    max_lifetime: float
    pins: tuple[Pin, ...]
    sample: Mapping[str, Any]

    def check(self, claims: Mapping[str, Any], now: datetime) -> None:
        """Raises Refused, its reason naming the claim. Every comparison is exact."""
        if self.issuers and claims.get("iss") not in self.issuers:
            raise Refused("token_issuer_mismatch", "the token's issuer is another")
        # A list is refused: no issuer here writes one, and who is on it beside this relay is anybody's guess.
        if self.audience is not None and claims.get("aud") != self.audience:
            raise Refused("token_audience_mismatch", "the token was made for another audience")
        _check_times(claims, now.timestamp(), self.max_lifetime)
        for pin in self.pins:
            pin(claims)


def expected_of(settings: Jwt, *, by_secret: bool) -> Expected:
    """What the settings ask of a token; `by_secret` says that it is signed by HS256. Raises SourceProblem."""
    if settings.tenant is not None or settings.app_id is not None or settings.role is not None:
        return _entra(settings, by_secret)
    if settings.email is not None or settings.issuer in _GOOGLE_ISSUERS:
        return _google(settings, by_secret)
    return _generic(settings, by_secret)


def _google(settings: Jwt, by_secret: bool) -> Expected:
    """https://docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions: anybody's Google project may push a
    genuine token of the same audience, so the service account is what counts."""
    _needed(settings, "Google's tokens", "audience", "email")
    _fitting(settings, "Google's tokens", by_secret, "issuer", "audience", "email", "subject", "claims")
    if settings.issuer not in (None, *_GOOGLE_ISSUERS):
        raise SourceProblem("auth.jwt.issuer", f"goes with `email` only as {_GOOGLE_ISSUERS[0]}")
    return Expected(
        preset="google",
        issuers=_GOOGLE_ISSUERS,
        audience=settings.audience,
        algorithms=("RS256",),
        jwks_url=_GOOGLE_KEYS,
        needs_key_id=True,
        max_lifetime=settings.max_lifetime,
        pins=(partial(_email, settings.email), *_own_pins(settings)),
        sample={
            "iss": _GOOGLE_ISSUERS[0],
            "aud": settings.audience,
            "azp": settings.subject or "113774264463038321964",
            "sub": settings.subject or "113774264463038321964",
            "email": settings.email,
            "email_verified": True,
            **settings.claims,
        },
    )


def _entra(settings: Jwt, by_secret: bool) -> Expected:
    """https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference: version 1 and 2 of a token
    name issuer and application differently, and which one comes is a setting of the audience's registration."""
    _needed(settings, "Entra's tokens", "tenant", "audience", "app_id", "role")
    _fitting(settings, "Entra's tokens", by_secret, "tenant", "audience", "app_id", "role", "subject", "claims")
    tenant, app_id = (_guid(name, getattr(settings, name)) for name in ("tenant", "app_id"))
    issuers = (f"https://sts.windows.net/{tenant}/", f"https://login.microsoftonline.com/{tenant}/v2.0")
    return Expected(
        preset="entra",
        issuers=issuers,
        audience=settings.audience,
        algorithms=("RS256",),
        jwks_url=f"https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys",
        needs_key_id=True,
        max_lifetime=settings.max_lifetime,
        pins=(
            partial(_claim, "tid", tenant, "token_tenant_mismatch"),
            partial(_application, app_id),
            partial(_role, settings.role),
            *_own_pins(settings),
        ),
        sample={
            "iss": issuers[0],
            "aud": settings.audience,
            "tid": tenant,
            "appid": app_id,
            "roles": [settings.role],
            "sub": settings.subject or "aaaaaaaa-0000-4000-8000-000000000001",
            "ver": "1.0",
            **settings.claims,
        },
    )


def _generic(settings: Jwt, by_secret: bool) -> Expected:
    """Where a secret signs, it alone says who sends; a published key signs for whomever its issuer likes."""
    if not by_secret:
        _needed(settings, "a token that a key signs", "issuer", "audience")
    own = ("issuer", "audience", "subject", "claims", "body_hash_claim")
    _fitting(settings, "this token", by_secret, *own, *(() if by_secret else ("jwks_url", "algorithms")))
    if settings.jwks_url is not None and (problem := _keys_problem(settings.jwks_url)):
        raise SourceProblem("auth.jwt.jwks_url", problem)
    named = {"iss": settings.issuer, "aud": settings.audience, "sub": settings.subject}
    return Expected(
        preset="generic",
        issuers=() if settings.issuer is None else (settings.issuer,),
        audience=settings.audience,
        algorithms=("HS256",) if by_secret else tuple(settings.algorithms) or ("RS256",),
        jwks_url=settings.jwks_url,
        needs_key_id=False,
        max_lifetime=settings.max_lifetime,
        pins=_own_pins(settings),
        sample={name: value for name, value in named.items() if value is not None} | settings.claims,
    )


def _given(settings: Jwt, name: str) -> bool:
    return getattr(settings, name) not in (None, [], {})


def _needed(settings: Jwt, what: str, *names: str) -> None:
    missing = [name for name in names if not getattr(settings, name)]
    if missing:
        raise SourceProblem("auth.jwt", f"{what} are not told apart without {' and '.join(missing)}")


def _fitting(settings: Jwt, what: str, by_secret: bool, *names: str) -> None:
    """No setting does nothing."""
    for name in Jwt.__struct_fields__:
        if name not in (*names, "max_lifetime") and _given(settings, name):
            raise SourceProblem(f"auth.jwt.{name}", f"does not go with {what}")
    if by_secret and "body_hash_claim" not in names:
        raise SourceProblem("secrets", f"{what} are signed with a published key, so this would do nothing")


def _guid(name: str, value: str) -> str:
    if not _GUID.fullmatch(value.lower()):
        raise SourceProblem(f"auth.jwt.{name}", "is no GUID such as 11111111-2222-3333-4444-555555555555")
    return value.lower()


def _keys_problem(url: str) -> str | None:
    if problem := http_url_problem(url):
        return problem
    return "must be https: whoever can change the keys on the way can sign" if is_plain_http(url) else None


def _own_pins(settings: Jwt) -> tuple[Pin, ...]:
    subject = () if settings.subject is None else (("sub", settings.subject, "token_subject_mismatch"),)
    more = ((name, value, "token_claim_mismatch") for name, value in settings.claims.items())
    return tuple(partial(_claim, *one) for one in (*subject, *more))


def _claim(name: str, value: str, reason: str, claims: Mapping[str, Any]) -> None:
    if json_body.scalar(claims, name) != value:
        raise Refused(reason, f"the token's {name} is another")


def _email(value: str | None, claims: Mapping[str, Any]) -> None:
    if claims.get("email") != value:
        raise Refused("token_email_mismatch", "the token is another account's")
    if claims.get("email_verified") is not True:  # the text "false" is as true to Python as any
        raise Refused("token_email_unverified", "Google does not vouch for the account's address")


def _application(value: str, claims: Mapping[str, Any]) -> None:
    """Version 1 says `appid`, version 2 `azp`."""
    named = [claims[name] for name in ("appid", "azp") if name in claims]
    if not named or any(one != value for one in named):
        raise Refused("token_application_mismatch", "the token is another application's")


def _role(value: str | None, claims: Mapping[str, Any]) -> None:
    if value not in json_body.array(claims, "roles"):
        raise Refused("token_role_missing", "the application was not given the role")


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    """https://www.rfc-editor.org/rfc/rfc7519#section-2: seconds since 1970, perhaps with a fraction."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_TIME:
        raise Refused("token_malformed", f"the token's {name} is no time")
    return float(value)


def _check_times(claims: Mapping[str, Any], now: float, max_lifetime: float) -> None:
    expires, issued, begins = (_time(claims, name) for name in ("exp", "iat", "nbf"))
    if expires is None:
        raise Refused("token_expiry_missing", "the token would be good for ever")
    if now >= expires + SKEW:
        raise Refused("token_expired", f"the token expired {now - expires:.0f} s ago")
    if any(one is not None and now < one - SKEW for one in (issued, begins)):
        raise Refused("token_not_yet_valid", "the token is from the future")
    start = next((one for one in (issued, begins) if one is not None), now)
    if expires - start > max_lifetime:
        raise Refused("token_lifetime_too_long", f"the token lives longer than {max_lifetime:.0f} s")
