"""The source that an operator would configure for a recorded webhook, as in relay.yaml, and the time to judge it at."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from service.domain.clock import iso
from service.providers.signatures import unix_time
from support.senders import NOW

Case = Mapping[str, Any]
Settings = dict[str, Any]

PATIENCE = 86_400  # of a tolerance, for what only a vendor's own library lets through
_TIME = re.compile(r"\bt=([0-9]{10,13})\b")
_TIME_HEADERS = ("x-webflow-timestamp", "fs-timestamp")
_TIME_FIELDS = ("triggered_at", "Timestamp")


def header(case: Case, name: str) -> str | None:
    return next((str(value) for key, value in case["headers"].items() if key.lower() == name), None)


def body(case: Case) -> Any:
    """The body as a document, an empty one where it is none."""
    try:
        return json.loads(case["body"])
    except ValueError:
        return {}


def clock(case: Case) -> str:
    """When a case is to be judged: its own clock, the time that was signed, or any."""
    config = case.get("config") or {}
    for given in (*(case.get(key) for key in ("clock_ms", "timestamp", "now", "clock")), config.get("now")):
        if given is not None:
            return str(given)
    if (found := _TIME.search(str(case["headers"]))) is not None:
        return found[1]
    for name in _TIME_HEADERS:
        if (value := header(case, name)) is not None:
            return value if len(value) != 12 else iso(unix_time(value, "s"))  # of Filestack's tests, in the year 5882
    document = body(case)
    fields = (document.get(name) for name in _TIME_FIELDS) if isinstance(document, dict) else ()
    return next((str(value) for value in fields if value), NOW.isoformat())


def settings(provider: str, case: Case) -> Settings:
    """The source in relay.yaml."""
    found: Settings = {"provider": provider, **_keys(case)}
    special = _SPECIAL.get(provider)
    return found if special is None else found | special(case)


def _keys(case: Case) -> Settings:
    """What vectors call a secret: a key, several, a credential, or nothing where the sender's key is public."""
    match case["secret"]:
        case str(pem) if pem.startswith("-----BEGIN"):
            return {"public_keys": [pem]}
        case str(secret) if secret:
            return {"secrets": [secret]}
        case list(several):
            return {"secrets": several}
        case {"query": parameters}:
            ((name, secret),) = parameters.items()
            return {"auth": {"query": name}, "secrets": [secret]}
        case {"user": user, "password": secret}:
            return {"auth": {"basic": user}, "secrets": [secret]}
        case {"header": name, "value": secret}:
            return {"auth": {"header": name}, "secrets": [secret]}
        case {"authorization": str(bearer)}:
            return {"auth": {"bearer": True}, "secrets": [bearer.removeprefix("Bearer ")]}
        case {"bearer": secret}:
            return {"auth": {"bearer": True}, "secrets": [secret]}
    if "jwks" in (config := case.get("config") or {}):
        return {"public_keys": [json.dumps(config["jwks"])], "auth": {"jwt": _claims(config)}}
    if "public_keys" in case:
        return {"public_keys": list(case["public_keys"].values())}
    if case.get("cert"):
        return {"public_keys": [case["cert"]]}
    return {"secrets": ["fake-secret-nobody-signed-with"]}


_CLAIMS = {"service_account": "email", "eventgrid_app_id": "app_id"}  # where the vectors have names of their own


def _claims(config: Mapping[str, Any]) -> Settings:
    """What a token must say, by the names of relay.yaml."""
    names = ("audience", "service_account", "tenant", "eventgrid_app_id", "role")
    found = {_CLAIMS.get(name, name): config[name] for name in names if name in config}
    return {**found, "max_lifetime": 100 * 365 * 86_400}  # so that a vector need not be made anew every day


def _aws_sns(case: Case) -> Settings:
    """Its topic is allowed, and the certificate it names is pinned."""
    named = body(case).get("TopicArn", "arn:aws:sns:us-east-1:000000000000:images-topic")
    found: Settings = {"topics": (case.get("config") or {}).get("allowed_topic_arns") or [named]}
    if "localstack" in case.get("id", ""):
        found["emulator"] = "http://127.0.0.1:39032"
    return found


def _contentful(case: Case) -> Settings:
    return {"tolerance": case["ttl_seconds"]} if "ttl_seconds" in case else {}


def _cloudinary(case: Case) -> Settings:
    return {"signature_algorithm": "sha1"} if "configured for sha1" in case["note"] else {}


def _contentstack(case: Case) -> Settings:
    return {"project_id": body(case)["api_key"]} if "public_keys" in case else {}


def _adobe_io_events(case: Case) -> Settings:
    return {"project_id": body(case)["recipientclientid"]}


def _alibaba_oss_mns(_: Case) -> Settings:
    return {"auth": {"query": "s"}, "secrets": ["1"]}


def _appwrite(_: Case) -> Settings:
    return {"registered_url": "https://relay.example.com/hooks/appwrite"}  # as its note says


def _crystallize(case: Case) -> Settings:
    return {"registered_url": case["url"]}


def _rfc9421(_: Case) -> Settings:
    return {"covered": ["date", "@authority", "content-type"]}  # the RFC's own examples leave the body unsigned


_SPECIAL: Mapping[str, Callable[[Case], Settings]] = {
    "adobe-io-events": _adobe_io_events,
    "alibaba-oss-mns": _alibaba_oss_mns,
    "appwrite": _appwrite,
    "aws-sns": _aws_sns,
    "bynder": _aws_sns,
    "cloudinary": _cloudinary,
    "contentful": _contentful,
    "contentstack": _contentstack,
    "crystallize": _crystallize,
    "rfc9421": _rfc9421,
}
