"""Ceph's own gateway, a production S3 server: an object is changed in a real bucket, and the purge arrives at Vercel.

Debian has its packages; `make senders` unpacks them beside the checkout and installs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.buckets import change_an_object, client, relaying
from support.ceph import gateway

ROOT = Path(__file__).parents[2] / ".venv-senders" / "ceph"

pytestmark = [
    pytest.mark.senders,
    pytest.mark.skipif(
        not (ROOT / "usr" / "bin" / "radosgw").is_file(),
        reason=f"Ceph's gateway is not in {ROOT}: `make senders` unpacks Debian 12's packages, where apt-get has them",
    ),
]


@pytest.fixture(scope="module")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with gateway(ROOT, tmp_path_factory.mktemp("ceph")) as url:
        yield url


@pytest.mark.parametrize("persistent", ["false", "true"])
def test_a_bucket_s_topic(ceph: str, tmp_path: Path, persistent: str) -> None:
    """The gateway posts within the upload, or from a queue of its own where the topic is persistent."""
    bucket = f"photos-{persistent}"
    source = {
        "provider": "ceph-rgw",
        "auth": {"query": "token"},
        "secrets": ["fake-secret-in-the-query"],
        "bases": {bucket: "https://img.example.com/"},
    }
    with relaying(tmp_path, source) as (process, fake):
        topics = client("sns", ceph, "default", signature_version="s3")
        objects = client("s3", ceph, "default", s3={"addressing_style": "path"})
        endpoint = f"{process.address}/hooks/bucket?token=fake-secret-in-the-query"
        topic = topics.create_topic(
            Name=f"image-events-{persistent}", Attributes={"push-endpoint": endpoint, "persistent": persistent}
        )
        objects.create_bucket(Bucket=bucket)
        wanted = {
            "Id": "image-relay",
            "TopicArn": topic["TopicArn"],
            "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
        }
        objects.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"TopicConfigurations": [wanted]}
        )
        change_an_object(objects, bucket, process, fake)
