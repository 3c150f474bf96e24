"""A relay.yaml as a whole: what loads, what is said about what does not, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from service.domain.errors import ConfigInvalid, Problem
from service.domain.purges import Action
from service.domain.secret import Secret
from service.settings.checks import Checks
from service.settings.loader import Loaded, load
from service.settings.model import Settings, Source

Read = Callable[..., Loaded]
Problems = Callable[..., list[str]]

KEY = "A" * 43 + "="
LONG = "a-fake-secret-of-good-length"

UNSET_SECRET = "the environment variable NOT_SET is not set: set it, or mount the secret and write {file: PATH}"
HTTP_URL = "must be an http or https URL, such as https://hooks.example.com"
SQLITE = "must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"
TAB = "this line begins with a tab, YAML indents with spaces"
SHORT = "is shorter than 16 characters: easier to guess than it should be"

CONTRACT = """\
public_url: https://hooks.example.com       # as senders see it; used where a scheme signs path or URL
store: sqlite:///relay.db                   # the default; or postgresql://user:pw@host/db
vault:
  keys: [${RELAY_VAULT_KEY}]                # first key encrypts, every key decrypts
admin:
  password: ${RELAY_ADMIN_PASSWORD}         # absent: dashboard and admin API are off

projects:                                   # where purges go: Vercel projects
  shop:
    project: my-shop                        # id or name -> projectIdOrName
    team: team_1a2b3c                       # `team_…` is sent as teamId, anything else as slug; optional
    token: ${VERCEL_TOKEN_SHOP}             # optional: else the token stored with `image-relay tokens set shop`

sources:                                    # where webhooks come from: POST /hooks/{name}
  cms:
    provider: contentful                    # `image-relay providers` lists them
    secrets: [${CMS_SECRET}, ${CMS_SECRET_OLD}]   # any match verifies: rotation with overlap
    # public_keys: [{file: key.pem}]        # schemes with public keys: pinned in place of the published ones
    # tolerance: 300                        # seconds a signed timestamp may be off, either way
    # settle: 2                             # seconds between the event and the purge
    projects: [shop]                        # may be left out while there is one project
    rules:                                  # left out: the default rule below
      - name: product photos
        when: asset.kind in ["replaced", "deleted"] and "/products/" in url
        src_images:
          - "{{ url }}"
          - "{{ url | without_query }}"
        action: delete                      # delete | invalidate
        revalidation_deadline_seconds: 60   # delete only
