"""Lines as an operator gets them, with no secret in any."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import leaks

from service.domain.log import log
from service.domain.secret import Secret
from service.observability import logs
from service.observability.logs import Style, configure, redact
from service.settings.model import Admin, Project, Settings, Source, Vault

PEM = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHfakefakefake\nfakelinetwo==\n-----END PUBLIC KEY-----\n"
SETTINGS = Settings(
    admin=Admin(password=Secret("fake-password")),
    vault=Vault(keys=[Secret("fake-vault-key")]),
    projects={"shop": Project(project="my-shop", token=Secret('fake"token\\ü'))},
    sources={"cms": Source(provider="sanity", secrets=[Secret("fake-s"), Secret("tiny")], public_keys=[Secret(PEM)])},
)


class Stream(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


Start = Callable[..., Stream]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Configures logging on a stream of the test's own, and puts everything back."""
    root = logging.getLogger()
    sink = log.sink
    before = (root.handlers[:], root.level, {name: logging.getLogger(name).level for name in logs._QUIET})
    monkeypatch.setattr(logs, "_blotter", logs._Blotter())

    def started(style: Style | None = None, level: str = "INFO", *, terminal: bool = False) -> Stream:
        stream = Stream(terminal=terminal)
        monkeypatch.setattr(sys, "stderr", stream)
        configure(style, level)
        return stream

    yield started
    log.sink = sink
    root.handlers[:], root.level = before[0], before[1]
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)


def fail(message: str) -> None:
    raise ValueError(message)


def fail_on(local: str) -> None:
    fail(str(len(local)))


def parsed(stream: Stream) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_of_json(start: Start) -> None:
    stream = start("json")
    log.info("purge.sent", images=8, reason=None, project="shöp", odd={"a": Secret("x")})
    (line,) = parsed(stream)
    assert list(line)[:3] == ["time", "level", "event"]
    moment = line.pop("time")
    assert moment.endswith("Z")
    assert "T" in moment
    assert line == {
        "level": "info",
        "event": "purge.sent",
        "images": 8,
        "reason": None,
        "project": "shöp",
        "odd": {"a": "Secret('***')"},
    }


@pytest.mark.parametrize(
    ("style", "terminal", "is_json", "is_coloured"),
    [
        (None, False, True, False),
        (None, True, False, True),
        ("json", True, True, False),
        ("console", False, False, False),
        ("console", True, False, True),
    ],
)
def test_the_style(start: Start, style: Style | None, terminal: bool, is_json: bool, is_coloured: bool) -> None:
    stream = start(style, terminal=terminal)
    log.info("purge.sent", images=8)
    text = stream.getvalue()
    assert text.startswith("{") is is_json
    assert ("\x1b[" in text) is is_coloured
    assert "purge.sent" in text


@pytest.mark.parametrize("style", ["json", "console"])
def test_the_standard_library_speaks_the_same_way(start: Start, style: Style) -> None:
    stream = start(style)
    logging.getLogger("uvicorn.error").warning("Invalid %s received.", "request")
    logging.getLogger("uvicorn.access").info("GET /hooks/cms")
    logging.getLogger("httpx").info("HTTP Request: GET https://sns.example/?Token=1")
    logging.getLogger("uvicorn.error").debug("nothing")
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "Invalid request received." in text
    assert "uvicorn.error" in text
    if style == "json":
        (line,) = parsed(stream)
        assert list(line)[:3] == ["time", "level", "event"]
        assert line["logger"] == "uvicorn.error"


@pytest.mark.parametrize(("level", "told"), [("debug", 2), ("INFO", 1), ("error", 0)])
def test_the_level(start: Start, level: str, told: int) -> None:
    stream = start("json", level)
    log.debug("a")
    log.info("b")
    assert len(parsed(stream)) == told


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_shows_no_local_variable(start: Start, style: Style) -> None:
    stream = start(style)
    try:
        fail_on(13 * "local-value")
    except ValueError:
        log.exception("webhook.failed")
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    text = stream.getvalue()
    assert text.count("Traceback (most recent call last)") == 2
    assert text.count("ValueError: 143") == 2
    assert 2 * "local-value" not in text  # in full it would never be there: long values are cut
    if style == "json":
        assert text.count("\n") == 2


HIDDEN = ["fake-password", "fake-vault-key", 'fake"token\\ü', "fake-s", "MFkwEwYHfakefakefake", "fakelinetwo=="]


