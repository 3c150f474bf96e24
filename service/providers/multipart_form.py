"""Fields of a `multipart/form-data` body: https://www.rfc-editor.org/rfc/rfc7578"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256

MAX_FIELDS = 32

_BOUNDARY = re.compile(rb"--([0-9A-Za-z'()+_,./:=?-]{1,70})\r\n")
_DISPOSITION = re.compile(rb'content-disposition: *form-data; *name="([^"]*)"', re.IGNORECASE)


def form_fields(body: bytes) -> dict[str, bytes]:
    """The fields by name; ValueError for what is no such body, or has two fields of one name.

    The body's first line says what the boundary is: senders write nothing before it.
    """
    first = _BOUNDARY.match(body)
    if first is None:
        raise ValueError("the body does not begin with a boundary")
    # A boundary is the end of the line before it and goes on with its own: a longer one is none.
    *parts, end = (b"\r\n" + body).split(b"\r\n--" + first[1])[1:]
    if end not in (b"--", b"--\r\n"):
        raise ValueError("the body does not end with its boundary")
    if len(parts) > MAX_FIELDS:
        raise ValueError(f"the body has more than {MAX_FIELDS} fields")
    fields: dict[str, bytes] = {}
    for part in parts:
        name, value = _field(part)
        if name in fields:
            raise ValueError(f"the field {name} came twice")
        fields[name] = value
    return fields


def _field(part: bytes) -> tuple[str, bytes]:
    head, blank_line, value = part.partition(b"\r\n\r\n")
    empty, *lines = head.split(b"\r\n")
    names = [found[1] for line in lines if (found := _DISPOSITION.match(line))]
    if empty or not blank_line or len(names) != 1:
        raise ValueError("a part of the body is no form's field")
    return names[0].decode("latin-1"), value


def form_body(fields: Mapping[str, bytes]) -> tuple[bytes, str]:
    """A body of these fields, and its Content-Type."""
    boundary = "----" + sha256(b"\0".join(fields.values())).hexdigest()[:32]
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (boundary.encode(), name.encode(), value)
        for name, value in fields.items()
    ]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"