"""
CONTRACT_ENVIRON = {
    "RELAY_VAULT_KEY": KEY,
    "RELAY_ADMIN_PASSWORD": LONG,
    "VERCEL_TOKEN_SHOP": LONG,
    "CMS_SECRET": LONG,
    "CMS_SECRET_OLD": "old-" + LONG,
}


def test_the_documented_example_loads(read: Read) -> None:
    loaded = read(CONTRACT, CONTRACT_ENVIRON)
    settings = loaded.settings
    assert settings.public_url == "https://hooks.example.com"
    assert settings.vault.keys == [Secret(KEY)]
    assert settings.projects["shop"].team == "team_1a2b3c"
    cms = settings.sources["cms"]
    assert cms.secrets == [Secret(LONG), Secret("old-" + LONG)]
    assert cms.rules is not None
    assert cms.rules[0].when == 'asset.kind in ["replaced", "deleted"] and "/products/" in url'
    assert (cms.rules[0].action, cms.rules[0].revalidation_deadline_seconds) == (Action.DELETE, 60)
    assert loaded.file is not None
    assert loaded.folder == loaded.file.parent
    assert loaded.warnings == (Problem("admin", "has no effect: this release has no dashboard yet", 5),)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~\n", "vault:\nprojects: ~\nserver: null\n", "\ufeff"])
def test_a_file_without_settings_has_the_defaults(read: Read, text: str) -> None:
    loaded = read(text)
    assert loaded.settings == Settings()
    assert [problem.message for problem in loaded.warnings] == ["there is none: no webhook will be accepted"]


SHOP = "projects:\n  shop: {project: p, token: a-fake-token-of-good-length}\nsources:\n"
CMS = SHOP + "  cms:\n    provider: contentful\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("store: sqlite://", f"1: store: {SQLITE}"),
        ("store: sqlite:///", f"1: store: {SQLITE}"),
        ("store: relay.db", f"1: store: {SQLITE}"),
        (
            'store: "sqlite:///:memory:"',
            "1: store: must name a file: what is stored has to survive a restart (no :memory:, no ? and no #)",
        ),
        (
            "store: postgresql://u:hunter2@db",
            "1: store: must name the database: postgresql://USER:PASSWORD@HOST/DATABASE",
        ),
        (
            "vercel_api: http://api.example.com",
            "1: vercel_api: must be https: Vercel tokens are sent there (http is for localhost only)",
        ),
        ("vercel_api: ftp://api.example.com", f"1: vercel_api: {HTTP_URL}"),
        ("vercel_api: https://api.example.com/?a=b", "1: vercel_api: may not have a query (?) or fragment (#)"),
        ("public_url: hooks.example.com", f"1: public_url: {HTTP_URL}"),
        ("public_url: https://u:hunter2@hooks.example.com", "1: public_url: may not hold a user name or password"),
        ("public_url: https://hooks.example.com/#x", "1: public_url: may not have a query (?) or fragment (#)"),
        ("public_url: 'https://hooks example.com'", f"1: public_url: {HTTP_URL}"),
        ("public_url: https://[::1", f"1: public_url: {HTTP_URL}"),
        ("public_url: https://example.com:99999", f"1: public_url: {HTTP_URL}"),
        ("server: {port: 65536}", "1: server.port: must be a whole number from 0 to 65535, not '65536'"),
        (
            "limits: {events_per_request: 0}",
            "1: limits.events_per_request: must be a whole number of at least 1, not '0'",
        ),
        ("dispatch: {timeout: 0.5}", "1: dispatch.timeout: must be a number from 1 to 120, not '0.5'"),
        ("dispatch: {max_age: 0}", "1: dispatch.max_age: must be a number from 60 to 31622400, not '0'"),
        ("dispatch: {probe_every: 0}", "1: dispatch.probe_every: must be a number from 1 to 86400, not '0'"),
        ("limits: {body_seconds: 0}", "1: limits.body_seconds: must be a number from 1 to 3600, not '0'"),
        ("retention: {receipts: 0}", "1: retention.receipts: must be a whole number from 1 to 3650, not '0'"),
        ("retention: {dead: 36500}", "1: retention.dead: must be a whole number from 1 to 3650, not '36500'"),
        ("dispatch: often", "1: dispatch: must be a mapping, not text"),
        ("admin: {}", "1: admin.password: is missing"),
        ("admin:\n  password:", "2: admin.password: is empty: a secret may not be"),
        ("sources:\n  cms: contentful", "2: sources.cms: must be a mapping, not text"),
        ("projects:\n  shop:", "2: projects.shop: must be a mapping, not nothing"),
        ("projects:\n  shop: {team: t}", "2: projects.shop.project: is missing"),
        (
            "projects:\n  Shop: {project: p}",
            "2: projects.Shop: a name is 1 to 64 of a-z, 0-9, - and _, and begins with a letter or digit",
        ),
        (
            "projects:\n  shop: {project: p, token: two words}",
            "2: projects.shop.token: holds a space, a line end or a character that is not ASCII",
        ),
        (
            "projects:\n  shop: {project: p, max_src_image_bytes: 8193}",
            "2: projects.shop.max_src_image_bytes: must be a whole number from 1 to 8192, not '8193'",
        ),
        ("sources:\n  cms: {provider: p}", "2: sources.cms: has no project to purge: describe one under `projects`"),
        (
            "projects: {a: {project: p}, b: {project: q}}\nsources:\n  cms:\n    provider: p",
            "3: sources.cms.projects: is missing: there are several projects, so name those it feeds (a, b)",
        ),
        ("store: sqlite:///a\nserver: {}\nstore: b", "3: store: is given twice, first on line 1"),
        ("[a, b]", "1: must be a mapping, not a list"),
        ("just text", "1: must be a mapping, not text"),
        ("*x", "1: is a YAML alias (*name): write the value itself"),
        ("a: 1\n b: 2", "2: is not valid YAML: mapping values are not allowed in this context"),
        (
            "a: [1,\n2",
            "2: is not valid YAML: did not find expected ',' or ']' (while parsing a flow sequence from line 1 on)",
        ),
        (
            "a:\n\tb: 1",
            "2: is not valid YAML: found character that cannot start any token; " + TAB,
        ),
        ("a: 1\n---\nb: 2", "2: a second document begins here; there may be one"),
        ("a:\n  " + "[" * 40, "2: is nested more than 32 levels deep"),
        ("a: 1\nb: \0", "2: the character U+0000 may not be in this file"),
        ("a: 1\nb: \U0010ff24", "2: the character U+10FF24 may not be in this file"),
        (b"a: 1\nb: \xff", "2: is not UTF-8 text from here on"),
        ("a: 1".encode("utf-16"), "1: is not UTF-8 text from here on"),
        ("#" * (1024 * 1024 + 1), "is larger than 1 MiB"),
    ],
)
def test_a_problem(problems: Problems, text: str | bytes, expected: str) -> None:
    assert problems(text) == [expected]


def test_every_problem_is_told_in_the_order_of_the_file(problems: Problems) -> None:
    text = """\
