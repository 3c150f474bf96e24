"""The version in a Cloudinary delivery URL.

https://cloudinary.com/documentation/image_transformations#transformation_url_structure:
`host/[cloud]/type/delivery/[signature]/[transformations…]/[version]/public_id`
"""

from __future__ import annotations

import re

_DELIVERY = re.compile(
    r"((?:https?:)?//[^/?#]+/(?:[^/?#]+/)?(?:image|video|raw)/(?:upload|private|authenticated)/)([^?#]*)(.*)", re.DOTALL
)
_VERSION = re.compile(r"v[0-9]+")
_SIGNATURE = re.compile(r"s--[^/]+--")
# https://cloudinary.com/documentation/transformation_reference: a folder of a public id may look nearly the same, so
# only the parameters that exist count.
_TRANSFORMATION = re.compile(
    r"(?:\$[A-Za-z0-9]+|if|ac|af|ar|bl|bo|br|co|cs|dl|dn|dpr|du|eo|fl|fn|fps|ki|pg|so|sp|vc|vs|[abcdefghloqprtuwxyz])_[^/]+"
)


def without_version(url: str) -> str:
    """The URL without its version; unchanged when it has none or is not Cloudinary's."""
    return _rewritten(url, ())


def with_version(url: str, version: int | str) -> str:
    """The URL with this version in place of its own or of none; unchanged when it is not Cloudinary's."""
    return _rewritten(url, (f"v{version}",))


def _rewritten(url: str, version: tuple[str, ...]) -> str:
    found = _DELIVERY.fullmatch(url)
    if found is None:
        return url
    head, rest, tail = found.groups()
    parts = rest.split("/")
    at = 1 if len(parts) > 1 and _SIGNATURE.fullmatch(parts[0]) else 0
    while at < len(parts) - 1 and _TRANSFORMATION.fullmatch(parts[at]):
        at += 1
    end = at + 1 if at < len(parts) - 1 and _VERSION.fullmatch(parts[at]) else at
    return head + "/".join((*parts[:at], *version, *parts[end:])) + tail
