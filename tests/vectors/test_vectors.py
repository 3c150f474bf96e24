"""Every recorded vector gives its stated verdict at its stated clock.

The files come from the vendors' own libraries and from captured requests; each case says who signed and judged it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import pytest
from support.senders import NAME, NOW, secrets
from support.vectors import VECTORS, agrees, captured, cases, lax, request_of, verdict

from service.domain import events
from service.domain.clock import from_ms, parse_moment
from service.domain.errors import Refused
from service.domain.events import AssetKind
from service.domain.requests import Verified
from service.providers.base import Provider
from service.providers.registry import build
from service.providers.signatures import unix_time
from service.providers.verification import verify
from service.settings.model import Auth, Source


@pytest.mark.parametrize("case", cases("contentful"))
def test_contentful(case: Mapping[str, Any]) -> None:
    now = from_ms(case.get("clock_ms", case["timestamp"]))
    source = Source(
        provider="contentful", secrets=secrets(case["secret"]), tolerance=None if lax(case) else case.get("ttl_seconds")
    )
    said = verdict(build(NAME, source), case, now)
    if lax(case):
        assert said == "timestamp_too_new"
        patient = Source(provider="contentful", secrets=source.secrets, tolerance=3600)
        said = verdict(build(NAME, patient), case, now)
    assert agrees(said, case), said


@pytest.mark.parametrize("case", cases("cloudinary"))
def test_cloudinary(case: Mapping[str, Any]) -> None:
    now = parse_moment(str(case["now"]))
    algorithm: Literal["sha1"] | None = "sha1" if "configured for sha1" in case["note"] else None
    source = Source(provider="cloudinary", secrets=secrets(case["secret"]), signature_algorithm=algorithm)
    said = verdict(build(NAME, source), case, now)
    if lax(case):
        assert said == "timestamp_too_new"
        patient = Source(provider="cloudinary", secrets=source.secrets, tolerance=86_400)
        said = verdict(build(NAME, patient), case, now)
    assert agrees(said, case), said


@pytest.mark.parametrize("case", cases("sanity"))
def test_sanity(case: Mapping[str, Any]) -> None:
    signature = {name.lower(): value for name, value in case["headers"].items()}["sanity-webhook-signature"]
    now = parse_moment(signature[2:15])
    assert agrees(
        said := verdict(build(NAME, Source(provider="sanity", secrets=secrets(case["secret"]))), case, now), case
    ), said


@pytest.mark.parametrize("case", [*cases("standard-webhooks"), *cases("svix")])
def test_standard_webhooks_and_svix(case: Mapping[str, Any]) -> None:
    now = parse_moment(str(case.get("now") or case["clock"]))
    provider = build(NAME, Source(provider="standard-webhooks", secrets=secrets(case["secret"])))
    assert agrees(said := verdict(provider, case, now), case), said


BODY_ALONE = ("github", "kontent-ai", "shopify", "storyblok")  # whoever signs no time is judged at any


@pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(name, *case.values, id=f"{name}: {case.id}") for name in BODY_ALONE for case in cases(name)],
)
def test_schemes_that_sign_the_body_alone(name: str, case: Mapping[str, Any]) -> None:
    provider = build(NAME, Source(provider=name, secrets=secrets(case["secret"])))
    assert agrees(said := verdict(provider, case, NOW), case), said


@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param(name, *case.values, id=f"{name}: {case.id}")
        for name, file in (("stripe-style", "stripe"), ("slack-style", "slack"))
        for case in cases(file)
    ],
)
def test_styles_of_signatures(name: str, case: Mapping[str, Any]) -> None:
    now = parse_moment(str(case["now"]))
    said = verdict(build(NAME, Source(provider=name, secrets=secrets(case["secret"]))), case, now)
    if lax(case):
        assert said == "timestamp_too_new"
        patient = Source(provider=name, secrets=secrets(case["secret"]), tolerance=3600)
        said = verdict(build(NAME, patient), case, now)
    assert agrees(said, case), said


@pytest.mark.parametrize("case", cases("backblaze-b2"))
def test_backblaze_b2(case: Mapping[str, Any]) -> None:
    """Upper-case hex and a list of signatures, of which Backblaze's libraries disagree, are undocumented."""
    said = verdict(build(NAME, Source(provider="backblaze-b2", secrets=secrets(case["secret"]))), case, NOW)
    assert (said == "accepted") is bool(case["valid"]), said