public_url: ftp://example.com
stores: sqlite:///relay.db
vault:
  keys: [${NOT_SET}, no-fernet-key]
projects:
  shop:
    project: p
    token: ${NOT_SET}
  blog: {team: t}
sources:
  cms:
    provider: contentful
    settle: soon
    rules:
      - when: true
        action: destroy
      - settle: -1
  cms: {}
"""
    command = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
    assert problems(text) == [
        f"1: public_url: {HTTP_URL}",
        "2: stores: unknown key, did you mean 'store'?",
        f"4: vault.keys[0]: {UNSET_SECRET}",
        f"4: vault.keys[1]: is not a Fernet key; this makes one: {command}",
        f"8: projects.shop.token: {UNSET_SECRET}",
        "9: projects.blog.project: is missing",
        "11: sources.cms.projects: is missing: there are several projects, so name those it feeds (shop, blog)",
        "13: sources.cms.settle: must be a number from 0 to 31622400, not 'soon'",
        "16: sources.cms.rules[0].action: must be one of delete, invalidate, not 'destroy'",
        "17: sources.cms.rules[1].settle: must be a number from 0 to 31622400, not '-1'",
        "18: sources.cms: is given twice, first on line 11",
    ]


def test_a_source_whose_rules_all_name_projects_needs_none_itself(read: Read) -> None:
    text = "projects: {a: {project: p}, b: {project: q}}\nsources: {cms: {provider: x, rules: [{projects: [b]}]}}"
    assert set(read(text).settings.sources) == {"cms"}


def test_projects_that_cannot_be_read_are_not_reported_again(problems: Problems) -> None:
    assert problems("projects: x\nsources: {cms: {provider: p}}") == ["1: projects: must be a mapping, not text"]
    assert problems("projects: x\nsources: {cms: {provider: p, projects: [a]}}") == [
        "1: projects: must be a mapping, not text"
    ]
    two = "projects: {a: {project: p}, b: {project: q}}\n"
    assert problems(two + "sources: {cms: {provider: p, projects: a}}") == [
        "2: sources.cms.projects: must be a list, not text"
    ]


def test_a_missing_file_names_the_remedies(tmp_path: Path, accept: Checks) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path / "relay.yaml", {}, accept)
    remedy = "name another with --config or RELAY_CONFIG, or write one with `image-relay init`"
    assert str(caught.value) == f"{tmp_path}/relay.yaml: there is no such file: {remedy}"


@pytest.mark.parametrize(("name", "message"), [(".", "Is a directory"), ("a\0b", "embedded null byte")])
def test_a_file_that_cannot_be_read(tmp_path: Path, accept: Checks, name: str, message: str) -> None:
    with pytest.raises(ConfigInvalid, match=f"cannot be read: {message}"):
        load(tmp_path / name, {}, accept)


def test_the_file_and_line_are_shown(tmp_path: Path, accept: Checks) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text("store: sqlite:///relay.db\nprojects: {shop: {}}\n")
    with pytest.raises(ConfigInvalid) as caught:
        load(file, {}, accept)
    assert caught.value.lines() == [f"{file}:2: projects.shop.project: is missing"]


class UnsuitableError(ValueError):
    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(message)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UnsuitableError("provider", "unknown provider"), "5: sources.cms.provider: unknown provider"),
        (UnsuitableError("secrets", "none given"), "4: sources.cms.secrets: none given"),
        (UnsuitableError("", "does not suit"), "4: sources.cms: does not suit"),
        (ValueError("does not suit"), "4: sources.cms: does not suit"),
    ],
)
def test_what_a_provider_says_is_reported(problems: Problems, accept: Checks, error: ValueError, expected: str) -> None:
    def refuse(name: str, source: Source) -> object:
        raise error

    checks = Checks(build_provider=refuse, compile_rules=accept.compile_rules, advise_source=accept.advise_source)
    assert problems(CMS, checks=checks) == [expected]
    # A source that cannot be read is not shown to the provider, one whose rules are wrong is.
    assert problems(CMS + "    secrets: x", checks=checks) == ["6: sources.cms.secrets: must be a list, not text"]
    assert expected in problems(CMS + "    rules: x", checks=checks)


def test_what_the_rules_say_is_reported_once(problems: Problems, accept: Checks, tmp_path: Path) -> None:
    seen = []

    def refuse(source: Source, settings: Settings, folder: Path) -> object:
        seen.append((settings.sources["cms"] is source, folder))
        found = [
            Problem("rules[0].when", "no such name"),
            Problem("rules[0].settle", "again"),
            Problem("", "all of it"),
        ]
        raise ConfigInvalid(found)

    checks = Checks(build_provider=accept.build_provider, compile_rules=refuse, advise_source=accept.advise_source)
    text = CMS + "    rules:\n      - settle: -1\n        when: x\n"
    assert problems(text, checks=checks) == [
        "7: sources.cms.rules[0].settle: must be a number from 0 to 31622400, not '-1'",
        "8: sources.cms.rules[0].when: no such name",
    ]
    assert problems(CMS, checks=checks)[-1] == "4: sources.cms.rules[0].settle: again"
    assert seen == [(True, tmp_path)] * 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "public_url: http://hooks.example.com",
            "public_url: is not https: anybody on the way can read the webhooks and capability URLs",
        ),
        (
            "admin: {password: a-fake-password-of-good-length}",
            "admin: has no effect: this release has no dashboard yet",
        ),
        ("admin: {password: short}", f"admin.password: {SHORT}"),
        (
            "projects:\n  shop: {project: p}",
            "projects.shop: has no token, and without vault.keys none can be stored: its purges will be held",
        ),
        ("projects: {shop: {project: p, token: short}}", f"projects.shop.token: {SHORT}"),
        (CMS + "    secrets: [short]", f"sources.cms.secrets[0]: {SHORT}"),
        (
            CMS + "    emulator: http://localhost:4566",
            "sources.cms.emulator: trusts whoever runs the emulator: for development only",
        ),
        (CMS, "sources.cms: looks odd"),
    ],
)
def test_a_warning(read: Read, accept: Checks, text: str, expected: str) -> None:
    def advise(source: Source) -> list[str]:
        return ["looks odd"] if source.emulator is None else []

    checks = Checks(build_provider=accept.build_provider, compile_rules=accept.compile_rules, advise_source=advise)
    warnings = read(text, checks=checks).warnings
    assert expected in [f"{problem.path}: {problem.message}" for problem in warnings]
    assert all(problem.line for problem in warnings)


@pytest.mark.parametrize(
    "text",
    [
        "public_url: http://localhost:8080\n" + CMS,
        "public_url: http://[::1]:8080\n" + CMS,
        "public_url: http://relay.localhost\n" + CMS,
        "vercel_api: http://127.0.0.1:9000/fake\n" + CMS,
        f"vault: {{keys: [{KEY}]}}\n" + CMS.replace(", token: a-fake-token-of-good-length", ""),
    ],
)
def test_no_warning(read: Read, text: str) -> None:
    assert read(text).warnings == ()


def test_no_secret_is_shown(read: Read, problems: Problems) -> None:
    secret = "hunter2-hunter2-hunter2"
    environ = dict.fromkeys(CONTRACT_ENVIRON, secret) | {"RELAY_VAULT_KEY": KEY}
    loaded = read(CONTRACT, environ)
    assert secret not in repr(loaded)
    assert KEY not in repr(loaded)
    shown = problems(CONTRACT, dict.fromkeys(CONTRACT_ENVIRON, secret))
    assert len(shown) == 1
    assert secret not in shown[0]
