"""The two kinds of URLs that a cloud gives an object of a bucket: the bucket in the host, or in the path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from service.domain.variants import Variant

_BUCKET = r"(?P<bucket>[a-z0-9][a-z0-9._-]{1,220}[a-z0-9])"


def _both_kinds(endpoint: str, shown: str) -> Mapping[str, Variant]:
    """The variants `virtual-hosted` and `path-style`. `endpoint` is a pattern of the host without a bucket."""
    in_host = re.compile(rf"https://{_BUCKET}\.(?P<endpoint>{endpoint})/(?P<key>.+)", re.DOTALL)
    in_path = re.compile(rf"https://(?P<endpoint>{endpoint})/{_BUCKET}/(?P<key>.+)", re.DOTALL)

    def virtual_hosted(url: str) -> Iterator[str]:
        if found := in_path.fullmatch(url):
            yield f"https://{found['bucket']}.{found['endpoint']}/{found['key']}"

    def path_style(url: str) -> Iterator[str]:
        if found := in_host.fullmatch(url):
            yield f"https://{found['endpoint']}/{found['bucket']}/{found['key']}"

    return {
        "virtual-hosted": Variant(f"`https://BUCKET.{shown}/KEY` of a path-style URL", virtual_hosted),
        "path-style": Variant(f"`https://{shown}/BUCKET/KEY` of a virtual-hosted URL", path_style),
    }


# https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
AMAZON_VARIANTS = _both_kinds(
    r"s3(?:\.[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2})?\.amazonaws\.com(?:\.cn)?", "s3.REGION.amazonaws.com"
)
# https://docs.cloud.google.com/storage/docs/request-endpoints
GOOGLE_VARIANTS = _both_kinds(r"storage\.googleapis\.com", "storage.googleapis.com")