@pytest.mark.parametrize("case", cases("strapi"))
def test_strapi(case: Mapping[str, Any]) -> None:
    provider = build(NAME, Source(provider="strapi", secrets=secrets(case["secret"])))
    assert agrees(said := verdict(provider, case, NOW), case), said


TIME_IN_SIGNATURE = ("ghost", "hygraph")  # the header is `…, t=<milliseconds>`


@pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(name, *case.values, id=f"{name}: {case.id}") for name in TIME_IN_SIGNATURE for case in cases(name)],
)
def test_schemes_with_the_time_beside_the_signature(name: str, case: Mapping[str, Any]) -> None:
    found = re.search(r"\bt=([0-9]+)", str(case["headers"]))
    now = NOW if found is None else parse_moment(found[1])
    provider = build(NAME, Source(provider=name, secrets=secrets(case["secret"] or "fake-secret")))
    assert agrees(said := verdict(provider, case, now), case), said


IMAGE_SERVICES = (
    "transloadit",
    "bunny-stream",
    "vercel-blob",
    "cloudflare-stream",
    "filestack",
    "mux",
    "uploadcare",
    "imagekit",
)


def cdn_clock(case: Mapping[str, Any]) -> datetime:
    """The vectors' clock; one of Filestack's states none, since its library looks at none: it is judged at its own."""
    return parse_moment(str(case["now"])) if case["now"] else unix_time(case["headers"]["FS-Timestamp"], "s")


@pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(name, *case.values, id=f"{name}: {case.id}") for name in IMAGE_SERVICES for case in cases(name)],
)
def test_image_services(name: str, case: Mapping[str, Any]) -> None:
    setting = "public_keys" if case["secret"].startswith("-----BEGIN") else "secrets"
    keys: dict[str, Any] = {setting: secrets(case["secret"])}
    provider = build(NAME, Source(provider=case["provider"], **keys))
    assert agrees(said := verdict(provider, case, cdn_clock(case)), case), said


@pytest.mark.parametrize("case", cases("contentstack"))
def test_contentstack(case: Mapping[str, Any]) -> None:
    found = re.search(r"\bt=([0-9]+)", str(case["headers"]))
    body = json.loads(case["body"])
    now = parse_moment(body["triggered_at"] if found is None else found[1])
    if "public_keys" in case:
        keys = secrets(*case["public_keys"].values())
        source = Source(provider="contentstack", public_keys=keys, project_id=body["api_key"])
    else:
        source = Source(provider="contentstack", secrets=secrets(case["secret"]))
    assert agrees(said := verdict(build(NAME, source), case, now), case), said


@pytest.mark.parametrize("case", cases("webflow"))
def test_webflow(case: Mapping[str, Any]) -> None:
    now = parse_moment(case["headers"]["x-webflow-timestamp"])
    provider = build(NAME, Source(provider="webflow", secrets=secrets(case["secret"])))
    assert agrees(said := verdict(provider, case, now), case), said


def sns_provider(case: Mapping[str, Any], certificate: str | None, **settings: Any) -> Provider:
    """The source a user would configure for this message: its topic allowed, its certificate pinned."""
    body = json.loads(case["body"])
    topics = case.get("config", {}).get("allowed_topic_arns") or [
        body.get("TopicArn", "arn:aws:sns:us-east-1:000000000000:images-topic")
    ]
    localstack = "http://127.0.0.1:39032" if "localstack" in case["id"] else None
    return build(
        NAME,
        Source(
            provider="aws-sns",
            topics=topics,
            public_keys=secrets(certificate) if certificate else [],
            emulator=localstack,
            **settings,
        ),
    )


