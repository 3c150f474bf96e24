"""Values of a source: substitution, types, secrets from files, and the exact words about what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from msgspec import to_builtins

from service.settings.loader import Loaded
from service.settings.model import Source
from service.settings.substitution import Expanded
from service.settings.yaml_nodes import Mark, Scalar

Read = Callable[..., Loaded]
Problems = Callable[..., list[str]]

SECONDS = "must be a number from 0 to 31622400"
DEADLINE = "must be a whole number from 0 to 31536000"
ENCODING = "must be one of form, url, verbatim"
EXACTLY_ONE = "give exactly one of header, query, basic, bearer, capability, jwt"
TAG = "has a YAML tag (!name): leave it out, quotes make text of anything"
VARIABLE = "a variable is written ${NAME} or ${NAME:-default}; write $${ where ${ is meant"
CONTROL = "holds a control character or something that is not UTF-8"
UNSET_SECRET = "the environment variable NOT_SET is not set: set it, or mount the secret and write {file: PATH}"
HTTP_URL = "must be an http or https URL, such as https://hooks.example.com"

SHOP = "projects:\n  shop: {project: p, token: a-fake-token-of-good-length}\nsources:\n"
CMS = SHOP + "  cms:\n    provider: contentful\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("settle: 0.5", {"settle": 0.5}),
        ("settle: ${SECONDS}", {"settle": 30.0}),
        ('settle: "${SECONDS}"', {"settle": 30.0}),
        ("settle:", {"settle": 2.0}),
        ("tolerance: ${NOT_SET:-60}", {"tolerance": 60.0}),
        ("project_id: 0123", {"project_id": "0123"}),
        ("project_id: 1e5", {"project_id": "1e5"}),
        ("project_id: ${BLANK}", {"project_id": None}),
        ("project_id: ${BLANK:-x}", {"project_id": "x"}),
        ("project_id: 'null'", {"project_id": "null"}),
        ("dataset: a${SECONDS}b${SECONDS}", {"dataset": "a30b30"}),
        ("dataset: $${SECONDS} and $${A:-b, c}", {"dataset": "${SECONDS} and ${A:-b, c}"}),
        ("dataset: 5$ {x} $y $$z", {"dataset": "5$ {x} $y $$z"}),
        ("dataset: $${", {"dataset": "${"}),
        ("topics: [${NOT_SET:-a, b}, 'c', \"${NOT_SET:-[d]: #'}\"]", {"topics": ["a, b", "c", "[d]: #'"]}),
        ("key_encoding: ${NOT_SET:-form}", {"key_encoding": "form"}),
        (
            'secrets: ["12345678901234567890", 1234567890123456]',
            {"secrets": ["12345678901234567890", "1234567890123456"]},
        ),
        ("secrets: [${HOSTILE}]", {"secrets": ["x\n  evil: {a: b} # ${SECONDS}"]}),
        ("auth: {bearer: true}", {"auth": {"bearer": True}}),
        ("auth: {header: X-Relay-Key}", {"auth": {"header": "X-Relay-Key"}}),
        (
            "auth: {jwt: {audience: a, claims: {level: 3}, algorithms: [PS256]}}",
            {"auth": {"jwt": {"audience": "a", "claims": {"level": "3"}, "algorithms": ["PS256"]}}},
        ),
        (
            "bases: {my.bucket: https://img.example.com/, b: /files/}",
            {"bases": {"my.bucket": "https://img.example.com/", "b": "/files/"}},
        ),
        ("quota: 600/minute", {"quota": "600/minute"}),
        ("rules: [{when: true}, {when: False}, {when: 'true'}]", {"when": [True, False, "true"]}),
        ("rules: [{stop: TRUE}]", {"stop": [True]}),
    ],
)
def test_a_value(read: Read, line: str, expected: Mapping[str, object]) -> None:
    environ = {"SECONDS": "30", "BLANK": "", "HOSTILE": "x\n  evil: {a: b} # ${SECONDS}"}
    source = read(f"{CMS}    {line}\n", environ).settings.sources["cms"]
    rules = source.rules or []
    seen: dict[str, object] = {name: getattr(source, name) for name in Source.__struct_fields__}
    seen |= {"secrets": [secret.reveal() for secret in source.secrets], "when": [rule.when for rule in rules]}
    seen |= {"stop": [rule.stop for rule in rules]}
    if source.auth:
        seen["auth"] = to_builtins(source.auth)
    assert {name: seen[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("line", "path", "message"),
    [
        ("settle: soon", "settle", f"{SECONDS}, not 'soon'"),
        ("settle: '5'", "settle", f"{SECONDS}, not '5' in quotes"),
        ("settle: -1", "settle", f"{SECONDS}, not '-1'"),
        ("settle: .nan", "settle", f"{SECONDS}, not '.nan'"),
        ("settle: inf", "settle", f"{SECONDS}, not 'inf'"),
        ("settle: " + "9" * 5000, "settle", f"{SECONDS}, not '{'9' * 40}'"),
        ("tolerance: 0", "tolerance", "must be a number from 1 to 31622400, not '0'"),
        ("settle: ''", "settle", "is empty: give a value or leave the key out"),
        ("settle: [1]", "settle", f"{SECONDS}, not a list"),
        ("settle: ${TOKEN}", "settle", SECONDS + ", not the value of ${TOKEN}"),
        ("key_encoding: forn", "key_encoding", f"{ENCODING}, not 'forn', did you mean 'form'?"),
        ("key_encoding: ${TOKEN}", "key_encoding", ENCODING + ", not the value of ${TOKEN}"),
        ("auth: {bearer: false}", "auth.bearer", "must be true, not 'false'"),
        ("auth: {}", "auth", EXACTLY_ONE),
        ("auth: {bearer: true, query: code}", "auth", f"{EXACTLY_ONE}, not query and bearer"),
        ("project_id: [x]", "project_id", "must be text, not a list"),
        ("project_id: {a: b}", "project_id", "must be text, not a mapping"),
        ("project_id: ''", "project_id", "is empty: give a value or leave the key out"),
        ("project_id: !!str 5", "project_id", TAG),
        ("topics: !!set {a}", "topics", TAG),
        ("auth: {header: &t a, query: *t}", "auth.query", "is a YAML alias (*name): write the value itself"),
        ("topics: ${BLANK}", "topics", "must be a list, not text"),
        ("topics: shop", "topics", "must be a list, not text"),
        ("bases: [b]", "bases", "must be a mapping, not a list"),
        ("topics: [a, ~]", "topics[1]", "is empty"),
        ("topics: [{a: b}]", "topics[0]", "must be text, not a mapping"),
        ("topics: [[a]]", "topics[0]", "must be text, not a list"),
        ('topics: ["\\0"]', "topics[0]", f"the value {CONTROL}"),
        ("topics: [${ESCAPE}]", "topics[0]", f"the environment variable ESCAPE {CONTROL}"),
        ("topics: [${BYTES}]", "topics[0]", f"the environment variable BYTES {CONTROL}"),
        (
            "dataset: ${NOT_SET}",
            "dataset",
            "the environment variable NOT_SET is not set: set it, or write ${NOT_SET:-default}",
        ),
        ("dataset: ${1X}", "dataset", VARIABLE),
        ("secrets: [${NOT_SET}]", "secrets[0]", UNSET_SECRET),
        ("secrets: [${BLANK}]", "secrets[0]", "is empty: a secret may not be"),
        ("secrets: [${BLANK:-}]", "secrets[0]", "is empty: a secret may not be"),
        ("secrets: ['']", "secrets[0]", "is empty: a secret may not be"),
        ("secrets: [null]", "secrets[0]", "is empty: a secret may not be"),
        ("secrets: hunter2-is-not-repeated", "secrets", "must be a list, not text"),
        ("secrets: [[hunter2-is-not-repeated]]", "secrets[0]", "must be text or {file: PATH}"),
        ("secrets: [{fiel: x}]", "secrets[0]", "must be text or {file: PATH}"),
        (
            "secrets: [{file: ${NOT_SET}}]",
            "secrets[0]",
            "the environment variable NOT_SET is not set: set it, or write ${NOT_SET:-default}",
        ),
        ("secret: [x]", "secret", "unknown key, did you mean 'secrets'?"),
        ("wholly-else: 1", "wholly-else", "unknown key"),
        ('"odd\\nkey": 1', "'odd\\nkey'", "unknown key"),
        ("${SECONDS}: 1", "'${SECONDS}'", "unknown key"),
        ("quota: lots", "quota", "must be a number per second, minute or hour, such as 600/minute"),
        ("bases: {b: img.example.com}", "bases.b", "must be an http or https URL, or a path that begins with /"),
        ('bases: {"b\\0": /x}', "bases.'b\\x00'", f"the key {CONTROL}"),
        ("emulator: localhost", "emulator", HTTP_URL),
        ("projects: [shoop]", "projects[0]", "there is no project 'shoop', did you mean 'shop'?"),
        ("projects: []", "projects", "is an empty list: name at least one project, or leave the key out"),
        ("rules: [{projects: [other]}]", "rules[0].projects[0]", "there is no project 'other'"),
        ("rules: []", "rules", "is an empty list: give at least one, or leave the key out"),
        ("rules: [x]", "rules[0]", "must be a mapping, not text"),
        ("rules: [~]", "rules[0]", "must be a mapping, not nothing"),
        (
            "rules: [{src_images: []}]",
            "rules[0].src_images",
            "is an empty list: give at least one, or leave the key out",
        ),
        (
            "rules: [{src_images: [{{ url }}]}]",
            "rules[0].src_images[0]",
            "has a key that is not plain text; a template that begins with {{ needs quotes",
        ),
        ("rules: [{src_images: ['/a*']}]", "rules[0].src_images[0]", "Vercel takes no * in a source image"),
        (
            "rules: [{src_images: ['/" + "é" * 600 + "']}]",
            "rules[0].src_images[0]",
            "is 1201 bytes long, 1013 are allowed (max_src_image_bytes)",
        ),
        ("rules: [{action: destroy}]", "rules[0].action", "must be one of delete, invalidate, not 'destroy'"),
        ("rules: [{stop: maybe}]", "rules[0].stop", "must be true or false, not 'maybe'"),
        ("rules: [{when: [x]}]", "rules[0].when", "must be text or true or false, not a list"),
        ("rules: [{when: ''}]", "rules[0].when", "is empty: give a value or leave the key out"),
        (
            "rules: [{revalidation_deadline_seconds: soon}]",
            "rules[0].revalidation_deadline_seconds",
            f"{DEADLINE}, not 'soon'",
        ),
        (
            "rules: [{revalidation_deadline_seconds: 1.5}]",
            "rules[0].revalidation_deadline_seconds",
            f"{DEADLINE}, not '1.5'",
        ),
        (
            "rules: [{revalidation_deadline_seconds: 31536001}]",
            "rules[0].revalidation_deadline_seconds",
            f"{DEADLINE}, not '31536001'",
        ),
        (
            "rules: [{action: invalidate, revalidation_deadline_seconds: 5}]",
            "rules[0].revalidation_deadline_seconds",
            "goes only with `action: delete`",
        ),
    ],
)
def test_a_problem_of_a_source(problems: Problems, line: str, path: str, message: str) -> None:
    environ = {"TOKEN": "not-to-be-repeated", "BLANK": "", "ESCAPE": "\x1b[2J", "BYTES": "\udcff"}
    assert problems(f"{CMS}    {line}\n", environ) == [f"6: sources.cms.{path}: {message}"]


def test_a_default_holds_no_variable(problems: Problems) -> None:
    assert problems(CMS + "    dataset: ${A:-${B}}\n") == [
        f"6: sources.cms.dataset: {VARIABLE}",
        "6: sources.cms.dataset: the environment variable B is not set: set it, or write ${B:-default}",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a-fake-secret\n", "a-fake-secret"),
        (b"a-fake-secret\r\n", "a-fake-secret"),
        (b"a-fake-secret\n\n", "a-fake-secret\n"),
        ("schlüssel".encode(), "schlüssel"),
    ],
)
def test_a_secret_in_a_file(read: Read, tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "key").write_bytes(content)
    for text in ("{file: key}", "{file: ${NAME}}", f"{{file: {tmp_path}/key}}"):
        source = read(f"{CMS}    secrets: [{text}]\n", {"NAME": "key"}).settings.sources["cms"]
        assert [secret.reveal() for secret in source.secrets] == [expected]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "{} cannot be read: No such file or directory"),
        (b"", "{} is empty"),
        (b"\n", "{} is empty"),
        (b"\xff", "{} is not UTF-8 text"),
        (b"x" * 65537, "{} is larger than 64 KiB"),
    ],
)
def test_a_secret_file_that_is_wrong(problems: Problems, tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    expected = f"6: sources.cms.secrets[0]: {message.format(file)}"
    assert problems(f"{CMS}    secrets: [{{file: key}}]\n") == [expected]


def test_a_secret_file_that_is_a_folder(problems: Problems, tmp_path: Path) -> None:
    expected = f"6: sources.cms.secrets[0]: {tmp_path} is not a regular file"
    assert problems(f"{CMS}    secrets: [{{file: .}}]\n") == [expected]


def test_what_may_be_a_secret_is_in_no_repr() -> None:
    scalar = Scalar(Mark(1), "hunter2-hunter2")
    expanded = Expanded("hunter2-hunter2", ("TOKEN",))
    assert "hunter2" not in repr((scalar, expanded))
    assert "TOKEN" in repr(expanded)
