"""The commented relay.yaml that `image-relay init` writes."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from service.domain.errors import CommandFailed


def example() -> str:
    """The file's text."""
    return resources.files("service.settings").joinpath("relay.example.yaml").read_text(encoding="utf-8")


def write_init(path: Path, force: bool = False) -> None:
    """Write the file; raises CommandFailed where it cannot be written, or exists and `force` is off."""
    try:
        # "x" creates or fails in one step: nothing that appears meanwhile is overwritten.
        with path.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(example())
    except FileExistsError:
        raise CommandFailed(f"{path} is there already: give another name, or --force to overwrite it") from None
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}") from None
