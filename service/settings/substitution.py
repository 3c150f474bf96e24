"""`${NAME}`, `${NAME:-default}` and `$${`: variables in the values of relay.yaml.

`[${A}, ${B}]` needs no quotes here, although YAML would read it as mappings inside a list: a reference is put into
characters that mean nothing to YAML before the file is parsed (`protect`) and read from them afterwards (`expand`).
Values are put in after parsing: whatever a variable holds, it cannot add a key or a line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

# U+10FF00 + an ASCII character, in a plane for private use: no keyboard and no font has them.
_BASE = 0x10FF00
RESERVED = re.compile("[\U0010ff00-\U0010ff7f]")


def _veiled(character: str) -> str:
    return chr(_BASE + ord(character))


_OPEN, _CLOSE, _ESCAPED = _veiled("$"), _veiled("}"), _veiled("\\")
_VEIL = str.maketrans({character: _veiled(character) for character in ",[]{}:#"})
_UNVEIL = {_BASE + code: chr(code) for code in range(128)} | {ord(_OPEN): "${", ord(_ESCAPED): "$${"}

_WRITTEN = re.compile(r"(\$?)\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^{}\n]*)?\}")
_IN_VALUE = re.compile(
    f"{_OPEN}(?P<name>[A-Za-z0-9_]+)(?:{_veiled(':')}-(?P<default>[^{_CLOSE}]*))?{_CLOSE}"
    rf"|(?P<escaped>{_ESCAPED}|\$\$\{{)|(?P<stray>\$\{{)|(?P<veiled>{RESERVED.pattern})"
)
# What no setting holds: controls except tab and line ends, and surrogates, Python's stand-ins for undecodable bytes.
_UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def protect(text: str) -> str:
    """The file's text with every reference in characters YAML does not know."""

    def veil(found: re.Match[str]) -> str:
        escape, name, default = found.groups(default="")
        return (_ESCAPED if escape else _OPEN) + name + default.translate(_VEIL) + _CLOSE

    return _WRITTEN.sub(veil, text)


def restore(text: str) -> str:
    """What was written, for keys, in which nothing is replaced."""
    return text.translate(_UNVEIL)


class Expanded(Struct, frozen=True):
    """A value after substitution. `names` are the variables in it, `problems` why it cannot be used."""

    text: str
    names: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without the text, which may be a secret."""
        return f"Expanded(names={self.names}, problems={self.problems})"


def expand(text: str, environ: Mapping[str, str], remedy: str) -> Expanded:
    """Put the variables' values into `text`; `remedy` ends the message about one that is not set.

    As in a shell, `:-` also replaces a variable that is set to nothing.
    """
    names: list[str] = []
    problems: list[str] = []

    def value(found: re.Match[str]) -> str:
        if name := found["name"]:
            names.append(name)
            return _variable(name, found["default"], environ, remedy, problems)
        if found["stray"]:
            problems.append("a variable is written ${NAME} or ${NAME:-default}; write $${ where ${ is meant")
        return "${" if found["escaped"] else restore(found[0])

    result = _IN_VALUE.sub(value, text)
    if not problems and _UNUSABLE.search(result):
        source = f"the environment variable {names[0]}" if names else "the value"
        problems.append(f"{source} holds a control character or something that is not UTF-8")
    return Expanded(result, tuple(names), tuple(dict.fromkeys(problems)))


def _variable(name: str, default: str | None, environ: Mapping[str, str], remedy: str, problems: list[str]) -> str:
    if default is not None:
        return environ.get(name) or restore(default)
    if name not in environ:
        problems.append(f"the environment variable {name} is not set: {remedy.format(name=name)}")
    return environ.get(name, "")


def usable(text: str) -> bool:
    """Whether a value from elsewhere than the file can be a setting."""
    return not _UNUSABLE.search(text)
