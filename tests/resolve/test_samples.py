"""Each preset asks for what the vendor's own webhooks name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from service.domain.requests import RawRequest
from service.domain.secret import Secret
from service.providers.registry import build
from service.providers.verification import restore
from service.resolve.compiled import compile_resolve
from service.settings.model import Auth, Resolve, Source

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("provider", "settings", "sample", "beginning"),
    [
        (
            "contentful",
            {"preset": "contentful"},
            "unpublish",
            "https://cdn.contentful.com/spaces/bkz6hygz9igz/environments/",
        ),
        (
            "contentful",
            {"preset": "contentful-management"},
            "delete",
            "https://api.contentful.com/spaces/bkz6hygz9igz/",
        ),
        ("datocms", {"preset": "datocms"}, None, "https://site-api.datocms.com/uploads/FXA3cNH9QZGEV6GKTxYAAg"),
        (
            "hygraph",
            {"preset": "hygraph", "endpoint": "https://h.example/c/master"},
            None,
            "https://h.example/c/master?query=",
        ),
        (
            "kontent-ai",
            {"preset": "kontent-ai"},
            None,
            "https://manage.kontent.ai/v2/projects/0f5b6cb2-ea82-014e-ac74-",
        ),
        (
            "prismic",
            {"preset": "prismic", "endpoint": "https://p.example"},
            None,
            "https://p.example/api/v2/documents/search?",
        ),
        ("storyblok", {"preset": "storyblok"}, None, "https://mapi.storyblok.com/v1/spaces/606/assets/44202"),
    ],
)
def test_the_sample_of_the_vendor(provider: str, settings: dict[str, Any], sample: str | None, beginning: str) -> None:
    auth = Auth(basic="cms") if provider == "datocms" else None
    source = Source(provider=provider, secrets=[Secret("fake-secret-0123456789")], auth=auth)
    built = build("cms", source)
    samples = type(built).samples(NOW)
    chosen = samples[sample or next(iter(samples))]
    request = RawRequest.of("POST", "/hooks/cms", chosen.headers, chosen.body)
    verified = restore(
        source="cms",
        scheme="basic",
        headers=request.header_map(built.info.stored_headers),
        body=chosen.body,
        received_at=NOW,
        signed_at=None,
    )
    notification = built.read(verified)
    resolver = compile_resolve(Resolve(token=Secret("fake-token"), **settings))
    for event in notification.events:
        url = resolver.url.render(event, payload=notification.payload, headers={}, source="cms")
        assert url.startswith(beginning)
    assert notification.events
