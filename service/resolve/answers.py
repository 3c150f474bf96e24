"""The URLs in the answer of a CMS's API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from service.domain.errors import RelayError, Unreadable
from service.providers import json_body
from service.providers.image_links import MAX_IMAGES, image_urls

Search = Callable[[Any], Any]


class AnswerUnreadable(RelayError):
    """What came back is no answer to the question; it may be one the next time."""

    reason = "answer_unreadable"


def compile_search(expression: str) -> Search:
    """A JMESPath as a function of a document; ValueError where it is none. https://jmespath.org/specification.html"""
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        compiled = jmespath.compile(expression)
    except (JMESPathError, RecursionError) as error:
        raise ValueError(f"is no JMESPath: {' '.join(str(error).split())}") from None

    def search(document: Any) -> Any:
        try:
            return compiled.search(document)
        except (JMESPathError, RecursionError) as error:
            raise AnswerUnreadable(f"the JMESPath fails on it: {error}") from None

    return search


def found_urls(
    body: bytes, search: Search | None, prefixes: tuple[str, ...], trouble: Search | None
) -> tuple[str, ...]:
    """The URLs in an answer; raises AnswerUnreadable where it is none, or tells of trouble."""
    try:
        document = json_body.parse(body)
    except Unreadable as error:
        raise AnswerUnreadable(str(error).replace("the body", "the answer")) from None
    if search is None:
        urls = image_urls(document, prefixes)
    else:
        urls = tuple(islice(dict.fromkeys(_absolute(search(document))), MAX_IMAGES))
    if not urls and trouble is not None and (told := trouble(document)):
        raise AnswerUnreadable(f"the answer tells of an error: {str(told)[:200]}")
    return urls


def _absolute(found: Any) -> Iterator[str]:
    """The strings among what was found that are URLs; what has no scheme is https, as browsers would read it."""
    if isinstance(found, list):
        for one in found:
            yield from _absolute(one)
    elif isinstance(found, str):
        url = f"https:{found}" if found.startswith("//") else found
        if json_body.is_url(url):
            yield url
