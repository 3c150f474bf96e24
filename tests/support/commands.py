"""The command line in this process: a folder with a relay.yaml, commands run in it, and a store to look at."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from click.testing import CliRunner

from service.cli import cli
from service.domain.errors import Refused
from service.domain.requests import RawRequest
from service.ingest.pipeline import Pipeline, build_pipelines, table_reader
from service.ingest.ports import Stored
from service.settings.loader import Loaded
from service.store import open_store
from service.store.engine import Engine
from service.store.inbox import Inbox
from support import leaks
from support.stored import accept

T = TypeVar("T")

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
VAULT_KEY = "ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2UtZmE="
OTHER_KEY = "b3RoZXItZmFrZS1vdGhlci1mYWtlLW90aGVyLWZha2U="
SECRET = "whsec_ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2U="
TOKEN = "vcp_fakefakefake0123456789"

CONFIG = f"""\
store: sqlite:///relay.db
vault: {{keys: [{VAULT_KEY}]}}
projects:
  shop: {{project: my-shop, token: {TOKEN}}}
  blog: {{project: my-blog, team: team_1a2b3c}}
sources:
  hook:
    provider: standard-webhooks
    secrets: [{SECRET}]
    projects: [shop]
    settle: 0
    rules:
      - name: products
        when: '"/products/" in url'
        src_images: ["{{{{ url }}}}", "{{{{ url | site_path }}}}"]
"""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Relay:
    """A folder with a relay.yaml; commands run there with an environment of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "relay.yaml"
        self.environ: dict[str, str] = {}

    def write(self, text: str = CONFIG, *, public_url: str | None = None, api: str | None = None) -> None:
        head = f"public_url: {public_url}\n" if public_url else ""
        self.config.write_text(head + (f"vercel_api: {api}\n" if api else "") + textwrap.dedent(text))

    def run(
        self, *arguments: object, stdin: str | bytes | None = None, environ: Mapping[str, str] | None = None
    ) -> Done:
        result = CliRunner().invoke(
            cli,
            [str(one) for one in arguments],
            input=stdin,
            env={**self.environ, **(environ or {})},
            prog_name="image-relay",
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        secrets = leaks.secrets_in({**self.environ, **(environ or {})})
        leaks.search(result.output, secrets, f"image-relay {' '.join(map(str, arguments))}")
        return Done(result.exit_code, result.stdout, result.stderr)

    def fails(self, *arguments: object, code: int = 1, stdin: str | bytes | None = None) -> str:
        """The one line in which a command says what went wrong."""
        done = self.run(*arguments, stdin=stdin)
        assert done.code == code, done
        assert done.err.startswith("Error: "), done.err
        assert done.err.count("\n") == 1, done.err
        return done.err.removeprefix("Error: ").rstrip("\n")

    def loaded(self) -> Loaded:
        from service.cli.configuration import load_settings

        return load_settings(self.config)

    def pipelines(self) -> dict[str, Pipeline]:
        loaded = self.loaded()
        return build_pipelines(loaded.settings, table_reader(loaded.folder))

    def store(self, work: Callable[[Engine], Awaitable[T]]) -> T:
        """Do something in the store, which is made where there is none."""

        async def run() -> T:
            engine = await open_store(f"sqlite:///{self.folder}/relay.db")
            try:
                return await work(engine)
            finally:
                await engine.close()

        return asyncio.run(run())

    def signed(self, url: str, source: str = "hook", kind: str = "asset.replaced", at: datetime = NOW) -> RawRequest:
        """A webhook about one image, as its sender signs it."""
        from service.providers.base import Sample

        body = json.dumps({"type": kind, "data": {"id": url.rpartition("/")[2], "url": url}}).encode()
        return self.pipelines()[source].provider.sign(Sample(body), f"/hooks/{source}", at)

    def take(self, request: RawRequest, source: str = "hook", at: datetime = NOW) -> Stored:
        """Takes a webhook in as the service does."""
        pipeline = self.pipelines()[source]
        verified = pipeline.verify(request, at)
        notification = pipeline.read(verified)
        receipt = pipeline.receipt(request, verified, notification)
        planner = pipeline.planner(notification, verified)
        return self.store(lambda engine: accept(Inbox(engine), receipt, notification.events, planner))

    def refuse(self, request: RawRequest, source: str = "hook", at: datetime = NOW) -> str:
        """Keeps a request that was refused; its receipt's id."""
        receipt = self.pipelines()[source].refused(request, Refused("signature_mismatch"), at)
        self.store(lambda engine: Inbox(engine).keep(receipt, 100))
        return receipt.id
