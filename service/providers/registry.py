"""Provider names and where each is implemented; a module is imported when a source first uses it."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from service.providers.base import Provider, SourceProblem
from service.settings.model import Source

PROVIDERS: dict[str, str] = {
    "acquia-dam": "service.providers.acquia_dam:AcquiaDam",
    "adobe-io-events": "service.providers.adobe_io_events:AdobeIoEvents",
    "alibaba-oss-mns": "service.providers.alibaba_oss_mns:AlibabaOssMns",
    "amplience": "service.providers.amplience:Amplience",
    "appwrite": "service.providers.appwrite:Appwrite",
    "aws-eventbridge": "service.providers.aws_eventbridge:AwsEventBridge",
    "aws-sns": "service.providers.aws_sns:AwsSns",
    "azure-eventgrid": "service.providers.azure_eventgrid:AzureEventGrid",
    "backblaze-b2": "service.providers.backblaze_b2:BackblazeB2",
    "basic": "service.providers.plain_credentials:Basic",
    "bearer": "service.providers.plain_credentials:Bearer",
    "brandfolder": "service.providers.brandfolder:Brandfolder",
    "builder-io": "service.providers.builder_io:BuilderIo",
    "bunny-stream": "service.providers.bunny_stream:BunnyStream",
    "buttercms": "service.providers.buttercms:ButterCms",
    "bynder": "service.providers.bynder:Bynder",
    "canto": "service.providers.canto:Canto",
    "capability-url": "service.providers.plain_credentials:CapabilityUrl",
    "ceph-rgw": "service.providers.ceph_rgw:CephRgw",
    "cloudevents": "service.providers.generic_cloudevents:GenericCloudEvents",
    "cloudflare-images": "service.providers.cloudflare_images:CloudflareImages",
    "cloudflare-r2": "service.providers.cloudflare_r2:CloudflareR2",
    "cloudflare-stream": "service.providers.cloudflare_stream:CloudflareStream",
    "cloudinary": "service.providers.cloudinary:Cloudinary",
    "contentful": "service.providers.contentful:Contentful",
    "contentstack": "service.providers.contentstack:Contentstack",
    "craft": "service.providers.craft:Craft",
    "crystallize": "service.providers.crystallize:Crystallize",
    "datocms": "service.providers.datocms:DatoCms",
    "directus": "service.providers.directus:Directus",
    "filestack": "service.providers.filestack:Filestack",
    "frontify": "service.providers.frontify:Frontify",
    "gcs-eventarc": "service.providers.gcs_eventarc:GcsEventarc",
    "gcs-pubsub": "service.providers.gcs_pubsub:GcsPubSub",
    "ghost": "service.providers.ghost:Ghost",
    "github": "service.providers.github:GitHub",
    "header": "service.providers.plain_credentials:Header",
    "hmac": "service.providers.generic_hmac:Hmac",
    "hygraph": "service.providers.hygraph:Hygraph",
    "imagekit": "service.providers.imagekit:ImageKit",
    "jwt": "service.providers.generic_jwt:GenericJwt",
    "kontent-ai": "service.providers.kontent_ai:KontentAi",
    "minio": "service.providers.minio:Minio",
    "mux": "service.providers.mux:Mux",
    "optimizely-cmp": "service.providers.optimizely_cmp:OptimizelyCmp",
    "oracle-ons": "service.providers.oracle_ons:OracleOns",
    "payload": "service.providers.payload:Payload",
    "plain": "service.providers.plain_credentials:Plain",
    "prismic": "service.providers.prismic:Prismic",
    "rfc9421": "service.providers.rfc9421:Rfc9421",
    "sanity": "service.providers.sanity:Sanity",
    "seaweedfs": "service.providers.seaweedfs:SeaweedFs",
    "shopify": "service.providers.shopify:Shopify",
    "slack-style": "service.providers.slack_style:SlackStyle",
    "squidex": "service.providers.squidex:Squidex",
    "standard-webhooks": "service.providers.standard_webhooks:StandardWebhooks",
    "storyblok": "service.providers.storyblok:Storyblok",
    "strapi": "service.providers.strapi:Strapi",
    "stripe-style": "service.providers.stripe_style:StripeStyle",
    "supabase": "service.providers.supabase:Supabase",
    "supabase-storage": "service.providers.supabase_storage:SupabaseStorage",
    "tigris": "service.providers.tigris:Tigris",
    "tinacloud": "service.providers.tinacloud:TinaCloud",
    "transloadit": "service.providers.transloadit:Transloadit",
    "umbraco": "service.providers.umbraco:Umbraco",
    "uploadcare": "service.providers.uploadcare:Uploadcare",
    "uploadthing": "service.providers.uploadthing:UploadThing",
    "vercel-blob": "service.providers.vercel_blob:VercelBlob",
    "wasabi": "service.providers.wasabi:Wasabi",
    "webflow": "service.providers.webflow:Webflow",
    "woocommerce": "service.providers.woocommerce:WooCommerce",
    "wordpress-wp-webhooks": "service.providers.wordpress_wp_webhooks:WordPressWpWebhooks",
}

ALIASES = {"bunny": "bunny-stream", "svix": "standard-webhooks"}
"""Other names that people look for."""


def provider_class(name: str) -> type[Provider]:
    """Raises SourceProblem for a name nobody implements."""
    try:
        module, _, attribute = PROVIDERS[ALIASES.get(name, name)].partition(":")
    except KeyError:
        raise SourceProblem("provider", f"unknown provider {name!r}; known: {', '.join(sorted(PROVIDERS))}") from None
    return cast(type[Provider], getattr(import_module(module), attribute))


def build(name: str, source: Source) -> Provider:
    """The provider of one source, ready to judge requests; raises SourceProblem."""
    return provider_class(source.provider)(name, source)
