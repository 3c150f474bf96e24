"""Real buckets on loopback: a client, the process that serves them, and what the fake Vercel was asked to purge."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from service.testing.fake_vercel import FakeVercel, create_fake_vercel
from support.loopback import serve
from support.process import TOKEN, Process, eventually, relay, write_config

ACCESS, SECRET = "fakeaccess", "fakesecret"
KEY = "uploads/été/red flower+1 (ü).jpg"
IMAGE = "https://img.example.com/uploads/%C3%A9t%C3%A9/red%20flower%2B1%20%28%C3%BC%29.jpg"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def serving(
    command: Sequence[str], port: int, folder: Path, environ: Mapping[str, str] | None = None, seconds: float = 60
) -> Iterator[subprocess.Popen[bytes]]:
    """A process until the end of the block, once it accepts connections; its output goes to a file in `folder`."""
    log = folder / f"{Path(command[0]).name}-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=output, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: _accepts(port, process), seconds, f"{command[0]} is up; it says in {log}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _accepts(port: int, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, f"the process ended with {process.returncode}"
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        time.sleep(0.1)
        return False
    return True


def client(service: str, endpoint: str, region: str = "us-east-1", **settings: Any) -> Any:
    """A client for one service of an endpoint, which asks nobody but that."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
        config=Config(proxies={}, retries={"max_attempts": 1}, **settings),
    )


def deadlines(fake: FakeVercel, image: str = IMAGE) -> list[int]:
    """The calls that had an image purged, each by how long Vercel may go on serving the old one: 0 where it is gone."""
    asked = [call for call in fake.calls if call["status"] == 200 and image in call["body"]["srcImages"]]
    return [call["body"]["revalidationDeadlineSeconds"] for call in asked]


@contextmanager
def relaying(folder: Path, source: Mapping[str, Any]) -> Iterator[tuple[Process, FakeVercel]]:
    """The relay with one source, `bucket`, and the fake Vercel beyond it."""
    fake = FakeVercel(tokens=[TOKEN], projects=["my-shop"])
    with serve(create_fake_vercel(fake)) as vercel:
        write_config(folder, vercel, sources=f"bucket: {json.dumps({'settle': 0, **source})}\n")
        with relay(folder) as process:
            yield process, fake


def change_an_object(objects: Any, bucket: str, process: Process, fake: FakeVercel) -> None:
    """It is written, overwritten and removed; each time the purge has to arrive before it goes on."""
    objects.put_object(Bucket=bucket, Key=KEY, Body=b"one")
    _wait_for(fake, [60], process)
    objects.put_object(Bucket=bucket, Key=KEY, Body=b"two")
    _wait_for(fake, [60, 60], process)
    objects.delete_object(Bucket=bucket, Key=KEY)
    _wait_for(fake, [60, 60, 0], process)


def _wait_for(fake: FakeVercel, wanted: list[int], process: Process) -> None:
    try:
        eventually(lambda: deadlines(fake) == wanted)
    except AssertionError:
        raise AssertionError(f"{deadlines(fake)}, not {wanted}; the relay says:\n{process.output}") from None
