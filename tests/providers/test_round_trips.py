"""What a provider signs it verifies, and what was changed on the way it refuses."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.senders import (
    AUTHS,
    NOW,
    PATH,
    PROVIDERS,
    SECRETS,
    changed,
    every_sample,
    make,
    read,
    secrets,
    signed,
    signed_sample,
    verified,
    with_key_of_path,
    without,
)

from service.domain import events
from service.domain.errors import Refused, Unreadable
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.credential_only import CredentialOnly
from service.providers.multipart_form import form_fields
from service.providers.registry import provider_class
from service.providers.verification import verify

# Kind and first URL of each sample, or what stands in place of events.
EXPECTED = {
    ("hmac", "asset.replaced"): ("replaced", "https://"),
    ("hmac", "asset.deleted"): ("deleted", "https://"),
    ("transloadit", "completed"): ("updated", "https://s3.amazonaws.com/my-bucket/products/hero.jpg"),
    ("contentstack", "publish"): ("updated", "https://images.contentstack.io/v3/assets/"),
    ("contentstack", "unpublish"): ("unpublished", "https://images.contentstack.io/v3/assets/"),
    ("contentstack", "delete"): ("deleted", "https://images.contentstack.io/v3/assets/"),
    ("mux", "video.asset.ready"): ("created", "https://image.mux.com/NIBVtiURB01ZOZQb7022s8DTfpfMa5fyzy/"),
    ("mux", "video.asset.updated"): ("updated", "https://image.mux.com/NIBVtiURB01ZOZQb7022s8DTfpfMa5fyzy/"),
    ("mux", "video.asset.deleted"): ("deleted", "https://image.mux.com/NIBVtiURB01ZOZQb7022s8DTfpfMa5fyzy/"),
    ("vercel-blob", "upload-completed"): ("updated", "https://fakestoreid.public.blob.vercel-storage.com/"),
    ("bunny-stream", "finished"): ("updated", None),
    ("ghost", "post.published.edited"): ("replaced", "https://blog.example.com/content/images/"),
    ("ghost", "post.unpublished"): ("unpublished", "https://blog.example.com/content/images/"),
    ("ghost", "post.deleted"): ("deleted", None),
    ("capability-url", "asset.replaced"): ("replaced", "https://"),
    ("capability-url", "asset.deleted"): ("deleted", "https://"),
    ("header", "asset.replaced"): ("replaced", "https://"),
    ("header", "asset.deleted"): ("deleted", "https://"),
    ("bearer", "asset.replaced"): ("replaced", "https://"),
    ("bearer", "asset.deleted"): ("deleted", "https://"),
    ("basic", "asset.replaced"): ("replaced", "https://"),
    ("basic", "asset.deleted"): ("deleted", "https://"),
    ("shopify", "products/update"): ("updated", "https://cdn.shopify.com/s/files/"),
    ("shopify", "products/delete"): ("deleted", None),
    ("shopify", "products/create"): ("created", "https://cdn.shopify.com/s/files/"),
    ("cloudflare-stream", "ready"): ("updated", "https://customer-f33zs165nr7gyfy4.cloudflarestream.com/"),
    ("filestack", "fp.overwrite"): ("replaced", "https://cdn.filestackcontent.com/Q5eBTKldRfCSuEjUYuAz"),
    ("filestack", "fp.delete"): ("deleted", "https://cdn.filestackcontent.com/Q5eBTKldRfCSuEjUYuAz"),
    ("filestack", "fp.upload"): ("created", "https://cdn.filestackcontent.com/Q5eBTKldRfCSuEjUYuAz"),
    ("uploadcare", "file.deleted"): ("deleted", "https://ucarecdn.com/"),
    ("uploadcare", "file.uploaded"): ("created", "https://ucarecdn.com/"),
    ("slack-style", "asset.replaced"): ("replaced", "https://"),
    ("slack-style", "asset.deleted"): ("deleted", "https://"),
    ("stripe-style", "product.updated"): ("updated", "https://images.example.com/products/hero-v2.jpg"),
    ("stripe-style", "product.deleted"): ("deleted", "https://"),
    ("kontent-ai", "metadata_changed"): ("updated", None),
    ("kontent-ai", "deleted"): ("deleted", None),
    ("kontent-ai", "created"): ("created", None),
    ("imagekit", "file.updated"): ("updated", "https://ik.imagekit.io/demo/products/hero.jpg"),
    ("imagekit", "file.deleted"): ("deleted", None),
    ("github", "push"): ("updated", "https://raw.githubusercontent.com/octo-org/site/main/"),
    ("github", "push-removed"): ("deleted", "https://raw.githubusercontent.com/octo-org/site/main/"),
    ("github", "ping"): ("TestPing", None),
    ("hygraph", "publish"): ("updated", "https://media.graphassets.com/"),
    ("hygraph", "unpublish"): ("unpublished", "https://media.graphassets.com/"),
    ("hygraph", "delete"): ("deleted", "https://media.graphassets.com/"),
    ("storyblok", "asset.replaced"): ("replaced", None),
    ("storyblok", "asset.restored"): ("restored", None),
    ("storyblok", "asset.deleted"): ("deleted", None),
    ("storyblok", "asset.created"): ("created", None),
    ("contentful", "publish"): ("updated", "https://images.ctfassets.net/"),
    ("contentful", "unpublish"): ("unpublished", None),
    ("contentful", "delete"): ("deleted", None),
    ("cloudinary", "overwrite"): ("replaced", "https://res.cloudinary.com/demo/image/upload/"),
    ("cloudinary", "rename"): ("renamed", "https://res.cloudinary.com/demo/image/upload/"),
    ("cloudinary", "delete"): ("deleted", None),
    ("sanity", "document-update"): ("replaced", "https://cdn.sanity.io/images/abc123de/production/"),
    ("sanity", "asset-update"): ("updated", "https://cdn.sanity.io/images/abc123de/production/"),
    ("sanity", "asset-delete"): ("deleted", "https://cdn.sanity.io/images/abc123de/production/"),
    ("standard-webhooks", "asset.replaced"): ("replaced", "https://"),
    ("standard-webhooks", "asset.deleted"): ("deleted", "https://"),
    ("webflow", "changed"): ("updated", "https://cdn.prod.website-files.com/"),
    ("webflow", "published"): ("updated", "https://cdn.prod.website-files.com/"),
    ("webflow", "deleted"): ("deleted", None),
    ("strapi", "media.update"): ("updated", "/uploads/hero_"),
    ("strapi", "media.delete"): ("deleted", "/uploads/hero_"),
    ("strapi", "trigger-test"): ("TestPing", None),
    ("aws-sns", "put"): ("updated", "https://img.example.com/products/red%20hero.jpg"),
    ("aws-sns", "delete"): ("deleted", "https://img.example.com/products/red%20hero.jpg"),
    ("aws-sns", "test-event"): ("TestPing", None),
    ("backblaze-b2", "upload"): ("updated", "https://img.example.com/products/red%20hero.jpg"),
    ("backblaze-b2", "hide"): ("deleted", "https://img.example.com/products/red%20hero.jpg"),
    ("backblaze-b2", "delete"): ("deleted", "https://img.example.com/products/red%20hero.jpg"),
    ("backblaze-b2", "test-event"): ("TestPing", None),
    ("minio", "put"): ("updated", "https://img.example.com/products/red%20hero.jpg"),
    ("minio", "delete"): ("deleted", "https://img.example.com/products/red%20hero.jpg"),
    ("tigris", "put"): ("updated", "https://img.example.com/products/red%20hero.jpg"),
    ("tigris", "delete"): ("deleted", "https://img.example.com/products/red%20hero.jpg"),
    ("seaweedfs", "write"): ("updated", "https://img.example.com/products/red%20hero.jpg"),
    ("seaweedfs", "delete"): ("deleted", "https://img.example.com/products/red%20hero.jpg"),
    ("supabase-storage", "update"): ("updated", "https://img.example.com/products/red%20hero.jpg"),
    ("supabase-storage", "insert"): ("created", "https://img.example.com/products/red%20hero.jpg"),
    ("supabase-storage", "delete"): ("deleted", "https://img.example.com/products/red%20hero.jpg"),
    ("ceph-rgw", "put"): ("updated", "https://img.example.com/products/red%20hero.jpg"),
    ("ceph-rgw", "delete"): ("deleted", "https://img.example.com/products/red%20hero.jpg"),
}

SCHEMES = {
    "hmac": "hmac-sha256",
    "transloadit": "transloadit-sha384",
    "contentstack": "contentstack-hmac",
    "bunny-stream": "bunny-stream-v1",
    "vercel-blob": "vercel-blob-sha256",
    "ghost": "ghost-v1",
    "capability-url": "capability",
    "header": "header",
    "bearer": "bearer",
    "basic": "basic",
    "shopify": "shopify-v1",
    "cloudflare-stream": "cloudflare-stream-sig1",
    "filestack": "filestack-sha256",
    "mux": "mux-v1",
    "uploadcare": "uploadcare-v1",
    "slack-style": "slack-v0",
    "stripe-style": "stripe-v1",
    "kontent-ai": "kontent-ai-v1",
    "imagekit": "imagekit-standard",
    "github": "github-sha256",
    "hygraph": "hygraph-v1",
    "backblaze-b2": "backblaze-b2-v1",
    "ceph-rgw": "basic",
    "supabase-storage": "bearer",
    "seaweedfs": "bearer",
    "tigris": "bearer",
    "minio": "bearer",
    "storyblok": "storyblok-sha1",
    "contentful": "contentful-v1",
    "cloudinary": "cloudinary-sha1",
    "sanity": "sanity-v1",
    "standard-webhooks": "standard-webhooks-v1",
    "webflow": "webflow-v1",
    "strapi": "bearer",
    "aws-sns": "aws-sns-v2",
}

# Signed headers; whatever else comes along may change without anybody noticing.
SIGNED_HEADERS = {
    "hmac": ["x-signature", "x-time"],
    "transloadit": [],
    "contentstack": ["x-contentstack-hmac-signature"],
    "bunny-stream": ["x-bunnystream-signature"],
    "vercel-blob": ["x-vercel-signature"],
    "ghost": ["x-ghost-signature"],
    "capability-url": [],
    "header": ["x-relay-key"],
    "bearer": ["authorization"],
    "basic": ["authorization"],
    "shopify": ["x-shopify-hmac-sha256"],
    "cloudflare-stream": ["webhook-signature"],
    "filestack": ["fs-signature", "fs-timestamp"],
    "mux": ["mux-signature"],
    "uploadcare": ["x-uc-signature"],
    "slack-style": ["x-slack-signature", "x-slack-request-timestamp"],
    "stripe-style": ["stripe-signature"],
    "kontent-ai": ["x-kontent-ai-signature"],
    "imagekit": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    "github": ["x-hub-signature-256"],
    "hygraph": ["gcms-signature"],
    "backblaze-b2": ["x-bz-event-notification-signature"],
    "ceph-rgw": ["authorization"],
    "supabase-storage": ["authorization"],
    "seaweedfs": ["authorization"],
    "tigris": ["authorization"],
    "minio": ["authorization"],
    "storyblok": ["webhook-signature"],
    "contentful": ["x-contentful-signature", "x-contentful-timestamp", "x-contentful-topic"],
    "cloudinary": ["x-cld-signature", "x-cld-timestamp"],
    "sanity": ["sanity-webhook-signature"],
    "standard-webhooks": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    "webflow": ["x-webflow-signature", "x-webflow-timestamp"],
    "strapi": ["authorization"],
    "aws-sns": [],
}

# Samples without a time of the event, and bodies that are told apart by time and content alone.
TELL_NO_TIME = {"transloadit", "seaweedfs", "bunny-stream", "vercel-blob", "storyblok"}
TELL_NO_EVENT_ID = {
    "hmac",
    "supabase-storage",
    "seaweedfs",
    "tigris",
    "webflow",
    "minio",
    "capability-url",
    "header",
    "bearer",
    "basic",
    "slack-style",
    "strapi",
    "hygraph",
    "kontent-ai",
    "ghost",
    "contentstack",
}


# Whoever has the secret is believed, whatever the body says.
UNSIGNED_BODIES = {name for name in PROVIDERS if issubclass(provider_class(name), CredentialOnly)}

WRONG_SECRET = ("signature_mismatch", "credential_mismatch", "capability_invalid")


def reason(provider: Provider, request: RawRequest, seconds: float = 0) -> str:
    """Why a request is refused, `seconds` after it was signed; empty where it is not."""
    try:
        verify(provider, request, NOW + timedelta(seconds=seconds))
    except Refused as error:
        return error.reason
    return ""


@pytest.mark.parametrize(("name", "sample"), every_sample())
def test_a_sample_verifies_and_reads(name: str, sample: str) -> None:
    provider = make(name)
    notification = read(provider, signed(provider, sample))
    kind, url = EXPECTED[name, sample]
    if notification.instead is not None:
        assert type(notification.instead).__name__ == kind
        return
    (event,) = notification.events
    assert event.kind.value == kind
    assert (event.occurred_at is not None) is (name not in TELL_NO_TIME)
    assert (event.urls[0] if event.urls else "").startswith(url or "")
    assert bool(event.urls) is (url is not None)
    assert bool(notification.event_id) is (name not in TELL_NO_EVENT_ID)


@pytest.mark.parametrize("name", PROVIDERS)
def test_samples_are_valid_json_and_differ_by_time(name: str) -> None:
    provider = type(make(name))
    for sample, later in zip(
        provider.samples(NOW).values(), provider.samples(NOW + timedelta(seconds=2)).values(), strict=True
    ):
        json.loads(sample.body)
        assert (sample.body, sample.headers) != (later.body, later.headers)


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_stored_headers_hold_what_a_replay_needs_and_the_content_encoding(name: str) -> None:
    provider = make(name)
    request = signed(provider)
    also = {"content-encoding": "gzip", "authorization": "Bearer fake", "cookie": "fake"}
    request = changed(request, also | dict(request.headers))
    stored = verify(provider, request, NOW).headers
    assert stored["content-encoding"] == "gzip"
    assert not stored.keys() & {"authorization", "cookie"}
    assert stored.keys() <= provider.info.stored_headers | {"content-encoding"}


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_verdict_names_the_source_the_scheme_and_the_times(name: str) -> None:
    provider = make(name)
    later = NOW + timedelta(seconds=5)
    found = verify(provider, signed(provider), later)
    assert (found.source, found.received_at) == ("hook", later)
    assert found.signed_at == (None if provider.info.tolerance is None else NOW)
    assert found.scheme == SCHEMES[name]


@pytest.mark.parametrize("name", SECRETS)
def test_any_secret_of_a_source_verifies(name: str) -> None:
    old, new = SECRETS[name], {"standard-webhooks": "whsec_bmV3LW5ldy1uZXctbmV3LW5ldw=="}.get(name, "fake-new-secret")
    request = signed(make(name, secrets=secrets(old)))
    assert reason(make(name, secrets=secrets(new, old)), request) == ""
    assert reason(make(name, secrets=secrets(new)), request) in WRONG_SECRET


@pytest.mark.parametrize("name", [name for name in PROVIDERS if provider_class(name).info.tolerance is not None])
@pytest.mark.parametrize("tolerance", [None, 10.0, 0.0])
def test_a_time_too_old_or_too_new_is_refused(name: str, tolerance: float | None) -> None:
    provider = make(name, tolerance=tolerance)
    allowed = provider.info.tolerance if tolerance is None else tolerance
    assert allowed is not None
    request = signed(provider)
    assert [reason(provider, request, seconds) for seconds in (allowed, -allowed)] == ["", ""]
    assert reason(provider, request, allowed + 1) == "timestamp_too_old"
    assert reason(provider, request, -allowed - 1) == "timestamp_too_new"


@pytest.mark.parametrize(("name", "header"), [(name, one) for name, many in SIGNED_HEADERS.items() for one in many])
def test_a_signed_header_that_is_missing_empty_repeated_or_changed_is_refused(name: str, header: str) -> None:
    provider = make(name)
    request = signed(provider)
    value = dict(request.headers)[header]
    assert reason(provider, without(request, header))
    assert reason(provider, changed(request, {header: ""}))
    assert reason(provider, changed(request, {header: value[:-1] + ("1" if value[-1] != "1" else "2")}))
    twice = RawRequest.of("POST", PATH, [*request.headers, (header, value)], request.body)
    assert reason(provider, twice) == "header_repeated"


@pytest.mark.parametrize(("name", "sample"), [one for one in every_sample() if one[0] not in UNSIGNED_BODIES])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_byte_of_a_signed_body_can_be_changed(name: str, sample: str, data: st.DataObject) -> None:
    provider = make(name)
    request = signed_sample(name, sample)
    at = data.draw(st.integers(0, len(request.body) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != request.body[at]))
    body = request.body[:at] + bytes([byte]) + request.body[at + 1 :]
    if name == "aws-sns" and same_signed_fields(request.body, body):
        return
    if name == "transloadit" and same_status(request.body, body):
        return
    assert reason(provider, changed(request, body=body)) != ""


UNSIGNED_FIELDS = ("UnsubscribeURL", "SigningCertURL")


def same_signed_fields(one: bytes, other: bytes) -> bool:
    """Amazon signs values, not bytes, and neither these two fields nor any it does not know."""
    try:
        fields = [json.loads(body) for body in (one, other)]
    except ValueError:
        return False
    signed_fields = set(fields[0]) - set(UNSIGNED_FIELDS)
    return all(fields[0][name] == fields[1].get(name) for name in signed_fields)


def same_status(one: bytes, other: bytes) -> bool:
    """Transloadit signs one field of a form; what stands around its value may change."""
    try:
        return form_fields(one)["transloadit"] == form_fields(other)["transloadit"]
    except (ValueError, KeyError):
        return False


@pytest.mark.parametrize("name", [name for name in PROVIDERS if name not in UNSIGNED_BODIES])
def test_a_body_cut_short_or_prolonged_is_refused(name: str) -> None:
    provider = make(name)
    request = signed(provider)
    for body in (b"", request.body[:-1], request.body + b"}", b"{}"):
        assert reason(provider, changed(request, body=body)) != ""


def test_contentful_signs_method_and_path_too() -> None:
    provider = make("contentful")
    request = signed(provider)
    assert reason(provider, changed(request, path="/hooks/other")) == "signature_mismatch"
    assert reason(provider, RawRequest.of("PUT", PATH, request.headers, request.body)) == "signature_mismatch"


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("kind", AUTHS)
def test_a_credential_in_place_of_the_signature(name: str, kind: str) -> None:
    auth = AUTHS[kind]
    offered = kind in type(make(name)).info.auth
    if not offered:
        with pytest.raises(ValueError, match=f"does not offer {kind}"):
            make(name, auth=auth, secrets=secrets("fake-secret"))
        return
    provider = make(name, auth=auth, secrets=secrets("fake-secret", "fake-old-secret"))
    sample = next(iter(type(provider).samples(NOW).values()))
    request = provider.sign(sample, PATH, NOW)
    if kind == "capability":
        request = with_key_of_path(request)
    assert request.body == sample.body
    found = verify(provider, request, NOW)
    assert (found.scheme, found.signed_at) == (kind, None)
    assert "fake-secret" not in str(found.headers)
    (event,) = provider.read(found).events
    assert event.kind is not events.AssetKind.UNKNOWN


NOT_JSON = [b"", b"\xff", b"{", b"[" * 5000, b'{"a":' * 100 + b"1" + b"}" * 100, b"NaN", b'["\\ud800"]']


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("body", NOT_JSON)
def test_a_genuine_body_that_is_no_json_is_unreadable(name: str, body: bytes) -> None:
    with pytest.raises(Unreadable):
        make(name).read(verified(body))


OBJECTS_ALONE = {
    "transloadit",
    "webflow",
    "bunny-stream",
    "vercel-blob",
    "cloudflare-stream",
    "filestack",
    "mux",
    "uploadcare",
    "imagekit",
    "strapi",
    "backblaze-b2",
    "ceph-rgw",
    "supabase-storage",
    "seaweedfs",
    "tigris",
    "minio",
    "contentful",
    "cloudinary",
    "sanity",
    "storyblok",
    "hygraph",
    "kontent-ai",
    "shopify",
    "ghost",
    "contentstack",
}


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("body", [b"1", b'"x"', b"null", b"[]"])
def test_json_that_is_no_object_is_unreadable_or_says_nothing(name: str, body: bytes) -> None:
    provider = make(name)
    if name in OBJECTS_ALONE:
        with pytest.raises(Unreadable):
            provider.read(verified(body))
        return
    notification = provider.read(verified(body))
    assert [event.kind for event in notification.events] in ([], [events.AssetKind.UNKNOWN])
