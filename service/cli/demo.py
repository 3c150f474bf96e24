"""`image-relay demo`: the whole job on this machine, with a fake Vercel on the far side.

Nothing is pretended: the relay is a process of its own, every webhook is signed as its vendor signs and goes through
HTTP, what is shown of a receipt is read from the store, and what Vercel got is what the fake recorded.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import httpx
from msgspec import Struct

from service.cli.configuration import load_settings
from service.domain.clock import system_clock
from service.domain.errors import CommandFailed
from service.domain.receipts import Receipt
from service.domain.requests import RawRequest
from service.ingest.pipeline import Pipeline, build_pipelines, table_reader
from service.providers.base import Sample
from service.settings.loader import Loaded
from service.store import open_store
from service.store.inbox import Inbox

TOPIC = "arn:aws:sns:eu-west-1:123456789012:pictures"
_SECONDS = 20.0  # that a step may take before the demo calls it failed

_CONFIG = """\
# Written by `image-relay demo`: five senders, one project, a Vercel that is a fake on this machine.
store: sqlite:///{folder}/relay.db
vercel_api: {vercel}

projects:
  shop: {{project: my-shop, token: {token}}}

sources:
  contentful:
    provider: contentful
    secrets: [{contentful}]
    settle: 0
  cloudinary:
    provider: cloudinary
    secrets: [{cloudinary}]
    settle: 0
    rules:
      - name: every way a site writes a Cloudinary URL
        when: asset.kind != "created"
        src_images: ["{{{{ url | cloudinary_variants }}}}"]
  sanity:
    provider: sanity
    secrets: [{sanity}]
    settle: 0
  webhooks:
    provider: standard-webhooks
    secrets: [{webhooks}]
    settle: 0
  bucket:
    provider: aws-sns
    topics: ["{topic}"]
    public_keys: [{{file: {folder}/sns-public.pem}}]
    bases: {{my-bucket: "https://img.example.com/"}}
    settle: 0
"""


@click.command()
@click.option("--once", is_flag=True, help="End after the last step, with exit 0 if every one happened.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the relay; 0 takes a free one.")
def command(once: bool, port: int) -> None:
    """Show the whole job on this machine."""
    with tempfile.TemporaryDirectory(prefix="image-relay-demo-") as name, ExitStack() as stack:
        folder = Path(name)
        vercel = stack.enter_context(_process("fake-vercel", "--port", "0"))
        keys = _write_config(folder, vercel.address)
        config = folder / "relay.yaml"
        relay = stack.enter_context(_process("serve", "--config", str(config), "--port", str(port)))
        demo = _Demo(load_settings(config, {}), relay.address, vercel.address, keys)
        demo.run()
        if not once:
            _stay(config, relay, vercel)


class _Started(Struct, frozen=True):
    address: str
    process: subprocess.Popen[str]


@contextmanager
def _process(*arguments: str) -> Iterator[_Started]:
    """Another `image-relay` command, up and listening; its log is kept for the case that it is not."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", "service", *arguments],
            env=environ | {"RELAY_LOG": "json"},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C ends the demo, which then ends these in order
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if "listening on " not in line:
                log.seek(0)
                raise CommandFailed(f"`image-relay {arguments[0]}` did not start: {line}{log.read().strip()}")
            yield _Started(line.partition("listening on ")[2].strip(), process)
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(12)
            process.kill()


