"""Flags over environment over file, and no file at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from service.domain.errors import ConfigInvalid, Problem
from service.domain.secret import Secret
from service.settings.checks import Checks
from service.settings.environment import resolve
from service.settings.model import Source

KEY, OTHER_KEY = "A" * 43 + "=", "B" * 43 + "="
TOKEN = "a-fake-token-of-good-length"
SIDECAR = {
    "RELAY_PROVIDER": "contentful",
    "RELAY_SECRET": "a-fake-secret, with a comma",
    "RELAY_VERCEL_PROJECT": "my-shop",
    "RELAY_VERCEL_TOKEN": TOKEN,
}
FILE = "store: sqlite:///file.db\nserver: {port: 1, host: file.example}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """./relay.yaml is relative to the working directory, of which there is one a process."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def needs_secret(name: str, source: Source) -> object:
    """A provider that signs."""
    if not source.secrets:
        error = ValueError("give the signing secret here")
        error.key = "secrets"  # type: ignore[attr-defined]
        raise error
    return None


def lines(environ: Mapping[str, str], checks: Checks, overrides: Mapping[str, object] | None = None) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        resolve(None, overrides or {}, environ, checks)
    return caught.value.lines()


def test_a_flag_beats_the_environment_and_that_the_file(folder: Path, accept: Checks) -> None:
    (folder / "relay.yaml").write_text(FILE)
    environ = {
        "RELAY_STORE": "sqlite:///env.db",
        "RELAY_PORT": "2",
        "RELAY_LOG": "json",
        "RELAY_UDS": "/run/relay.sock",
    }
    overrides = {"server.port": 3, "server.log": None}
    loaded = resolve(None, overrides, environ, accept)
    server = loaded.settings.server
    assert loaded.settings.store == "sqlite:///env.db"
    assert (server.host, server.port, server.log, server.uds) == ("file.example", 3, "json", "/run/relay.sock")
    assert loaded.file == Path("relay.yaml")


def test_what_the_environment_overrides_need_not_be_right_in_the_file(folder: Path, accept: Checks) -> None:
    (folder / "relay.yaml").write_text("store: nonsense\nvault:\nvercel_api: ${NOT_SET}")
    environ = {
        "RELAY_STORE": "sqlite:///env.db",
        "RELAY_VAULT_KEYS": f"{KEY}, {OTHER_KEY},",
        "RELAY_VERCEL_API": "http://127.0.0.1:9000",
        "RELAY_HOST": "",
    }
    settings = resolve(None, {}, environ, accept).settings
    assert settings.vault.keys == [Secret(KEY), Secret(OTHER_KEY)]
    assert settings.vercel_api == "http://127.0.0.1:9000"
    assert settings.server.host == "127.0.0.1"


def test_values_of_the_environment_are_taken_as_they_are(folder: Path, accept: Checks) -> None:
    (folder / "relay.yaml").write_text("")
    assert resolve(None, {}, {"RELAY_UDS": "${HOME}/null"}, accept).settings.server.uds == "${HOME}/null"
    assert resolve(None, {}, {"RELAY_HOST": "null"}, accept).settings.server.host == "null"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("RELAY_PORT", "http", "RELAY_PORT: must be a whole number from 0 to 65535, not 'http'"),
        ("RELAY_LOG", "jsn", "RELAY_LOG: must be one of console, json, not 'jsn', did you mean 'json'?"),
        ("RELAY_VERCEL_API", "api.vercel.com", "RELAY_VERCEL_API: must be an http or https URL, such as https://hooks.example.com"),
        ("RELAY_STORE", "mysql://db/relay", "RELAY_STORE: must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"),
        ("RELAY_HOST", "\udcff", "RELAY_HOST: holds a control character or something that is not UTF-8"),
        (
            "RELAY_VAULT_KEYS",
            "x",
            "RELAY_VAULT_KEYS: is not a Fernet key; this makes one: "
            'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"',
        ),
    ],
)  # fmt: skip
def test_a_problem_names_the_variable(folder: Path, accept: Checks, variable: str, value: str, expected: str) -> None:
    (folder / "relay.yaml").write_text(FILE)
    assert lines({variable: value}, accept) == [expected]


