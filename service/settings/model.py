"""The frozen shape of relay.yaml. Defaults live here and nowhere else; reading the file is `loader`'s work.

The descriptions end up in the JSON Schema, where an editor shows them while the file is being written.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from service.domain.purges import Action
from service.domain.secret import Secret

# A name is a part of the webhook's URL and of every command line: nothing in it needs escaping anywhere.
NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"

Name = Annotated[str, Meta(pattern=NAME)]
Seconds = Annotated[float, Meta(ge=0, le=86_400 * 366)]
Count = Annotated[int, Meta(ge=1)]
Days = Annotated[int, Meta(ge=1, le=3650)]


class Jwt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose signed bearer token lets in: with `email` it is Google's, with `tenant` Microsoft Entra's, else any."""

    audience: Annotated[str | None, Meta(description="The token's `aud`, exactly: what it was made for.")] = None
    issuer: Annotated[str | None, Meta(description="The token's `iss`, exactly; the presets know their own.")] = None
    email: Annotated[str | None, Meta(description="Google: the service account that sends, verified by Google.")] = None
    tenant: Annotated[str | None, Meta(description="Entra: the id (GUID) of the tenant that issues the token.")] = None
    app_id: Annotated[str | None, Meta(description="Entra: the id (GUID) of the application that sends.")] = None
    role: Annotated[str | None, Meta(description="Entra: the role that the application was given.")] = None
    jwks_url: Annotated[
        str | None, Meta(description="Where the issuer publishes its keys; elsewhere than the presets' only.")
    ] = None
    subject: Annotated[str | None, Meta(description="The token's `sub`, exactly.")] = None
    claims: Annotated[dict[str, str], Meta(description="More claims and the text that each must have.")] = field(
        default_factory=dict
    )
    algorithms: Annotated[
        list[Literal["RS256", "PS256", "ES256", "EdDSA"]], Meta(description="What may sign; RS256 if left out.")
    ] = field(default_factory=list)
    max_lifetime: Annotated[float, Meta(ge=60, description="Longest life of a token in seconds.")] = 86_400.0
    body_hash_claim: Annotated[
        str | None, Meta(description="The claim that holds the body's SHA-256, in hex or base64.")
    ] = None


class Auth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a source proves itself where its provider offers a choice: exactly one of these."""

    header: Annotated[str | None, Meta(description="Name of the request header that carries one of `secrets`.")] = None
    query: Annotated[str | None, Meta(description="Name of the query parameter that carries one of `secrets`.")] = None
    basic: Annotated[str | None, Meta(description="User name for HTTP Basic; the password is one of `secrets`.")] = None
    bearer: Annotated[Literal[True] | None, Meta(description="`Authorization: Bearer` with one of `secrets`.")] = None
    capability: Annotated[
        Literal[True] | None, Meta(description="A secret URL made by `image-relay url`, signed with the first secret.")
    ] = None
    jwt: Annotated[Jwt | None, Meta(description="`Authorization: Bearer` with a token that somebody signed.")] = None


class Hmac(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a sender of its own kind signs, for `provider: hmac`."""

    header: Annotated[str, Meta(description="Name of the request header that carries the signature.")]
    algorithm: Literal["sha1", "sha256", "sha384", "sha512"] = "sha256"
    prefix: Annotated[str, Meta(description="What stands before the signature, such as `sha256=`.")] = ""
    encoding: Literal["hex", "upper-hex", "base64", "base64url"] = "hex"
    signed: Annotated[
        str, Meta(description="What is signed: text with {body}, {timestamp}, {method}, {path}, {header:X-Name}.")
    ] = "{body}"
    timestamp_header: Annotated[str | None, Meta(description="Name of the request header that carries the time.")] = (
        None
    )
    timestamp_format: Annotated[
        Literal["s", "ms", "iso"], Meta(description="Unix seconds, Unix milliseconds or an ISO 8601 time in UTC.")
    ] = "s"
    key_encoding: Annotated[
        Literal["text", "hex", "base64"], Meta(description="How `secrets` spell the key's bytes.")
    ] = "text"


