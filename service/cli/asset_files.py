"""Files of assets: CSV with the columns id and url (and environment), or a JSON object a line."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import IO

import msgspec

from service.domain.errors import CommandFailed
from service.store.assets import Known


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    url: str | None = None
    urls: list[str] = []
    environment: str | None = None


_decode = msgspec.json.Decoder(_Line).decode


def read_assets(file: IO[bytes], name: str) -> Iterator[Known]:
    """The assets of a file, read as they are asked for; CommandFailed names the line that is none.

    Rows of one id that follow each other are one asset with several URLs.
    """
    lines = _lines(file, name)
    first = next(lines, "")
    rows = (_from_json if first.startswith("{") else _from_csv)(chain([first], lines), name)
    yield from _joined(rows)


def _lines(file: IO[bytes], name: str) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")  # spreadsheets write the mark
        except UnicodeDecodeError:
            raise CommandFailed(f"{name} line {number}: is not UTF-8") from None


def _from_json(lines: Iterable[str], name: str) -> Iterator[Known]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = _decode(line)
        except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
            raise CommandFailed(f"{name} line {number}: {error}") from None
        urls = tuple(dict.fromkeys(filter(None, (row.url, *row.urls))))
        if not row.id or not urls:
            raise CommandFailed(f"{name} line {number}: the id or the URL is missing")
        yield Known(row.id, urls, row.environment or None)


def _from_csv(lines: Iterable[str], name: str) -> Iterator[Known]:
    reader = csv.DictReader(lines, strict=True, skipinitialspace=True)
    try:
        if not {"id", "url"} <= set(reader.fieldnames or ()):
            raise CommandFailed(f"{name} must begin with a line that names the columns id and url, or be JSON lines")
        for row in reader:
            if not row["id"] or not row["url"]:
                raise CommandFailed(f"{name} line {reader.line_num}: the id or the URL is missing")
            yield Known(row["id"], (row["url"],), row.get("environment") or None)
    except csv.Error as error:
        raise CommandFailed(f"{name} line {reader.line_num + 1}: {error}") from None


def _joined(rows: Iterable[Known]) -> Iterator[Known]:
    pending: Known | None = None
    for row in rows:
        if pending is not None and (pending.asset_id, pending.environment) == (row.asset_id, row.environment):
            urls = tuple(dict.fromkeys((*pending.urls, *row.urls)))
            pending = Known(row.asset_id, urls, row.environment)
            continue
        if pending is not None:
            yield pending
        pending = row
    if pending is not None:
        yield pending