def test_a_problem_names_the_flag(folder: Path, accept: Checks) -> None:
    (folder / "relay.yaml").write_text(FILE)
    expected = "--port: must be a whole number from 0 to 65535, not '-1'"
    assert lines({"RELAY_PORT": "x"}, accept, {"server.port": -1}) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a]", "relay.yaml:1: must be a mapping, not a list"),
        ("server: x", "relay.yaml:1: server: must be a mapping, not text"),
        ("server: {}\nserver: {}", "relay.yaml:2: server: is given twice, first on line 1"),
        ("server: {prot: 1}", "relay.yaml:1: server.prot: unknown key, did you mean 'port'?"),
    ],
)
def test_an_override_hides_no_problem_of_the_file(folder: Path, accept: Checks, text: str, expected: str) -> None:
    (folder / "relay.yaml").write_text(text)
    assert lines({"RELAY_PORT": "1"}, accept) == [expected]


def test_the_flag_names_the_file_before_the_variable_does(folder: Path, accept: Checks) -> None:
    for name in ("flag", "variable"):
        (folder / f"{name}.yaml").write_text(f"store: sqlite:///{name}.db")
    environ = {"RELAY_CONFIG": "variable.yaml", **SIDECAR}
    assert resolve(None, {}, environ, accept).settings.store == "sqlite:///variable.db"
    assert resolve(Path("flag.yaml"), {}, environ, accept).settings.store == "sqlite:///flag.db"
    assert lines({"RELAY_CONFIG": "none.yaml", **SIDECAR}, accept)[0].startswith("none.yaml: there is no such file: ")
    assert lines({"RELAY_CONFIG": ""}, accept)[0].startswith("relay.yaml: there is no such file: ")


def test_without_a_file(accept: Checks) -> None:
    environ = SIDECAR | {
        "RELAY_VERCEL_TEAM": "team_1a2b3c",
        "RELAY_PUBLIC_URL": "https://hooks.example.com",
        "RELAY_TOPICS": "arn:aws:sns:eu-west-1:123456789012:a, arn:aws:sns:eu-west-1:123456789012:b",
        "RELAY_BASES": "one=https://img.example.com/?a=b, two=/files/",
        "RELAY_PORT": "9000",
    }
    loaded = resolve(None, {"store": "sqlite:////data/relay.db"}, environ, accept)
    settings, source = loaded.settings, loaded.settings.sources["contentful"]
    assert loaded.file is None
    assert loaded.folder == Path()
    assert loaded.warnings == ()
    assert source.secrets == [Secret("a-fake-secret, with a comma")]
    assert source.topics == [f"arn:aws:sns:eu-west-1:123456789012:{name}" for name in "ab"]
    assert source.bases == {"one": "https://img.example.com/?a=b", "two": "/files/"}
    assert (settings.projects["default"].project, settings.projects["default"].team) == ("my-shop", "team_1a2b3c")
    assert settings.projects["default"].token == Secret(TOKEN)
    assert settings.public_url == "https://hooks.example.com"
    assert (settings.server.port, settings.store) == (9000, "sqlite:////data/relay.db")


def test_without_a_file_what_is_missing_is_named_by_its_variable(accept: Checks) -> None:
    checks = Checks(build_provider=needs_secret, compile_rules=accept.compile_rules, advise_source=accept.advise_source)
    assert set(lines({"RELAY_PROVIDER": "contentful", "RELAY_BASES": "a"}, checks)) == {
        "RELAY_VERCEL_PROJECT: is missing",
        "RELAY_VERCEL_TOKEN: is missing: set it, or RELAY_VAULT_KEYS and use `image-relay tokens set`",
        "RELAY_BASES: is empty: give a value or leave the key out",
    }
    assert set(lines({"RELAY_PROVIDER": "contentful"}, checks)) == {
        "RELAY_SECRET: give the signing secret here",
        "RELAY_VERCEL_PROJECT: is missing",
        "RELAY_VERCEL_TOKEN: is missing: set it, or RELAY_VAULT_KEYS and use `image-relay tokens set`",
    }


def test_without_a_file_the_token_may_be_a_stored_one(accept: Checks) -> None:
    environ = {key: value for key, value in SIDECAR.items() if key != "RELAY_VERCEL_TOKEN"}
    settings = resolve(None, {}, environ | {"RELAY_VAULT_KEYS": KEY}, accept).settings
    assert settings.projects["default"].token is None


def test_a_provider_that_is_no_name_gives_its_source_the_name_default(accept: Checks) -> None:
    settings = resolve(None, {}, SIDECAR | {"RELAY_PROVIDER": "No Name"}, accept).settings
    assert settings.sources["default"].provider == "No Name"


def test_the_file_wins_over_the_provider_and_says_so(folder: Path, accept: Checks) -> None:
    (folder / "relay.yaml").write_text(FILE)
    loaded = resolve(None, {}, SIDECAR, accept)
    assert loaded.settings.store == "sqlite:///file.db"
    assert loaded.warnings[0] == Problem("RELAY_PROVIDER", "is ignored: relay.yaml is there and describes the sources")
