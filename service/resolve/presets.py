"""The APIs that are known: where an asset is asked for, how the token goes along, and where its URLs stand."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

_REF = re.compile(rb"[Mm]aster ref is: ([A-Za-z0-9_~.-]{1,200})")
_REF_IN_URL = re.compile(r"([?&]ref=)[^&]*")

_ASSET_OF_HYGRAPH = "query($id:ID!){asset(where:{id:$id}){url localizations{url}}}"


class Preset(Struct, frozen=True, kw_only=True):
    """`origins` are the API's addresses by region, the first being the default; none where every account has its own,
    which the file gives as `endpoint`. `path` is the template below it, `urls` the JMESPath of the answer's URLs, None
    for every image URL in it; `prefixes` begin image URLs that have no extension. The token is the value of
    `auth_header` after `auth_prefix`, or of the query's `auth_query`. `trouble` is the JMESPath of an error within a
    200."""

    title: str
    doc_url: str
    path: str
    origins: Mapping[str, str] = {}
    urls: str | None = None
    prefixes: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}
    auth_header: str = "Authorization"
    auth_prefix: str = "Bearer "
    auth_query: str | None = None
    needs_token: bool = True
    trouble: str | None = None
    has_refs: bool = False


PRESETS: Mapping[str, Preset] = {
    "contentful": Preset(
        title="Contentful's Content Delivery API: what is published",
        doc_url="https://www.contentful.com/developers/docs/references/content-delivery-api/#/reference/assets",
        # Hosts: https://www.contentful.com/developers/docs/references/content-delivery-api/#/introduction
        origins={"us": "https://cdn.contentful.com", "eu": "https://cdn.eu.contentful.com"},
        path="/spaces/{{ payload.sys.space.sys.id }}/environments/{{ asset.environment }}/assets/{{ asset.id }}"
        "?locale=*",
        # With locale=* each field maps locales to values; without a second locale the file may stand there by itself.
        urls="[fields.file.url, fields.file.*.url][]",
    ),
    "contentful-management": Preset(
        title="Contentful's Content Management API: drafts too",
        doc_url="https://www.contentful.com/developers/docs/references/content-management-api/#/reference/assets",
        origins={"us": "https://api.contentful.com", "eu": "https://api.eu.contentful.com"},
        path="/spaces/{{ payload.sys.space.sys.id }}/environments/{{ asset.environment }}/assets/{{ asset.id }}",
        urls="fields.file.*.url",
    ),
    "datocms": Preset(
        title="DatoCMS's Content Management API",
        doc_url="https://www.datocms.com/docs/content-management-api/resources/upload/self",
        origins={"": "https://site-api.datocms.com"},
        path="/uploads/{{ asset.id }}",
        headers={"X-Api-Version": "3"},  # https://www.datocms.com/docs/content-management-api/api-versioning
        urls="data.attributes.url",
    ),
    "hygraph": Preset(
        title="Hygraph's content API, at the endpoint of the project",
        # Queries by GET are GraphQL over HTTP; Hygraph's own pages show POST alone:
        # https://graphql.github.io/graphql-over-http/draft/#sec-GET
        doc_url="https://hygraph.com/docs/api-reference/content-api/assets",
        path=f"?query={{{{ '{_ASSET_OF_HYGRAPH}' }}}}&variables={{{{ {{'id': asset.id}} | tojson }}}}",
        urls="[data.asset.url, data.asset.localizations[].url][]",
        needs_token=False,  # a project may be readable by everybody
        trouble="errors[0].message",
    ),
    "kontent-ai": Preset(
        title="Kontent.ai's Management API",
        doc_url="https://kontent.ai/learn/docs/apis/management-api-v2/assets",
        origins={"": "https://manage.kontent.ai"},
        path="/v2/projects/{{ asset.environment }}/assets/{{ asset.id }}",
        urls="url",
    ),
    "prismic": Preset(
        title="Prismic's Document API, at the repository's address",
        doc_url="https://prismic.io/docs/rest-api-technical-reference",
        # The ref and nothing else is taken from the payload: its apiUrl could name any host.
        path="/api/v2/documents/search?ref={{ payload.masterRef }}"
        "&q={{ '[[at(document.id,' ~ (asset.id | tojson) ~ ')]]' }}",
        prefixes=("https://images.prismic.io/",),
        auth_query="access_token",
        needs_token=False,  # a repository may be readable by everybody
        has_refs=True,
    ),
    "storyblok": Preset(
        title="Storyblok's Management API",
        doc_url="https://www.storyblok.com/docs/api/management/assets/retrieve-one-asset",
        # https://www.storyblok.com/docs/api/management: an address for each region
        origins={
            "eu": "https://mapi.storyblok.com",
            "us": "https://api-us.storyblok.com",
            "ca": "https://api-ca.storyblok.com",
            "ap": "https://api-ap.storyblok.com",
            "cn": "https://app.storyblokchina.cn",
        },
        path="/v1/spaces/{{ payload.space_id }}/assets/{{ asset.id }}",
        urls="[filename, asset.filename][]",  # the reference describes `asset`, its example has the fields at the top
        auth_prefix="",
    ),
}


def with_newer_ref(url: str, status: int | None, body: bytes) -> str | None:
    """The same question for Prismic's newest content, where the answer says that its ref is out of date and which is
    not: https://prismic.io/docs/rest-api-technical-reference, and `RefExpiredError` of @prismicio/client."""
    found = _REF.search(body) if status in (404, 410) else None
    newer = None if found is None else _REF_IN_URL.sub(rf"\g<1>{found[1].decode()}", url)
    return None if newer == url else newer