@pytest.mark.parametrize("style", ["json", "console"])
def test_no_secret_of_the_settings_gets_out(start: Start, style: Style) -> None:
    stream = start(style)
    redact(SETTINGS)
    for secret in [*HIDDEN, PEM]:
        log.info(secret, text=f"is {secret}.", nested={"deep": [secret]}, **{"key-" + secret: 1})
        logging.getLogger("uvicorn.error").warning("%s", secret)
        try:
            fail(secret)
        except ValueError:
            log.exception("failed")
    text = stream.getvalue()
    for secret in HIDDEN:
        for spelled in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
            assert spelled not in text
    assert "***" in text
    if style == "json":
        assert len(parsed(stream)) == 3 * (len(HIDDEN) + 1)


def test_the_password_of_the_database_does_not_get_out_either(start: Start) -> None:
    stream = start("json")
    redact(Settings(store="postgresql://relay:fake-database-password@db/relay"))
    log.info("failed", url="postgresql://relay:fake-database-password@db/relay")
    assert "fake-database-password" not in stream.getvalue()
    assert "postgresql://relay:***@db/relay" in stream.getvalue()


def test_a_short_secret_would_take_words_apart(start: Start) -> None:
    stream = start("json")
    redact(SETTINGS)
    log.info("a destiny", word="tiny")
    assert parsed(stream)[0]["word"] == "tiny"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Authorization: Bearer vcp_fakefakefake.~+/=", "Authorization: ***"),
        ("bearer  abcdef", "***"),
        ("the bearer of it", "the bearer of it"),
        ("a forbearer abcdef", "a forbearer abcdef"),
    ],
)
def test_bearer_tokens_are_blotted_out_whoever_they_belong_to(start: Start, text: str, told: str) -> None:
    stream = start("json")
    log.info("x", text=text)
    assert parsed(stream)[0]["text"] == told


@pytest.mark.parametrize("style", ["json", "console"])
def test_what_a_sender_wrote_forges_no_line(start: Start, style: Style) -> None:
    stream = start(style)
    log.info("webhook.received", detail="a\nforged line\r\x1b[2J\x00\u2028")
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert not {"\r", "\x1b", "\x00"} & set(text)


class Counted(Stream):
    def __init__(self) -> None:
        super().__init__(terminal=False)
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


async def test_the_lines_of_one_turn_of_the_loop_are_written_together(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    stream = Counted()
    monkeypatch.setattr(sys, "stderr", stream)
    configure("json")
    for number in range(3):
        log.info("seen", number=number)
    logging.getLogger("elsewhere").warning("told")
    assert stream.writes == 0
    await asyncio.sleep(0)
    assert stream.writes == 1
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["seen"] * 3 + ["told"]
    log.info("next")
    await asyncio.sleep(0)
    assert stream.writes == 2


async def test_of_lines_that_are_written_together_each_is_cleaned_by_itself(start: Start) -> None:
    stream = start("console")
    logs._blotter.add([Secret("fake-secret-of-a-source")])
    for text in ("fake-secret-of-a-source", "plain", "bearer"):  # and what begins the next line is no token
        log.info("seen", text=text)
    log.info("last")
    await asyncio.sleep(0)
    lines = stream.getvalue().splitlines()
    assert ["***" in line for line in lines] == [True, False, False, False]
    assert lines[2].endswith("text=bearer")
    assert len(lines) == 4


def test_a_line_that_waited_for_a_loop_that_ended_comes_with_the_next(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = start("json")
    loop = asyncio.new_event_loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    log.info("waited")
    loop.close()
    monkeypatch.undo()
    assert stream.getvalue() == ""
    log.info("next")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["waited", "next"]


def test_a_stream_that_is_gone_stops_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = start("json")

    def gone(text: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(stream, "write", gone)
    log.info("lost")


def test_a_secret_in_any_output_of_the_tests_is_found() -> None:
    given = {
        "VERCEL_TOKEN": "vcp_of-this-test",
        "RELAY_VAULT_KEYS": "fake-key-one,fake-key-two",
        "RELAY_PORT": "80808080",
    }
    for text in ("it is vcp_of-this-test", "fake-key-two", "vcp_fakefakefake0123456789", "8080808 and nothing else"):
        leaks.search(text, leaks.secrets_in(given), "image-relay serve")
    assert [one.split("'")[1] for one in leaks.taken()] == [
        "vcp_of-this-test",
        "fake-key-two",
        "vcp_fakefakefake0123456789",
    ]