class Resolve(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the URLs of an asset are looked up at the sender's API, where its webhooks have an id alone."""

    preset: Annotated[
        Literal["contentful", "contentful-management", "datocms", "hygraph", "kontent-ai", "prismic", "storyblok"]
        | None,
        Meta(description="A known API, in place of `url` and `urls`."),
    ] = None
    region: Annotated[str | None, Meta(description="Where the sender keeps this account; some presets alone.")] = None
    endpoint: Annotated[str | None, Meta(description="The account's own API address; some presets alone.")] = None
    token: Annotated[Secret | None, Meta(description="API token, sent as the preset's API takes it.")] = None
    url: Annotated[
        str | None, Meta(description="Jinja template of the address to GET; each value in it is percent-encoded.")
    ] = None
    headers: Annotated[dict[str, Secret], Meta(description="Request headers; they are never stored.")] = field(
        default_factory=dict
    )
    urls: Annotated[
        str | None, Meta(description="JMESPath of the URLs in the answer; left out: every image URL in it.")
    ] = None


class Rule(Struct, frozen=True, kw_only=True):
    """One rule. Left out: `when` always holds, `src_images` is the URL, action and deadline are the default rule's."""

    name: Annotated[str | None, Meta(description="What listings and `explain` call this rule.")] = None
    when: Annotated[str | bool, Meta(description="A Jinja expression; the rule applies where it holds.")] = True
    src_images: Annotated[
        list[str], Meta(min_length=1, description="Jinja templates: the source images as your site names them.")
    ] = field(default_factory=lambda: ["{{ url }}"])
    action: Action = Action.DELETE
    revalidation_deadline_seconds: Annotated[
        Annotated[int, Meta(ge=0, le=31_536_000)] | None,
        Meta(description="How long Vercel may go on serving the old image while it fetches the new one; delete only."),
    ] = None
    settle: Annotated[Seconds | None, Meta(description="Overrides the source's `settle`.")] = None
    variants: Annotated[
        list[str], Meta(description="Other spellings of the URL that the rule is for too; the provider names them.")
    ] = field(default_factory=list)
    projects: Annotated[list[str] | None, Meta(description="Overrides the source's `projects`.")] = None
    stop: Annotated[bool, Meta(description="No later rule is tried when this one matched.")] = False


class Source(Struct, frozen=True, kw_only=True):
    """A sender: POST /hooks/{name}."""

    provider: Annotated[str, Meta(description="Who sends; `image-relay providers` lists them.")]
    secrets: Annotated[
        list[Secret], Meta(description="Signing secrets; any one verifies, so that they rotate with overlap.")
    ] = field(default_factory=list)
    public_keys: Annotated[
        list[Secret], Meta(description="PEM keys, certificates or a JWKS, in place of the vendor's published keys.")
    ] = field(default_factory=list)
    auth: Auth | None = None
    tolerance: Annotated[
        Annotated[float, Meta(ge=1, le=86_400 * 366)] | None,
        Meta(description="Seconds a signed time may be off, either way; else the provider's default."),
    ] = None
    settle: Annotated[Seconds, Meta(description="Seconds between the event and the purge.")] = 2.0
    projects: Annotated[
        list[str] | None, Meta(description="Names from the root's `projects`; may be left out while there is one.")
    ] = None
    rules: Annotated[
        Annotated[list[Rule], Meta(min_length=1)] | None, Meta(description="Left out: the default rule.")
    ] = None
    topics: Annotated[list[str], Meta(description="Topic ARNs that may speak.")] = field(default_factory=list)
    bases: Annotated[dict[str, str], Meta(description="Bucket to base URL: makes URLs of object keys.")] = field(
        default_factory=dict
    )
    key_encoding: Annotated[
        Literal["verbatim", "url", "form"] | None, Meta(description="How object keys are encoded by the sender.")
    ] = None
    signature_algorithm: Annotated[Literal["sha1", "sha256"] | None, Meta(description="Digest of the signature.")] = (
        None
    )
    emulator: Annotated[str | None, Meta(description="Base URL of a local emulator; never for production.")] = None
    project_id: Annotated[str | None, Meta(description="The sender's own project id.")] = None
    dataset: Annotated[str | None, Meta(description="The sender's dataset.")] = None
    cdn_host: Annotated[str | None, Meta(description="Host name the site loads images from.")] = None
    cloud_name: Annotated[str | None, Meta(description="The sender's cloud name.")] = None
    hmac: Annotated[Hmac | None, Meta(description="How the sender signs; `provider: hmac` alone.")] = None
    registered_url: Annotated[
        str | None, Meta(description="This webhook's URL exactly as the sender has it, for schemes that sign it.")
    ] = None
    region: Annotated[str | None, Meta(description="Where the sender keeps this account.")] = None
    resolve: Annotated[Resolve | None, Meta(description="Looks up URLs where webhooks have an id alone.")] = None
    allowed_origins: Annotated[
        list[str], Meta(description="Host names whose senders may ask with OPTIONS whether to send here.")
    ] = field(default_factory=list)
    covered: Annotated[
        list[str], Meta(description="What a signature must cover, in place of the body's digest and the path.")
    ] = field(default_factory=list)
    unverified: Annotated[
        Literal[True] | None, Meta(description="Take whatever anybody sends: only behind something that verifies.")
    ] = None
    quota: Annotated[
        str | None, Meta(description="Most requests taken, such as 600/minute; more are answered 429.")
    ] = None


class Project(Struct, frozen=True, kw_only=True):
    """A Vercel project purges go to."""

    project: Annotated[str, Meta(description="Id or name of the Vercel project.")]
    team: Annotated[str | None, Meta(description="Team id (team_…) or slug.")] = None
    token: Annotated[
        Secret | None, Meta(description="Vercel token; left out: the one stored with `image-relay tokens set`.")
    ] = None
    max_src_image_bytes: Annotated[
        int, Meta(ge=1, le=8192, description="Longest source image in bytes of UTF-8 that is sent to Vercel.")
    ] = 1013
    concurrency: Annotated[int, Meta(ge=1, le=32, description="Most calls to Vercel at a time.")] = 4


class Vault(Struct, frozen=True, kw_only=True):
    """Fernet keys for stored tokens: the first encrypts, every one decrypts."""

    keys: list[Secret] = field(default_factory=list)


class Admin(Struct, frozen=True, kw_only=True):
    """Dashboard and admin API; absent: off."""

    password: Secret


class Limits(Struct, frozen=True, kw_only=True):
    """What one request may cost."""

    body_bytes: Annotated[int, Meta(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    body_seconds: Annotated[float, Meta(ge=1, le=3600)] = 15.0
    events_per_request: Count = 5000
    urls_per_asset: Count = 32


class Dispatch(Struct, frozen=True, kw_only=True):
    """How purges are sent. Durations in seconds."""

    max_age: Annotated[float, Meta(ge=60, le=86_400 * 366)] = 72 * 3600.0
    concurrency: Annotated[int, Meta(ge=1, le=256)] = 16
    probe_every: Annotated[float, Meta(ge=1, le=86_400)] = 300.0
    timeout: Annotated[float, Meta(ge=1, le=120)] = 20.0


class Retention(Struct, frozen=True, kw_only=True):
    """How long finished work stays to be looked at, in days; refused requests are kept by count."""

    receipts: Days = 30
    purges: Days = 30
    dead: Days = 365
    refused: Count = 1000


class Server(Struct, frozen=True, kw_only=True):
    """Where the service listens and how it logs."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    uds: Annotated[str | None, Meta(description="Path of a Unix socket, in place of host and port.")] = None
    log: Annotated[
        Literal["console", "json"] | None, Meta(description="Left out: console on a terminal, else JSON.")
    ] = None


class Settings(Struct, frozen=True, kw_only=True):
    """The whole file."""

    public_url: Annotated[
        str | None, Meta(description="The relay's address as senders see it; some schemes sign path or URL.")
    ] = None
    store: Annotated[str, Meta(description="sqlite:///PATH, relative to the working directory, or postgresql://….")] = (
        "sqlite:///relay.db"
    )
    vercel_api: Annotated[str, Meta(description="Where Vercel's API is; http only on loopback.")] = (
        "https://api.vercel.com"
    )
    vault: Vault = field(default_factory=Vault)
    admin: Admin | None = None
    projects: Annotated[dict[Name, Project], Meta(description="Where purges go: Vercel projects, by your name.")] = (
        field(default_factory=dict)
    )
    sources: Annotated[dict[Name, Source], Meta(description="Where webhooks come from: POST /hooks/{name}.")] = field(
        default_factory=dict
    )
    limits: Limits = field(default_factory=Limits)
    dispatch: Dispatch = field(default_factory=Dispatch)
    retention: Retention = field(default_factory=Retention)
    server: Server = field(default_factory=Server)

    def projects_of(self, source: Source) -> list[str]:
        """The project names a source feeds: its own list, else the only project there is."""
        return list(source.projects) if source.projects is not None else list(self.projects)
