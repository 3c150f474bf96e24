"""Lookup tables: id → URLs, from CSV or JSON files beside relay.yaml, read once when the rules are compiled."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping

import msgspec

Table = Mapping[str, str]
"""Each id's URLs, one a line: what a template turns into one image a line."""

Read = Callable[[str], bytes]
"""Reads a file named relative to the folder of relay.yaml; raises OSError."""

_DRIVE = re.compile(r"[A-Za-z]:")
_decode_json = msgspec.json.Decoder(dict[str, str | list[str]]).decode


def load_table(path: str, read: Read) -> Table:
    """The table in the file `path`; ValueError says what is wrong with the path or the file."""
    if problem := path_problem(path):
        raise ValueError(problem)
    try:
        text = read(path).decode("utf-8-sig")  # spreadsheets write the mark
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 (byte {error.start})") from error
    return _from_json(path, text) if path.endswith(".json") else _from_csv(path, text)


def path_problem(path: str) -> str | None:
    """Why `path` cannot name a table: it must be a .csv or .json file inside the folder of relay.yaml."""
    if path.startswith("/") or "\\" in path or "\0" in path or _DRIVE.match(path) or ".." in path.split("/"):
        return f"{path!r} must be a relative path inside the folder of relay.yaml, without .. or backslashes"
    if not path.endswith((".csv", ".json")):
        return f"{path!r} must end in .csv or .json"
    return None


def _from_json(path: str, text: str) -> Table:
    try:
        rows = _decode_json(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"{path} must be a JSON object of id to URL or list of URLs: {error}") from error
    return {key: urls if isinstance(urls, str) else "\n".join(urls) for key, urls in rows.items()}


def _from_csv(path: str, text: str) -> Table:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    table: dict[str, list[str]] = {}
    try:
        if not {"id", "url"} <= set(reader.fieldnames or ()):
            raise ValueError(f"{path} must begin with a line that names the columns id and url")
        for row in reader:
            if not row["id"] or not row["url"]:
                raise ValueError(f"{path} line {reader.line_num}: the id or the URL is missing")
            table.setdefault(row["id"], []).append(row["url"])
    except csv.Error as error:
        raise ValueError(f"{path} line {reader.line_num + 1}: {error}") from error
    return {key: "\n".join(urls) for key, urls in table.items()}