def _write_config(folder: Path, vercel: str) -> bytes:
    """relay.yaml with fresh secrets; gives the private key that signs as Amazon SNS would."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "sns-public.pem").write_bytes(public)
    text = _CONFIG.format(
        folder=folder,
        vercel=vercel,
        topic=TOPIC,
        token="vcp_" + secrets.token_hex(20),
        contentful=secrets.token_hex(32),
        cloudinary=secrets.token_urlsafe(20),
        sanity=secrets.token_urlsafe(32),
        webhooks="whsec_" + secrets.token_hex(24) + "==",
    )
    config = folder / "relay.yaml"
    config.write_text(text)
    config.chmod(0o600)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class _Demo:
    """The steps, each of which has to happen."""

    def __init__(self, loaded: Loaded, relay: str, vercel: str, sns_key: bytes) -> None:
        self._loaded = loaded
        self._relay = relay
        self._vercel = vercel
        self._sns_key = sns_key
        self._pipelines = build_pipelines(loaded.settings, table_reader(loaded.folder))
        self._calls_shown = 0

    def run(self) -> None:
        """Raises CommandFailed at the first step that did not happen."""
        click.echo(f"The relay listens on {self._relay}, a fake Vercel on {self._vercel}.\n")
        now = system_clock()
        for number, pipeline in enumerate(self._pipelines.values(), 1):
            event, sample = next(iter(type(pipeline.provider).samples(now).items()))
            click.secho(f"{number}. {pipeline.provider.info.title}: {event}", bold=True)
            self._send_and_show(pipeline, sample, now)
        self._replace(self._pipelines["contentful"], now)
        self._forge(self._pipelines["contentful"], now)
        click.secho("\nEvery step happened.", fg="green")

    def _send_and_show(self, pipeline: Pipeline, sample: Sample, now: datetime) -> list[str]:
        request = self._signed(pipeline, sample, now)
        answer = self._post(request)
        self._expect(answer.status_code == 200, f"the relay answered {answer.status_code} {answer.text}")
        document = answer.json()
        click.echo(f"   webhook  POST {request.path} → {answer.status_code} {json.dumps(document)}")
        self._expect(document["status"] == "accepted", f"the receipt is {document['status']}, not accepted")
        receipt = asyncio.run(self._receipt(document["receipt"]))
        images = self._show_rules(receipt)
        self._show_calls(images)
        return images

    def _signed(self, pipeline: Pipeline, sample: Sample, now: datetime) -> RawRequest:
        key = self._sns_key if pipeline.name == "bucket" else None
        return pipeline.provider.sign(sample, f"/hooks/{pipeline.name}", now, key)

    def _post(self, request: RawRequest) -> httpx.Response:
        return httpx.post(self._relay + request.path, content=request.body, headers=list(request.headers), timeout=20)

    async def _receipt(self, receipt_id: str) -> Receipt:
        engine = await open_store(self._loaded.settings.store)
        try:
            receipt = await Inbox(engine).get(receipt_id)
        finally:
            await engine.close()
        self._expect(receipt is not None, f"the store has no receipt {receipt_id}")
        assert receipt is not None
        return receipt

    def _show_rules(self, receipt: Receipt) -> list[str]:
        """Shows which rule matched and why; the source images it made."""
        images: list[str] = []
        for event in receipt.trace:
            click.echo(f"   event    {event['event']['kind']} {event['event']['id']}")
            for rule in event["rules"]:
                if rule["matched"]:
                    click.echo(f"   rule     {rule['rule']}: {rule['why']}")
                    images += [image["src_image"] for image in rule["images"]]
        self._expect(bool(images), "no rule gave a source image")
        return images

    def _show_calls(self, images: Sequence[str]) -> None:
        """Waits until Vercel was asked for every image since the last step, and shows those calls."""
        deadline = time.monotonic() + _SECONDS
        while True:
            calls = [call for call in self._calls()[self._calls_shown :] if call["status"] == 200]
            asked = {image for call in calls for image in call["body"]["srcImages"]}
            if asked.issuperset(images):
                break
            self._expect(time.monotonic() < deadline, f"Vercel was not asked for {sorted(set(images) - asked)}")
            time.sleep(0.05)
        for call in calls:
            click.echo(f"   Vercel   {call['method']} {call['path']}?{call['raw_query']} → {call['status']}")
            click.echo(f"            {json.dumps(call['body'])}")
        self._calls_shown += len(calls)

    def _calls(self) -> list[Mapping[str, Any]]:
        calls: list[Mapping[str, Any]] = httpx.get(f"{self._vercel}/_calls", timeout=20).json()["calls"]
        return calls

    def _replace(self, pipeline: Pipeline, now: datetime) -> None:
        """The same Contentful asset once more, with a new file: its URL changes, and the old one is purged too."""
        click.secho(f"{len(self._pipelines) + 1}. The file is replaced, and with it the asset's URL", bold=True)
        old = self._urls(pipeline, now)
        later = now + timedelta(seconds=1)
        new = self._urls(pipeline, later)
        self._expect(old.isdisjoint(new), "the sample's URL did not change")
        images = self._send_and_show(pipeline, self._first_sample(pipeline, later), later)
        self._expect(old <= set(images), f"the old URL {sorted(old)} was not purged")
        for url in sorted(old):
            click.echo(f"   the old URL went too: {url}")

    def _urls(self, pipeline: Pipeline, now: datetime) -> set[str]:
        """The URLs that a sample of this time tells of."""
        request = self._signed(pipeline, self._first_sample(pipeline, now), now)
        notification = pipeline.read(pipeline.verify(request, now))
        return {url for event in notification.events for url in event.urls}

    def _first_sample(self, pipeline: Pipeline, now: datetime) -> Sample:
        return next(iter(type(pipeline.provider).samples(now).values()))

    def _forge(self, pipeline: Pipeline, now: datetime) -> None:
        """One byte of a signed body is changed on the way."""
        click.secho(f"{len(self._pipelines) + 2}. A forged webhook", bold=True)
        request = self._signed(pipeline, self._first_sample(pipeline, now), now)
        forged = RawRequest.of("POST", request.path, request.headers, request.body.replace(b"hero", b"nero"))
        answer = self._post(forged)
        click.echo(f"   webhook  POST {forged.path} → {answer.status_code} {answer.text}")
        self._expect(answer.status_code == 401, "the forged webhook was not refused")

    def _expect(self, happened: bool, otherwise: str) -> None:
        if not happened:
            raise CommandFailed(f"the demo did not go as it should: {otherwise}")


def _stay(config: Path, relay: _Started, vercel: _Started) -> None:
    click.echo(f"""
The relay goes on at {relay.address}. In another terminal:

  image-relay send --config {config} --source sanity
  image-relay receipts list --config {config}
  image-relay purges list --config {config}
  curl {vercel.address}/_calls

For your own site: `image-relay init` writes a relay.yaml to start from. Ctrl-C ends the demo.""")
    with suppress(KeyboardInterrupt):
        relay.process.wait()
