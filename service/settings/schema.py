"""The JSON Schema of relay.yaml, for editors: `# yaml-language-server: $schema=relay.schema.json`."""

from __future__ import annotations

from typing import Any

import msgspec

from service.domain.secret import Secret
from service.settings.model import Settings

_VARIABLE = {"type": "string", "pattern": r"\$\{", "description": "A value from the environment: ${NAME}"}
_SECRET = {
    "title": "Secret",
    "description": "A secret: text, ${NAME} from the environment, or {file: PATH} for a mounted file.",
    "anyOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "object",
            "properties": {"file": {"type": "string", "minLength": 1}},
            "required": ["file"],
            "additionalProperties": False,
        },
    ],
}


def json_schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12: what the loader takes, short of what relates one setting to another."""
    (root,), definitions = msgspec.json.schema_components([Settings], schema_hook=custom, ref_template="#/$defs/{name}")
    definitions = {name: _adapted(part) for name, part in definitions.items()}
    settings = definitions.pop(root["$ref"].rpartition("/")[2])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:vercel-image-relay:relay.yaml",
        **settings,
        "title": "relay.yaml",
        "description": "vercel-image-relay: which webhooks are taken, and which Vercel projects they purge.",
        "$defs": {**definitions, "Secret": _SECRET},
    }


def custom(kind: type) -> dict[str, Any]:
    """The schema of a type msgspec does not know."""
    if kind is Secret:
        return {"$ref": "#/$defs/Secret"}
    raise NotImplementedError(kind)


def _adapted(part: Any) -> Any:
    """A schema with no unknown keys, and `${…}` wherever no text is taken anyway."""
    if isinstance(part, list):
        return [_adapted(member) for member in part]
    if not isinstance(part, dict):
        return part
    if part.get("type") in ("integer", "number", "boolean") or "enum" in part:
        about = {key: part[key] for key in ("title", "description", "default") if key in part}
        bare = {key: value for key, value in part.items() if key not in about}
        return {**about, "anyOf": [bare, _VARIABLE]}
    adapted = {key: value if key == "default" else _adapted(value) for key, value in part.items()}
    if "properties" in part:
        adapted["additionalProperties"] = False
        adapted.pop("title", None)
    if part.get("type") == "string" and "pattern" not in part:
        adapted["minLength"] = 1
    return adapted