def sns_clock(case: Mapping[str, Any]) -> datetime:
    """The vectors of SNS state no clock: the message's own time is taken."""
    return parse_moment(json.loads(case["body"]).get("Timestamp", NOW.isoformat()))


@pytest.mark.parametrize("case", [case for case in cases("aws-sns") if case.values[0]["valid"] is not None])
def test_aws_sns(case: Mapping[str, Any]) -> None:
    now, request = sns_clock(case), request_of(case)
    assert agrees(said := verdict(sns_provider(case, case["cert"]), case, now), case), said
    # The same with the certificate as it is fetched, in whose dates the message's time lies.
    provider = sns_provider(case, None)
    try:
        assert len(provider.key_urls(request)) == 1
        verify(provider, request, now, case["cert"].encode())
        said = "accepted"
    except Refused as error:
        said = error.reason
    assert agrees(said, case), said


@pytest.mark.parametrize("case", cases("bynder-amazon-sns"))
def test_bynder_through_amazon_sns(case: Mapping[str, Any]) -> None:
    """Its certificate is younger than the vectors' clock, so it is pinned: then its dates do not count."""
    now = parse_moment(str(case["now"]))
    assert agrees(said := verdict(sns_provider(case, case["secret"]), case, now), case), said


def by_id(name: str, identity: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(case.values[0] for case in cases(name) if case.id == identity)
    return found


def test_a_certificate_s_host_is_spelled_in_one_way() -> None:
    """The libraries disagree about this one, so it states no verdict."""
    case = by_id("aws-sns", "sns-certurl-18")
    assert verdict(sns_provider(case, case["cert"]), case, sns_clock(case)) == "certificate_url_refused"


def test_raw_delivery_takes_another_credential() -> None:
    case = by_id("aws-sns", "capture-localstack-sns-08")
    assert verdict(sns_provider(case, case["cert"]), case, NOW) == "raw_delivery_unsigned"
    provider = sns_provider(case, None, auth=Auth(basic="sns"), secrets=secrets("fake-password"))
    assert verdict(provider, case, NOW) == "credential_missing"
    pair = base64.b64encode(b"sns:fake-password").decode()
    request = {**case, "headers": {**case["headers"], "Authorization": f"Basic {pair}"}}
    assert verdict(provider, request, NOW) == "accepted"


@pytest.mark.parametrize("case", [case for case in cases("aws-sns") if case.values[0].get("expect") is not None])
def test_the_objects_a_message_is_about(case: Mapping[str, Any]) -> None:
    """Read without a verdict, since some have no certificate and raw delivery has no signature."""
    provider, request = sns_provider(case, None), request_of(case)
    headers = request.header_map(provider.info.stored_headers)
    notification = provider.read(Verified(source=NAME, scheme="", headers=headers, body=request.body, received_at=NOW))
    found = [
        (event.bucket, event.key, "delete" if event.kind is AssetKind.DELETED else "write", event.content_hash)
        for event in notification.events
    ]
    assert found == [(one["bucket"], one["key"], one["op"], one["etag"]) for one in case["expect"]]
    for one in case["expect"]:
        assert (notification.event_id or "").rpartition(" ")[2] == one["dedup"]


def objects(provider: Provider, case: Mapping[str, Any]) -> list[tuple[str | None, str | None, str]]:
    """Bucket, key and what happened, as the vectors say it."""
    return [
        (event.bucket, event.key, "delete" if event.kind is AssetKind.DELETED else "write")
        for event in provider.read(verify(provider, request_of(case), NOW)).events
    ]


def expected_objects(case: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["bucket"], one["key"], one["op"]) for one in case["expect"]]


