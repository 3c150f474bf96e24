"""A push of Alibaba's Simple Message Queue: what is signed of it, whose key signs, and the message in its body.

https://www.alibabacloud.com/help/en/mns/developer-reference/topic-message-http-subscription-signature
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec import Struct

from service.domain.errors import Refused, Unreadable
from service.providers import json_body
from service.providers.flat_xml import flat_fields
from service.providers.signatures import from_base64, matches_any

MESSAGE_ID = "x-mns-message-id"
MD5 = "content-md5"
CERTIFICATE_URL = "x-mns-signing-cert-url"
ROOT = "Notification"

_OWN_HEADERS = "x-mns-"
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,64}/[A-Za-z][A-Za-z0-9-]{0,255}")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+(?:-[0-9]{1,2})?")
# The whole string is matched, not the parts of a parsed one, and every dot of the host is Alibaba's: a bucket's own
# name stands in front of it, and nobody else can have one called `mns-cert` or `mnstest`.
_CERTIFICATE = r"https://(?:mnstest\.oss-cn-hangzhou|mns-cert\.oss-{})\.aliyuncs\.com/[A-Za-z0-9_-]{{1,128}}\.pem"
_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
    r"(?:19[7-9]|[2-8][0-9]{2})[0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
)


def checked_topic(topic: str) -> str:
    """ValueError unless it is an account's id and the name of a topic of its."""
    if not _TOPIC.fullmatch(topic):
        raise ValueError(f"{topic!r} is not OWNER/NAME: the id of the topic's account and its name")
    return topic


def certificate_pattern(region: str | None) -> re.Pattern[str]:
    """What the certificate's URL has to be; of one region only, where it is given. ValueError for what is no region."""
    if region is not None and not _REGION.fullmatch(region):
        raise ValueError(f"{region!r} is not a region such as cn-hangzhou")
    return re.compile(_CERTIFICATE.format(_REGION.pattern if region is None else region))


def certificate_url(given: str, allowed: re.Pattern[str]) -> str:
    """The URL in the header, which is base64; refused unless it is where Alibaba publishes its certificates."""
    url = from_base64(given).decode("latin-1")
    if not allowed.fullmatch(url):
        raise Refused("certificate_url_refused", "the certificate is not where Alibaba publishes certificates")
    return url


def signed_bytes(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """The lines that are signed: a header that is missing is an empty one. The body counts by its MD5 alone."""
    own = sorted(f"{name}:{value}" for name, value in headers.items() if name.startswith(_OWN_HEADERS))
    usual = (headers.get(name, "") for name in (MD5, "content-type", "date"))
    text = "\n".join((method, *usual, *own, path))
    if not text.isascii():
        raise Refused("signature_malformed", "what is signed is ASCII")
    return text.encode()


def refuse_other_body(given: str, body: bytes) -> None:
    """Refuse a body that is not the one the signed MD5 is of.

    Alibaba's example has base64 of the digest's hex text; whether its servers still send that, or base64 of the digest
    as HTTP's own Content-MD5, is not documented. Both are of the same digest.
    """
    digest = hashlib.md5(body, usedforsecurity=False).digest()  # Alibaba's choice
    if not matches_any([from_base64(given)], [digest.hex().encode(), digest]):
        raise Refused("body_mismatch", "Content-MD5 is not the body's")


def http_date(value: str) -> datetime:
    """A signed `Date`: https://www.rfc-editor.org/rfc/rfc9110#name-date-time-formats"""
    try:
        moment = parsedate_to_datetime(value) if _DATE.fullmatch(value) else None
    except ValueError:
        moment = None  # such as a 31st of February
    if moment is None:
        raise Refused("timestamp_malformed", "the Date is none of HTTP's")
    return moment


class Push(Struct, frozen=True):
    """What a body holds. `topic` and `message_id` are known where the queue itself wrote the body's frame."""

    content: str
    topic: str | None = None
    message_id: str | None = None

    @classmethod
    def of(cls, body: bytes, message_id: str | None) -> Push:
        """`message_id` is that of the header. Raises Unreadable.

        It tells the formats apart: https://www.alibabacloud.com/help/en/mns/httpendpoint. The header is signed and
        comes in the format SIMPLIFIED alone, whose body is all the publisher's, who may write a frame into it.
        """
        if message_id is not None:
            return cls(body.decode(errors="replace"), None, message_id)
        if body.startswith(b"<"):
            fields: Mapping[str, Any] = flat_fields(body, ROOT)
        else:
            document = json_body.parse(body)
            if not isinstance(document, dict) or "Message" not in document:
                return cls(body.decode(errors="replace"))
            fields = document
        content, owner, name = (json_body.text(fields, key) for key in ("Message", "TopicOwner", "TopicName"))
        if content is None:
            raise Unreadable("the notification holds no message")
        topic = None if owner is None or name is None else f"{owner}/{name}"
        return cls(content, topic, json_body.text(fields, "MessageId"))

    def document(self) -> dict[str, Any]:
        """The message as JSON; some publishers put base64 around it."""
        text = self.content.strip()
        if text.startswith("{"):
            return json_body.parse_object(text.encode(errors="surrogatepass"))
        try:
            return json_body.parse_object(from_base64(text))
        except Refused:
            raise Unreadable("the message is neither JSON nor base64 of it") from None
