"""An Amazon SNS message: its fields, the bytes that were signed, and the host rules around it.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from msgspec import Struct

from service.domain.errors import Refused
from service.providers import json_body
from service.providers.signatures import HashName

NOTIFICATION = "Notification"
SUBSCRIPTION = "SubscriptionConfirmation"
UNSUBSCRIPTION = "UnsubscribeConfirmation"

_HANDSHAKE = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED_FIELDS: Mapping[str, Sequence[str]] = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: _HANDSHAKE,
    UNSUBSCRIPTION: _HANDSHAKE,
}
_ALGORITHMS: Mapping[str, HashName] = {"1": "sha1", "2": "sha256"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_TOKEN = re.compile(r"[0-9A-Fa-f]{1,1024}")

_REGION = r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}"
_SUFFIXES = {
    "aws": "amazonaws.com",
    "aws-us-gov": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-eusc": "amazonaws.eu",
}
_TOPIC = re.compile(rf"arn:({'|'.join(_SUFFIXES)}):sns:({_REGION}):[0-9]{{12}}:[A-Za-z0-9_-]{{1,256}}")
# The whole string is matched, not the parts of a parsed one: parsers disagree about `\`, `@` and upper case. A looser
# host pattern takes `sns.s3-us-west-2.amazonaws.com`, which is anybody's bucket with the name `sns`.
_CERTIFICATE_PATH = r"/SimpleNotificationService-[0-9a-f]{32}\.pem"
_CERTIFICATE_URL = re.compile(
    rf"https://sns\.{_REGION}\.(?:amazonaws\.com(?:\.cn)?|amazonaws\.eu)({_CERTIFICATE_PATH})"
)
_EMULATOR_PATH = re.compile(r"/[A-Za-z0-9._~/-]{1,512}")


class Topic(Struct, frozen=True):
    """An allow-listed topic's ARN."""

    arn: str
    partition: str
    region: str

    @classmethod
    def of(cls, arn: str) -> Topic:
        """ValueError unless it is the ARN of a standard topic; FIFO topics do not deliver to HTTP."""
        found = _TOPIC.fullmatch(arn)
        if found is None:
            raise ValueError(f"{arn!r} is not a topic's ARN (arn:aws:sns:REGION:ACCOUNT:NAME)")
        return cls(arn, found[1], found[2])

    @property
    def endpoint(self) -> str:
        """The base URL of the topic's own SNS: https://docs.aws.amazon.com/general/latest/gr/sns.html"""
        return f"https://sns.{self.region}.{_SUFFIXES[self.partition]}"


class Emulator(Struct, frozen=True):
    """The base URL of LocalStack or moto on this machine, without a slash at its end."""

    base: str

    @classmethod
    def of(cls, base: str) -> Emulator:
        """ValueError unless it is http(s)://LOOPBACK[:PORT]."""
        parts = urlsplit(base.rstrip("/"))
        loopback = re.fullmatch(r"localhost|127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}|::1", parts.hostname or "")
        bare = re.fullmatch(r"https?://(?:[A-Za-z0-9.]+|\[::1\])(?::[0-9]{1,5})?", parts.geturl())
        if not loopback or not bare:
            raise ValueError(f"{base!r} is not the base URL of an emulator on this machine (http://127.0.0.1:PORT)")
        return cls(parts.geturl())


class Message(Struct, frozen=True):
    """A message whose fields have the right types and whose topic is allowed. Nothing says yet who signed it."""

    fields: Mapping[str, Any]
    topic: Topic

    @classmethod
    def of(cls, document: Mapping[str, Any], topics: Mapping[str, Topic]) -> Message:
        """Raises Refused.

        The signed string is lines without lengths: whoever may publish to any topic can have newlines signed, and
        split the same bytes so that another topic's ARN stands on its own line. So the type has to be exactly one of
        three and no field but the message itself may hold a control character.
        """
        kind = document.get("Type")
        if not isinstance(kind, str) or kind not in _SIGNED_FIELDS:
            raise Refused("message_malformed", "Type is none of Amazon SNS's three")
        for name in (*_SIGNED_FIELDS[kind], "SignatureVersion", "Signature", "SigningCertURL"):
            value = document.get(name)
            if value is None and name == "Subject":
                continue
            if not isinstance(value, str) or (name != "Message" and _CONTROL.search(value)):
                raise Refused("message_malformed", f"{name} is missing or not what Amazon SNS sends")
        topic = topics.get(document["TopicArn"])
        if topic is None:
            raise Refused("topic_not_allowed", "the topic is not among the source's topics")
        return cls(document, topic)

    def text(self, name: str) -> str:
        """A field that is there."""
        return str(self.fields[name])

    @property
    def kind(self) -> str:
        return self.text("Type")

    @property
    def algorithm(self) -> HashName:
        """The digest of the signature; Refused for a version nobody has heard of."""
        algorithm = _ALGORITHMS.get(self.text("SignatureVersion"))
        if algorithm is None:
            raise Refused("signature_version_unknown", "SignatureVersion is neither 1 nor 2")
        return algorithm

    @property
    def signed_bytes(self) -> bytes:
        return signed_bytes(self.fields)

    def certificate_url(self, emulator: Emulator | None) -> str:
        """Where to fetch the certificate; Refused unless the message names Amazon's own host or the emulator."""
        url = self.text("SigningCertURL")
        found = _CERTIFICATE_URL.fullmatch(url)
        if found is not None:
            return url if emulator is None else emulator.base + found[1]
        if emulator is not None and url.startswith(emulator.base):
            path = url.removeprefix(emulator.base)
            if _EMULATOR_PATH.fullmatch(path):
                return url
        raise Refused("certificate_url_refused", "SigningCertURL is not where Amazon SNS publishes certificates")

    def confirmation_url(self, emulator: Emulator | None) -> str:
        """The URL that confirms the subscription, built from the allow-listed topic and the token; Refused where the
        message does not ask for exactly that. The URL in the message is looked at and never visited."""
        token = self.text("Token")
        endpoint = self.topic.endpoint if emulator is None else emulator.base
        base, mark, query = self.text("SubscribeURL").partition("?")
        asked = parse_qsl(query)
        wanted = [("Action", "ConfirmSubscription"), ("Token", token)]
        # TopicArn is left to the signed field of that name: it is the one the confirmation goes out for.
        same = mark and base == f"{endpoint}/" and sorted(pair for pair in asked if pair[0] != "TopicArn") == wanted
        if not _TOKEN.fullmatch(token) or not same:
            raise Refused("subscribe_url_refused", "SubscribeURL does not confirm this subscription at Amazon SNS")
        return f"{endpoint}/?Action=ConfirmSubscription&TopicArn={quote(self.topic.arn, safe=':')}&Token={token}"


def signed_bytes(fields: Mapping[str, Any]) -> bytes:
    """Name and value of each signed field, a line each; a subject counts only where there is one."""
    names = [name for name in _SIGNED_FIELDS[fields["Type"]] if fields.get(name) is not None]
    return "".join(f"{name}\n{fields[name]}\n" for name in names).encode(errors="surrogatepass")


def is_envelope(document: Any) -> bool:
    """Whether a body is an SNS message rather than the bare one that raw delivery sends."""
    return isinstance(document, dict) and "Type" in document and bool(document.keys() & {"TopicArn", "Signature"})


def parse_envelope(body: bytes) -> dict[str, Any] | None:
    """The SNS message in a body, None where there is none. Raises Unreadable for what is no JSON."""
    document = json_body.parse(body)
    return document if is_envelope(document) else None