@pytest.mark.parametrize("case", [case for case in cases("backblaze-b2") if case.values[0].get("expect") is not None])
def test_the_objects_of_backblaze_b2(case: Mapping[str, Any]) -> None:
    provider = build(NAME, Source(provider="backblaze-b2", secrets=secrets(case["secret"])))
    assert objects(provider, case) == expected_objects(case)
    if len(case["expect"]) == 1:
        found = provider.read(verify(provider, request_of(case), NOW))
        assert found.event_id == case["expect"][0]["dedup"]


# Buckets whose sender signs nothing, and what its recorded requests are checked for.
UNSIGNED_BUCKETS = [
    "ceph-rgw",
    "supabase-storage",
    "seaweedfs",
    "tigris",
    "minio",
]


def of_unsigned_buckets() -> list[Any]:
    return [
        pytest.param(name, case.values[0], id=f"{name}-{case.id}") for name in UNSIGNED_BUCKETS for case in cases(name)
    ]


def credential_source(name: str, given: Mapping[str, Any] | None) -> Provider:
    """The source a user would configure for what a vector calls its secret."""
    match given:
        case {"query": {"token": secret}}:
            auth = Auth(query="token")
        case {"user": user, "password": secret}:
            auth = Auth(basic=user)
        case {"header": header, "value": secret}:
            auth = Auth(header=header)
        case {"authorization": str(bearer)}:
            auth, secret = Auth(bearer=True), bearer.removeprefix("Bearer ")
        case {"bearer": secret}:
            auth = Auth(bearer=True)
        case _:  # nothing came along
            auth, secret = Auth(capability=True), "fake-secret"
    return build(NAME, Source(provider=name, auth=auth, secrets=secrets(secret)))


@pytest.mark.parametrize(("name", "case"), of_unsigned_buckets())
def test_buckets_whose_sender_signs_nothing(name: str, case: Mapping[str, Any]) -> None:
    """A request that came without a credential states no verdict: it is refused, and its body is read all the same."""
    provider = credential_source(name, case["secret"])
    said = verdict(provider, case, NOW)
    assert (said == "accepted") is bool(case["valid"]), said
    if "expect" not in case:
        return
    found = provider.read(Verified(source=NAME, scheme="", headers={}, body=case["body"].encode(), received_at=NOW))
    happened = [
        (event.bucket, event.key, "delete" if event.kind is AssetKind.DELETED else "write") for event in found.events
    ]
    assert happened == expected_objects(case)
    etags = [one["etag"] for one in case["expect"] if "etag" in one]
    assert etags in ([], [event.content_hash for event in found.events])
    assert found.event_id in (None, case["expect"][0]["dedup"])


@pytest.mark.parametrize("number", ["01", "02", "03", "04", "05", "06"])
def test_captures_of_moto(number: str) -> None:
    """Moto signs all of a topic's messages with one key, and its certificates are at Amazon's URLs on moto's port."""
    emulator = "http://127.0.0.1:39001"
    request = captured(f"moto-sns-{number}")
    body = json.loads(request.body)
    provider = build(NAME, Source(provider="aws-sns", topics=[body["TopicArn"]], emulator=emulator))
    (url,) = provider.key_urls(request)
    assert url == emulator + body["SigningCertURL"].removeprefix("https://sns.us-east-1.amazonaws.com")
    pem = (VECTORS / "captures" / f"moto-sns-{'01' if number == '01' else '02'}.pem").read_bytes()
    verified = verify(provider, request, parse_moment(body["Timestamp"]), pem)
    notification = provider.read(verified)
    assert verified.scheme == "aws-sns-v2"
    assert (isinstance(notification.instead, events.TestPing), len(notification.events)) == (
        (True, 0) if number == "01" else (False, 1)
    )


def test_moto_leaves_the_subject_unsigned() -> None:
    request = captured("moto-sns-07")
    body = json.loads(request.body)
    pem = (VECTORS / "captures" / "moto-sns-07.pem").read_bytes()
    provider = build(NAME, Source(provider="aws-sns", topics=[body["TopicArn"]]))
    with pytest.raises(Refused) as refused:
        verify(provider, request, parse_moment(body["Timestamp"]), pem)
    assert refused.value.reason == "signature_mismatch"
