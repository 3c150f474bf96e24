"""The two kinds of URLs that Amazon S3 gives an object.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from service.domain.variants import Variant

_BUCKET = r"(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])"
_ENDPOINT = r"(?P<endpoint>s3(?:\.[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2})?\.amazonaws\.com)"
_VIRTUAL_HOSTED = re.compile(rf"https://{_BUCKET}\.{_ENDPOINT}/(?P<key>.+)", re.DOTALL)
_PATH_STYLE = re.compile(rf"https://{_ENDPOINT}/{_BUCKET}/(?P<key>.+)", re.DOTALL)


def _virtual_hosted(url: str) -> Iterator[str]:
    if found := _PATH_STYLE.fullmatch(url):
        yield f"https://{found['bucket']}.{found['endpoint']}/{found['key']}"


def _path_style(url: str) -> Iterator[str]:
    if found := _VIRTUAL_HOSTED.fullmatch(url):
        yield f"https://{found['endpoint']}/{found['bucket']}/{found['key']}"


AMAZON_VARIANTS: Mapping[str, Variant] = {
    "virtual-hosted": Variant("`https://BUCKET.s3.REGION.amazonaws.com/KEY` of a path-style URL", _virtual_hosted),
    "path-style": Variant("`https://s3.REGION.amazonaws.com/BUCKET/KEY` of a virtual-hosted URL", _path_style),
}
