"""The images in a Sanity document: asset ids and URLs, wherever they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from service.providers import json_body

MAX_IMAGES = 1000  # of one document; the rest of a document that references more is left out
CDN_HOST = "cdn.sanity.io"
ASSET_TYPE = "sanity.imageAsset"

PROJECT = re.compile(r"[a-z0-9-]{1,64}")
DATASET = re.compile(r"[a-z0-9~_-]{1,64}")
HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?")

# https://www.sanity.io/docs/apis-and-sdks/presenting-images
_NAMES = ("image-", "https://", "http://")  # what an image's name begins with
_IMAGE_ID = re.compile(r"image-([A-Za-z0-9_]{24,40})-([0-9]{1,6}x[0-9]{1,6})-([a-z0-9]{1,8})")
# An object of another type is a document or a block of text, whose `url` leads to a page rather than an image.
_IMAGE_TYPES = (None, "image", ASSET_TYPE)
_IMAGE_KEYS = (None, "url", "asset", "image")  # an item of a list stands where the list does


class Place(Struct, frozen=True):
    """Where a dataset's images are served; None where that is not known."""

    project: str | None
    dataset: str | None
    host: str = CDN_HOST

    @classmethod
    def of(cls, projects: Iterable[str | None], datasets: Iterable[str | None], host: str | None) -> Place:
        """The first project and the first dataset that may be part of a URL."""
        return cls(_first(projects, PROJECT), _first(datasets, DATASET), host or CDN_HOST)

    def url(self, image_id: str) -> str | None:
        """The URL of an image id, None where it is no image id or the place is not known."""
        found = _IMAGE_ID.fullmatch(image_id)
        if found is None or self.project is None or self.dataset is None:
            return None
        name, size, extension = found.groups()
        return f"https://{self.host}/images/{self.project}/{self.dataset}/{name}-{size}.{extension}"


def _first(values: Iterable[str | None], pattern: re.Pattern[str]) -> str | None:
    return next((value for value in values if value is not None and pattern.fullmatch(value)), None)


class Images(Struct, frozen=True):
    """Images by name: the URL, or the id of one whose URL is not known."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, place: Place, part: Any) -> Images:
        """Every image in a part of a document, in order, each once."""
        names: dict[str, None] = {}
        _collect([(None, part)], place, names, image=True)
        return cls(tuple(names)[:MAX_IMAGES])

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if json_body.is_url(name))

    def __bool__(self) -> bool:
        return bool(self.names)


def _collect(children: Iterable[tuple[str | None, Any]], place: Place, names: dict[str, None], *, image: bool) -> None:
    """Children with their keys, None in a list. `image`: their parent stands where an image is expected."""
    for key, child in children:
        if isinstance(child, str):
            if child.startswith(_NAMES):
                _collect_name(child, place, names, image=image and key in _IMAGE_KEYS)
        elif isinstance(child, dict):
            expected = image and key in _IMAGE_KEYS and child.get("_type") in _IMAGE_TYPES
            _collect(_members(child, names, image=expected), place, names, image=expected)
        elif isinstance(child, list):
            _collect([(None, one) for one in child], place, names, image=image and key in _IMAGE_KEYS)


def _collect_name(value: str, place: Place, names: dict[str, None], *, image: bool) -> None:
    """An image where one is expected may be a URL of any host."""
    if _IMAGE_ID.fullmatch(value):
        names[place.url(value) or value] = None
    elif json_body.is_url(value) and (image or value.startswith(f"https://{place.host}/images/")):
        names[value] = None


def _members(value: dict[str, Any], names: dict[str, None], *, image: bool) -> Iterable[tuple[str, Any]]:
    url = json_body.text(value, "url") if image else None
    if url is None or not _IMAGE_ID.fullmatch(json_body.text(value, "_id") or ""):
        return value.items()
    names[url] = None  # an asset says itself where it is served: nothing is to be computed from its id
    return [(key, child) for key, child in value.items() if key not in ("_id", "url")]
