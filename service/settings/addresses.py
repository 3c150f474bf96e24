"""URLs in the settings: the public address, Vercel's API, the store, the bases of buckets."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

_POSTGRES = ("postgresql://", "postgres://")
_SQLITE = "sqlite:///"


def http_url_problem(text: str) -> str | None:
    """Why `text` is no http or https URL to which a path can be added, None if it is one."""
    parts = _split(text)
    if parts is None:
        return "must be an http or https URL, such as https://hooks.example.com"
    if parts.username is not None or parts.password is not None:
        return "may not hold a user name or password"
    if "?" in text or "#" in text:
        return "may not have a query (?) or fragment (#)"
    return None


def api_url_problem(text: str) -> str | None:
    """As `http_url_problem`, and https unless the host is this machine: Vercel tokens are sent there."""
    if problem := http_url_problem(text):
        return problem
    parts = urlsplit(text)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        return "must be https: Vercel tokens are sent there (http is for localhost only)"
    return None


def base_url_problem(text: str) -> str | None:
    """Why `text` cannot be put before an object's key."""
    if text.startswith("/") and not text.startswith("//"):
        return None
    return None if _split(text) else "must be an http or https URL, or a path that begins with /"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_plain_http(text: str) -> bool:
    """Whether a valid URL goes over the network unencrypted."""
    parts = urlsplit(text)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def is_postgres(store: str) -> bool:
    """Whether the store is a PostgreSQL database; ValueError for a URL of one that names none."""
    if not store.startswith(_POSTGRES):
        return False
    if not urlsplit(store).path.strip("/"):
        raise ValueError("must name the database: postgresql://USER:PASSWORD@HOST/DATABASE")
    return True


def shown_store(store: str) -> str:
    """The store's URL without a password, to be shown."""
    parts = urlsplit(store)
    if not store.startswith(_POSTGRES) or not parts.password:
        return store
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.partition(':')[0]}:***@{host}").geturl()


def store_password(store: str) -> str | None:
    """The password in the store's URL, as it is spelled there."""
    return urlsplit(store).password if store.startswith(_POSTGRES) else None


def sqlite_path(store: str) -> Path:
    """The database file of `sqlite:///PATH` (a fourth slash makes PATH absolute); ValueError for any other store."""
    name = store.removeprefix(_SQLITE)
    if not store.startswith(_SQLITE) or not name or name.endswith("/"):
        raise ValueError("must be sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE")
    if name == ":memory:" or "?" in name or "#" in name:
        raise ValueError("must name a file: what is stored has to survive a restart (no :memory:, no ? and no #)")
    return Path(name)


def _split(text: str) -> SplitResult | None:
    """The parts of an http(s) URL with a host, None for anything else."""
    if not text.isascii() or any(character.isspace() for character in text):
        return None
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if valid else None
