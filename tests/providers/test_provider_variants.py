"""Every provider's own spellings of a URL: what each makes of one, and that it leaves other vendors' alone."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.providers.registry import PROVIDERS, provider_class
from service.rules.variants import GENERIC

UUID = "f08d7c8a-2971-42e0-ab01-0123456789ab"
STORYBLOK = "https://a.storyblok.com/f/606/1600x900/9fe59e1868/hero.jpg"
S3 = "s3.eu-west-1.amazonaws.com"

SPELLINGS = [
    (
        "contentful",
        "other-hosts",
        "https://images.ctfassets.net/s/a/f/hero.jpg?w=1",
        [
            "https://assets.ctfassets.net/s/a/f/hero.jpg?w=1",
            "https://downloads.ctfassets.net/s/a/f/hero.jpg?w=1",
        ],
    ),
    ("contentful", "other-hosts", "//images.ctfassets.net/s/a/f/hero.jpg", []),
    ("contentful", "other-hosts", "https://images.ctfassets.net", []),
    ("contentful", "other-hosts", "https://videos.ctfassets.net/s/a/f/hero.mp4", []),
    (
        "contentstack",
        "other-hosts",
        "https://images.contentstack.io/v3/assets/s/a/f/hero.jpg",
        ["https://assets.contentstack.io/v3/assets/s/a/f/hero.jpg"],
    ),
    ("hygraph", "other-hosts", "https://media.graphassets.com/abc", ["https://media.graphcms.com/abc"]),
    ("hygraph", "other-hosts", "https://eu-central-1.graphassets.com/p/abc", []),
    ("storyblok", "other-hosts", STORYBLOK, [STORYBLOK.replace("a.", "a2.", 1)]),
    ("storyblok", "other-hosts", STORYBLOK.replace("a.", "a-us.", 1), [STORYBLOK.replace("a.", "a2-us.", 1)]),
    ("storyblok", "image-service", STORYBLOK, [f"{STORYBLOK}/m/"]),
    (
        "storyblok",
        "image-service",
        STORYBLOK.replace("a.", "a2-ap.", 1),
        [STORYBLOK.replace("a.", "a2-ap.", 1) + "/m/"],
    ),
    ("storyblok", "image-service", f"{STORYBLOK}/m/800x0", []),
    ("storyblok", "image-service", f"{STORYBLOK}/m/", []),
    ("storyblok", "image-service", f"{STORYBLOK}?cv=1", []),
    ("storyblok", "image-service", "https://img.example.com/f/606/9fe59e1868/hero.jpg", []),
    (
        "kontent-ai",
        "preview",
        "https://assets-us-01.kc-usercontent.com:443/e/f/hero.jpg",
        ["https://preview-assets-us-01.kc-usercontent.com:443/e/f/hero.jpg"],
    ),
    (
        "kontent-ai",
        "preview",
        "https://preview-assets-eu-01.kc-usercontent.com/e/f/hero.jpg?w=1",
        ["https://assets-eu-01.kc-usercontent.com/e/f/hero.jpg?w=1"],
    ),
    ("kontent-ai", "preview", "https://assets-us-01.kc-usercontent.com.evil.example/e/f/hero.jpg", []),
    ("shopify", "without-v", "https://cdn.shopify.com/s/hero.jpg?v=17", ["https://cdn.shopify.com/s/hero.jpg"]),
    (
        "shopify",
        "without-v",
        "https://cdn.shopify.com/s/hero.jpg?width=800&v=17&crop=center",
        ["https://cdn.shopify.com/s/hero.jpg?width=800&crop=center"],
    ),
    ("shopify", "without-v", "https://cdn.shopify.com/s/hero.jpg?width=800", []),
    ("shopify", "without-v", "https://cdn.shopify.com/s/hero.jpg", []),
    ("shopify", "without-v", "https://shop.example.com/s/hero.jpg?v=17", []),
    (
        "ghost",
        "sizes",
        "https://blog.example.com/content/images/2026/11/hero.jpg",
        [
            f"https://blog.example.com/content/images/size/w{width}/2026/11/hero.jpg"
            for width in (600, 1000, 1600, 2400)
        ],
    ),
    (
        "ghost",
        "sizes",
        "https://example.com/blog/content/images/hero.jpg",
        [f"https://example.com/blog/content/images/size/w{width}/hero.jpg" for width in (600, 1000, 1600, 2400)],
    ),
    ("ghost", "sizes", "https://blog.example.com/content/images/size/w600/2026/11/hero.jpg", []),
    ("ghost", "sizes", "https://blog.example.com/content/media/hero.mp4", []),
    (
        "cloudinary",
        "without-version",
        "https://res.cloudinary.com/demo/image/upload/w_80/v17/a/hero.jpg",
        ["https://res.cloudinary.com/demo/image/upload/w_80/a/hero.jpg"],
    ),
    ("cloudinary", "without-version", "https://res.cloudinary.com/demo/image/upload/a/hero.jpg", []),
    (
        "cloudinary",
        "version-1",
        "https://res.cloudinary.com/demo/image/upload/v17/a/hero.jpg",
        ["https://res.cloudinary.com/demo/image/upload/v1/a/hero.jpg"],
    ),
    ("cloudinary", "version-1", "https://res.cloudinary.com/demo/image/upload/v1/a/hero.jpg", []),
    ("cloudinary", "version-1", "https://img.example.com/v17/hero.jpg", []),
    ("uploadcare", "slash", f"https://ucarecdn.com/{UUID}/", [f"https://ucarecdn.com/{UUID}"]),
    ("uploadcare", "slash", f"https://1a2b3c.ucarecd.net/{UUID}", [f"https://1a2b3c.ucarecd.net/{UUID}/"]),
    ("uploadcare", "slash", f"https://ucarecdn.com/{UUID}/hero.jpg", []),
    (
        "supabase-storage",
        "rendered",
        "https://ref.supabase.co/storage/v1/object/public/b/a/hero.jpg",
        ["https://ref.supabase.co/storage/v1/render/image/public/b/a/hero.jpg"],
    ),
    (
        "supabase-storage",
        "rendered",
        "https://ref.supabase.co/storage/v1/render/image/public/b/hero.jpg?width=800",
        ["https://ref.supabase.co/storage/v1/object/public/b/hero.jpg?width=800"],
    ),
    ("supabase-storage", "rendered", "https://ref.supabase.co/storage/v1/object/sign/b/hero.jpg", []),
    ("supabase-storage", "rendered", "https://a.example/x/storage/v1/object/public/b/hero.jpg", []),
    ("supabase-storage", "rendered", "https://ref.supabase.co/storage/v1/object/public/", []),
    ("aws-sns", "path-style", f"https://my-bucket.{S3}/a/b%20c.jpg", [f"https://{S3}/my-bucket/a/b%20c.jpg"]),
    ("aws-sns", "path-style", "https://My-Bucket.s3.amazonaws.com/a", []),
    ("aws-sns", "path-style", "https://b-1.c.s3.amazonaws.com/a", ["https://s3.amazonaws.com/b-1.c/a"]),
    ("aws-sns", "path-style", f"https://{S3}/my-bucket/a.jpg", []),
    ("aws-sns", "virtual-hosted", f"https://{S3}/my-bucket/a.jpg", [f"https://my-bucket.{S3}/a.jpg"]),
    ("aws-sns", "virtual-hosted", f"https://my-bucket.{S3}/a.jpg", []),
    ("aws-sns", "virtual-hosted", f"https://{S3}/my-bucket", []),
    ("gcs-pubsub", "path-style", "https://b-1.storage.googleapis.com/a", ["https://storage.googleapis.com/b-1/a"]),
    (
        "gcs-eventarc",
        "virtual-hosted",
        "https://storage.googleapis.com/b_1/a",
        ["https://b_1.storage.googleapis.com/a"],
    ),
    ("gcs-pubsub", "virtual-hosted", f"https://{S3}/my-bucket/a.jpg", []),
    (
        "tigris",
        "other-hosts",
        "https://photos.t3.tigrisfiles.io/a/b.jpg",
        ["https://photos.t3.tigrisbucket.io/a/b.jpg", "https://photos.t3.tigrisblob.io/a/b.jpg"],
    ),
    ("tigris", "other-hosts", "https://t3.storage.dev/photos/a/b.jpg", []),
    (
        "aws-eventbridge",
        "virtual-hosted",
        "https://s3.amazonaws.com/my-bucket/a",
        ["https://my-bucket.s3.amazonaws.com/a"],
    ),
]


@pytest.mark.parametrize(("provider", "variant", "url", "others"), SPELLINGS)
def test_what_a_vendor_calls_the_same_file(provider: str, variant: str, url: str, others: list[str]) -> None:
    assert list(provider_class(provider).variants[variant].spell(url)) == others


OWN = [(provider, name) for provider in PROVIDERS for name in provider_class(provider).variants]


@pytest.mark.parametrize(("provider", "name"), OWN)
@given(url=st.text(max_size=40) | st.text(max_size=40).map(lambda text: f"https://{text}"))
@example(url="https://[")
def test_no_text_is_too_odd_or_spelled_as_itself(provider: str, name: str, url: str) -> None:
    assert url not in list(provider_class(provider).variants[name].spell(url))


def test_no_provider_hides_what_every_rule_knows() -> None:
    assert not {name for _, name in OWN} & set(GENERIC)
