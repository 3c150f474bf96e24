"""Wasabi: it publishes to an Amazon SNS topic of yours, which signs as Amazon does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from msgspec.structs import replace

from service.domain.variants import Variant
from service.providers.aws_sns import AwsSns
from service.providers.base import Guide


class Wasabi(AwsSns):
    """https://docs.wasabi.com/apidocs/event-notification-service-sns

    What Wasabi itself sends goes to Amazon; what arrives here is Amazon's, records of S3's kind and all.
    """

    info = replace(
        AwsSns.info,
        name="wasabi",
        title="Wasabi, through Amazon SNS",
        doc_url="https://docs.wasabi.com/apidocs/event-notification-service-sns",
        guide=Guide(
            setup=(
                "Amazon: a standard SNS topic, and an access key that may publish to it. Its ARN is one of `topics`. "
                "Set the topic's `SignatureVersion` to 2.",
                "Wasabi: *Settings → Event Notifications*: that access key and its region; then *bucket → Settings → "
                "Event Notifications*: the topic and the events. A bucket outside us-east-1 takes an API call of its "
                "own: <https://docs.wasabi.com/docs/configuring-object-event-notification-across-multiple-regions>.",
                "Amazon: *SNS → topic → Create subscription*: protocol HTTPS, endpoint "
                "`https://relay.example.com/hooks/NAME`, raw message delivery **off**. The relay confirms it by itself "
                "and only for a topic in `topics`.",
                "`bases: {BUCKET: https://…}` for every bucket.",
            ),
            events="`ObjectCreated:*` (→ `updated`: a new object and an overwritten one look the same) and "
            "`ObjectRemoved:*` (→ `deleted`).",
            covered="Amazon signs its message with everything Wasabi said, the topic and the time of publishing; no "
            "header. That Wasabi wrote it is the word of whoever may publish to the topic.",
            retries="Amazon's: an answer is due within 15 s, 2xx counts; 5xx, 429 and time-outs are retried (3 times, "
            "20 s apart, unless the topic's delivery policy says otherwise), anything else is not. How often Wasabi "
            "tries to publish is unknown.",
            urls="Computed: the base of the bucket (`bases`) and the object's key. How Wasabi encodes keys is unknown; "
            "they are read as Amazon S3's (`+` is a space), `key_encoding` says otherwise.",
        ),
    )
    variants: ClassVar[Mapping[str, Variant]] = {}  # its buckets have hosts of their own
