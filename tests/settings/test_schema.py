"""The JSON Schema takes what the loader takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped, unused-ignore]
import msgspec
import pytest
import yaml
from msgspec import inspect

from service.domain.secret import Secret
from service.settings import schema
from service.settings.init_file import example
from service.settings.model import Settings
from service.settings.substitution import protect, restore

KEY = "sources: {cms: {provider: p, %s}}"


def document(text: str) -> Any:
    """What an editor makes of a file, `[${A}]` read as the loader reads it."""

    def restored(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: restored(member) for key, member in value.items()}
        if isinstance(value, list):
            return [restored(member) for member in value]
        return restore(value) if isinstance(value, str) else value

    return restored(yaml.safe_load(protect(text)))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    built = schema.json_schema()
    jsonschema.Draft202012Validator.check_schema(built)
    return jsonschema.Draft202012Validator(built)


def structs(kind: inspect.Type) -> Iterator[inspect.StructType]:
    """Every struct below a type."""
    match kind:
        case inspect.StructType():
            yield kind
            for field in kind.fields:
                yield from structs(field.type)
        case inspect.Metadata():
            yield from structs(kind.type)
        case inspect.UnionType():
            for member in kind.types:
                yield from structs(member)
        case inspect.ListType():
            yield from structs(kind.item_type)
        case inspect.DictType():
            yield from structs(kind.value_type)


def test_it_says_what_it_is() -> None:
    built = schema.json_schema()
    assert built["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert built["$id"] == "urn:vercel-image-relay:relay.yaml"
    assert built["title"] == "relay.yaml"
    assert built["description"]
    assert msgspec.json.decode(msgspec.json.encode(built)) == built


def test_every_struct_is_in_it_and_closed() -> None:
    built = schema.json_schema()
    for kind in structs(inspect.type_info(Settings)):
        part = built if kind.cls is Settings else built["$defs"][kind.cls.__name__]
        assert set(part["properties"]) == {field.encode_name for field in kind.fields}
        assert part["additionalProperties"] is False


def test_the_init_file_is_valid(validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(document(example()))


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "vault: {keys: [${RELAY_VAULT_KEY}, {file: /run/secrets/key}]}",
        "admin: {password: ${RELAY_ADMIN_PASSWORD}}",
        "projects: {shop: {project: my-shop, team: team_1a2b3c, token: ${VERCEL_TOKEN_SHOP}}}",
        "projects: {shop: {project: my-shop, max_src_image_bytes: 8192, concurrency: ${CALLS}}}",
        "server: {port: ${PORT:-8080}, log: ${LOG}}",
        KEY % "settle: 0.5, tolerance: ${SECONDS}",
        KEY % "rules: [{when: true, src_images: ['{{ url }}'], action: ${ACTION}, stop: ${STOP}}]",
        KEY % "auth: {bearer: true}",
        KEY % "auth: {jwt: {audience: a, email: b, claims: {scope: c}, max_lifetime: ${LIFE}, algorithms: [ES256]}}",
        KEY % "key_encoding: form, bases: {bucket: /files/}, topics: [a]",
    ],
)
def test_valid(validator: jsonschema.Draft202012Validator, text: str) -> None:
    validator.validate(document(text))


@pytest.mark.parametrize(
    "text",
    [
        "stores: sqlite:///relay.db",
        "store: ''",
        "server: {port: http}",
        "server: {port: 65536}",
        "projects: {Shop: {project: p}}",
        "projects: {shop: {}}",
        "projects: {shop: {project: p, token: ''}}",
        "projects: {shop: {project: p, token: {fiel: x}}}",
        KEY % "settle: soon",
        KEY % "settle: -1",
        KEY % "key_encoding: urll",
        KEY % "auth: {bearer: false}",
        KEY % "rules: [{src_images: []}]",
        KEY % "rules: [{action: destroy}]",
        KEY % "rules: [{whem: x}]",
    ],
)
def test_invalid(validator: jsonschema.Draft202012Validator, text: str) -> None:
    assert not validator.is_valid(document(text))


def test_only_secrets_need_a_schema_of_ours() -> None:
    class Other:
        pass

    assert msgspec.json.schema(list[Secret], schema_hook=schema.custom)["items"] == {"$ref": "#/$defs/Secret"}
    with pytest.raises(TypeError):
        msgspec.json.schema(Other, schema_hook=schema.custom)
