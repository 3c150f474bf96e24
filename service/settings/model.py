"""The frozen shape of relay.yaml. Defaults live here and nowhere else; reading the file is `loader`'s work."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from service.domain.purges import Action
from service.domain.secret import Secret

Seconds = Annotated[float, Meta(ge=0, le=86_400 * 366)]
Count = Annotated[int, Meta(ge=1)]


class Auth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a source proves itself where its provider offers a choice: exactly one of these."""

    header: str | None = None
    query: str | None = None
    basic: str | None = None
    bearer: Literal[True] | None = None
    capability: Literal[True] | None = None


class Rule(Struct, frozen=True, kw_only=True):
    """One rule. Left out: `when` always holds, `src_images` is the URL, `action` and deadline are the default rule's."""

    name: str | None = None
    when: str | bool = True
    src_images: Annotated[list[str], Meta(min_length=1)] = field(default_factory=lambda: ["{{ url }}"])
    action: Action = Action.DELETE
    revalidation_deadline_seconds: Annotated[int, Meta(ge=0, le=31_536_000)] | None = None
    settle: Seconds | None = None
    projects: list[str] | None = None
    stop: bool = False


class Source(Struct, frozen=True, kw_only=True):
    """A sender: POST /hooks/{name}."""

    provider: str
    secrets: list[Secret] = field(default_factory=list)
    public_keys: list[Secret] = field(default_factory=list)
    auth: Auth | None = None
    tolerance: Seconds | None = None
    settle: Seconds = 2.0
    projects: list[str] | None = None
    rules: list[Rule] | None = None
    topics: list[str] = field(default_factory=list)
    bases: dict[str, str] = field(default_factory=dict)
    key_encoding: Literal["verbatim", "url", "form"] | None = None
    signature_algorithm: Literal["sha1", "sha256"] | None = None
    emulator: str | None = None
    project_id: str | None = None
    dataset: str | None = None
    cdn_host: str | None = None
    cloud_name: str | None = None
    quota: str | None = None


class Project(Struct, frozen=True, kw_only=True):
    """A Vercel project purges go to."""

    project: str
    team: str | None = None
    token: Secret | None = None
    max_src_image_bytes: Annotated[int, Meta(ge=1, le=8192)] = 1013
    concurrency: Annotated[int, Meta(ge=1, le=32)] = 4


class Vault(Struct, frozen=True, kw_only=True):
    """Fernet keys for stored tokens: the first encrypts, every one decrypts."""

    keys: list[Secret] = field(default_factory=list)


class Admin(Struct, frozen=True, kw_only=True):
    """Dashboard and admin API; absent: off."""

    password: Secret


class Limits(Struct, frozen=True, kw_only=True):
    """What one request may cost."""

    body_bytes: Annotated[int, Meta(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    body_seconds: Seconds = 15.0
    events_per_request: Count = 5000
    urls_per_asset: Count = 32


class Dispatch(Struct, frozen=True, kw_only=True):
    """How purges are sent. Durations in seconds."""

    max_age: Seconds = 72 * 3600.0
    concurrency: Annotated[int, Meta(ge=1, le=256)] = 16
    probe_every: Seconds = 300.0
    timeout: Annotated[float, Meta(gt=0, le=120)] = 20.0


class Retention(Struct, frozen=True, kw_only=True):
    """How long finished work stays to be looked at, in days; refused requests are kept by count."""

    receipts: Count = 30
    purges: Count = 30
    dead: Count = 365
    refused: Count = 1000


class Server(Struct, frozen=True, kw_only=True):
    """Where the service listens and how it logs."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    uds: str | None = None
    log: Literal["console", "json"] | None = None


class Settings(Struct, frozen=True, kw_only=True):
    """The whole file."""

    public_url: str | None = None
    store: str = "sqlite:///relay.db"
    vercel_api: str = "https://api.vercel.com"
    vault: Vault = field(default_factory=Vault)
    admin: Admin | None = None
    projects: dict[str, Project] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    dispatch: Dispatch = field(default_factory=Dispatch)
    retention: Retention = field(default_factory=Retention)
    server: Server = field(default_factory=Server)

    def projects_of(self, source: Source) -> list[str]:
        """The project names a source feeds: its own list, else the only project there is."""
        return list(source.projects) if source.projects is not None else list(self.projects)


