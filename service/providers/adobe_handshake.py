"""What Adobe asks before it enables a registration: it signs none of it, so nothing is believed and nothing fetched.

https://developer.adobe.com/events/docs/guides/#the-challenge-request
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from service.domain.errors import Unreadable
from service.domain.requests import Greeting, RawRequest
from service.providers import json_body

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{1,200}")  # any word may be echoed, but no markup
_URL = re.compile(r"https://csm\.adobe\.io/csm/registrations?/validate\?[A-Za-z0-9=&_-]{1,400}")
_MOST_BYTES = 1024  # of a question by POST


def challenge_answer(request: RawRequest) -> Greeting | None:
    """The answer to `GET ?challenge=…`, None to anything else."""
    found = [value for name, value in parse_qsl(request.path.partition("?")[2]) if name == "challenge"]
    if len(found) != 1 or not _CHALLENGE.fullmatch(found[0]):
        return None
    headers = {"content-type": "text/plain", "x-content-type-options": "nosniff"}
    return Greeting(reason="Adobe's challenge", headers=headers, body=found[0].encode())


def question(request: RawRequest) -> Greeting | None:
    """The answer to the POST with which Adobe asks a receiver that failed the challenge to visit a URL of Adobe's: it
    is left to a person, to whom the log says which."""
    if len(request.body) > _MOST_BYTES or b"validationUrl" not in request.body:
        return None
    try:
        url = asked_url(json_body.parse(request.body)) or ""
    except Unreadable:
        return None
    if not _URL.fullmatch(url):
        return None
    return Greeting(reason=f"Adobe wants the registration confirmed within 5 minutes: open {url}")


def asked_url(document: Any) -> str | None:
    """The URL in a body that does nothing but ask."""
    asks_alone = isinstance(document, dict) and len(document) == 1
    return json_body.text(document, "validationUrl") if asks_alone else None
