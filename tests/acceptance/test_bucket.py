"""A real sender: moto's S3 has an object replaced, its SNS signs and posts, and the purge arrives at Vercel."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from support.loopback import serve
from support.process import TOKEN, eventually, relay, write_config

from service.testing.fake_vercel import FakeVercel, create_fake_vercel

pytestmark = pytest.mark.e2e

TOPIC = "arn:aws:sns:us-east-1:123456789012:images-topic"
KEY = "uploads/été/red flower+1 (ü).jpg"


@pytest.fixture
def moto() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: _accepts(port), 60, "moto is up")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        time.sleep(0.1)
        return False
    return True


def client(service: str, endpoint: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="fake",
        aws_secret_access_key="fake",
        config=Config(proxies={}, retries={"max_attempts": 1}),
    )


def test_a_replaced_object_is_purged(tmp_path: Path, moto: str) -> None:
    os.environ.pop("AWS_PROFILE", None)
    fake = FakeVercel(tokens=[TOKEN], projects=["my-shop"])
    with serve(create_fake_vercel(fake)) as vercel:
        source = (
            f"bucket:\n  provider: aws-sns\n  topics: [{TOPIC}]\n  emulator: {moto}\n"
            "  bases: {photos-bucket: https://img.example.com/}\n  settle: 0\n"
        )
        write_config(tmp_path, vercel, sources=source)
        with relay(tmp_path) as process:
            topics, bucket = client("sns", moto), client("s3", moto)
            topic = topics.create_topic(Name="images-topic")["TopicArn"]
            assert topic == TOPIC
            topics.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"{process.address}/hooks/bucket")
            bucket.create_bucket(Bucket="photos-bucket")
            wanted = {"TopicArn": topic, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
            bucket.put_bucket_notification_configuration(
                Bucket="photos-bucket", NotificationConfiguration={"TopicConfigurations": [wanted]}
            )
            bucket.put_object(Bucket="photos-bucket", Key=KEY, Body=b"one")
            bucket.put_object(Bucket="photos-bucket", Key=KEY, Body=b"two")
            images = {"https://img.example.com/uploads/%C3%A9t%C3%A9/red%20flower%2B1%20%28%C3%BC%29.jpg"}

            def purged() -> set[str]:
                return {image for call in fake.calls if call["status"] == 200 for image in call["body"]["srcImages"]}

            eventually(lambda: images <= purged(), what=f"a purge of the object; the relay says:\n{process.output}")
            assert '"s3:TestEvent' in process.output or "TestEvent" in process.output
