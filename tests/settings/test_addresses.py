from __future__ import annotations

from pathlib import Path

import pytest

from service.settings.addresses import (
    api_url_problem,
    base_url_problem,
    is_loopback,
    is_plain_http,
    is_postgres,
    shown_store,
    sqlite_path,
    store_password,
)


@pytest.mark.parametrize(
    ("store", "path"),
    [
        ("sqlite:///relay.db", "relay.db"),
        ("sqlite:///data/relay.db", "data/relay.db"),
        ("sqlite:////var/lib/relay/relay.db", "/var/lib/relay/relay.db"),
    ],
)
def test_the_database_file(store: str, path: str) -> None:
    assert sqlite_path(store) == Path(path)


@pytest.mark.parametrize(
    ("store", "shown", "password"),
    [
        (
            "postgresql://u:hunter2@db:5432/relay?sslmode=require",
            "postgresql://u:***@db:5432/relay?sslmode=require",
            "hunter2",
        ),
        ("postgres://u:p%40ss@[::1]/relay", "postgres://u:***@[::1]/relay", "p%40ss"),
        ("postgresql://u@db/relay", "postgresql://u@db/relay", None),
        ("postgresql:///relay?host=/run/postgresql", "postgresql:///relay?host=/run/postgresql", None),
    ],
)
def test_a_database_s_password_is_not_shown(store: str, shown: str, password: str | None) -> None:
    assert is_postgres(store)
    assert (shown_store(store), store_password(store)) == (shown, password)


def test_what_is_no_postgresql_database() -> None:
    assert not is_postgres("sqlite:///relay.db")
    assert (shown_store("sqlite:///relay.db"), store_password("sqlite:///relay.db")) == ("sqlite:///relay.db", None)
    with pytest.raises(ValueError, match="must name the database"):
        is_postgres("postgresql://u:hunter2@db")


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("", "must be sqlite:///PATH"),
        ("sqlite:", "must be sqlite:///PATH"),
        ("sqlite://host/relay.db", "must be sqlite:///PATH"),
        ("sqlite:////var/lib/", "must be sqlite:///PATH"),
        ("mysql://db", "must be sqlite:///PATH"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///relay.db?mode=memory", "must name a file"),
        ("postgresql:u:hunter2@db/relay", "must be sqlite:///PATH"),
    ],
)
def test_no_database_file(store: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        sqlite_path(store)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://api.vercel.com", True),
        ("https://gateway.example.com:8443/vercel/", True),
        ("http://localhost:9000", True),
        ("http://127.8.8.8:9000", True),
        ("http://[::1]:9000", True),
        ("http://localhost.example.com", False),
        ("http://10.0.0.1", False),
        ("https://user@api.vercel.com", False),
        ("https://:pw@api.vercel.com", False),
        ("https://api.vercel.com?", False),
        ("https://api.vercel.com#", False),
        ("https://", False),
        ("https://api.vercel.com:0", False),
        ("https://bücher.example", False),
        ("//api.vercel.com", False),
    ],
)
def test_where_tokens_may_be_sent(url: str, fine: bool) -> None:
    assert (api_url_problem(url) is None) is fine


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://img.example.com/", True),
        ("https://img.example.com/a?tr=w-1", True),
        ("/", True),
        ("/files/", True),
        ("//img.example.com/", False),
        ("img.example.com", False),
        ("s3://bucket/", False),
    ],
)
def test_the_base_of_a_bucket(url: str, fine: bool) -> None:
    assert (base_url_problem(url) is None) is fine


def test_loopback() -> None:
    hosts = ("localhost", "a.localhost", "::1", "127.0.0.1", "0.0.0.0", "")  # noqa: S104 - judged, not bound
    assert [is_loopback(host) for host in hosts] == [True, True, True, True, False, False]
    assert [is_plain_http(url) for url in ("http://a.example", "http://localhost", "https://a.example")] == [
        True, False, False,
    ]  # fmt: skip
