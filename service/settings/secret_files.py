"""`{file: PATH}`: a secret from a mounted file."""

from __future__ import annotations

from pathlib import Path

MAX_BYTES = 64 * 1024


def read_secret_file(path: Path) -> str:
    """The file's text without one newline at its end; ValueError says what is wrong with the file."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError(f"{path} is not a regular file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ValueError(f"{path} is larger than 64 KiB")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError(f"{path} is empty")
    return text
