"""A real sender: moto's S3 has an object replaced, its SNS signs and posts, and the purge arrives at Vercel."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.buckets import change_an_object, client, free_port, relaying, serving

pytestmark = pytest.mark.e2e

TOPIC = "arn:aws:sns:us-east-1:123456789012:images-topic"


@pytest.fixture
def moto(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with serving(command, port, tmp_path):
        yield f"http://127.0.0.1:{port}"


def test_a_replaced_object_is_purged(tmp_path: Path, moto: str) -> None:
    source = {
        "provider": "aws-sns",
        "topics": [TOPIC],
        "emulator": moto,
        "bases": {"photos-bucket": "https://img.example.com/"},
    }
    with relaying(tmp_path, source) as (process, fake):
        topics, bucket = client("sns", moto), client("s3", moto)
        topic = topics.create_topic(Name="images-topic")["TopicArn"]
        assert topic == TOPIC
        topics.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"{process.address}/hooks/bucket")
        bucket.create_bucket(Bucket="photos-bucket")
        wanted = {"TopicArn": topic, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
        bucket.put_bucket_notification_configuration(
            Bucket="photos-bucket", NotificationConfiguration={"TopicConfigurations": [wanted]}
        )
        change_an_object(bucket, "photos-bucket", process, fake)
        assert "TestEvent" in process.output
