"""LocalStack's S3 has objects changed; its SNS and its EventBridge sign, ask and post; the purges arrive at Vercel.

LocalStack is a program of its own, with libraries that do not go with the relay's: `make senders` installs it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.buckets import change_an_object, client, free_port, relaying, serving
from support.process import eventually

PYTHON = Path(__file__).parents[2] / ".venv-senders" / "bin" / "python"
ACCOUNT = "000000000000"

pytestmark = [
    pytest.mark.senders,
    pytest.mark.skipif(not PYTHON.is_file(), reason=f"LocalStack is not in {PYTHON}: `make senders` installs it"),
]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("localstack"), free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LOCALSTACK_VOLUME_DIR": str(folder),
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "LOCALSTACK_HOST": f"127.0.0.1:{port}",  # stands in the URLs that it gives away
        "GATEWAY_SERVER": "hypercorn",  # the usual one listens on every address
        "SERVICES": "s3,sns,events,secretsmanager,sts",
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",  # of how it is used, to its maker
        "SKIP_SSL_CERT_DOWNLOAD": "1",
    }
    with serving([str(PYTHON), "-m", "localstack.runtime.main"], port, folder, environ):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("version", ["1", "2"])
def test_s3_through_sns(aws: str, tmp_path: Path, version: str) -> None:
    """The subscription is confirmed by the relay itself; every message carries a real signature."""
    name, bucket = f"image-events-{version}", f"photos-sns-{version}"
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:{name}"
    source = {
        "provider": "aws-sns",
        "topics": [topic],
        "emulator": aws,
        "bases": {bucket: "https://img.example.com/"},
        "signature_algorithm": "sha256" if version == "2" else "sha1",
    }
    with relaying(tmp_path, source) as (process, fake):
        topics, objects = client("sns", aws), client("s3", aws)
        assert topics.create_topic(Name=name, Attributes={"SignatureVersion": version})["TopicArn"] == topic
        asked = topics.subscribe(
            TopicArn=topic, Protocol="http", Endpoint=f"{process.address}/hooks/bucket", ReturnSubscriptionArn=True
        )

        def confirmed() -> bool:
            state = topics.get_subscription_attributes(SubscriptionArn=asked["SubscriptionArn"])["Attributes"]
            return bool(state["PendingConfirmation"] == "false")

        eventually(confirmed, what=f"the subscription is confirmed; see {tmp_path}")
        objects.create_bucket(Bucket=bucket)
        wanted = {"TopicArn": topic, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
        objects.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"TopicConfigurations": [wanted]}
        )
        change_an_object(objects, bucket, process, fake)
        assert f"aws-sns-v{version}" in process.output


CONNECTIONS = [
    (
        "API_KEY",
        {"ApiKeyAuthParameters": {"ApiKeyName": "X-Relay-Key", "ApiKeyValue": "fake-relay-key-of-eventbridge"}},
        "header",
    ),
    ("BASIC", {"BasicAuthParameters": {"Username": "sender", "Password": "fake-relay-key-of-eventbridge"}}, "basic"),
]
AUTHS = {"header": {"header": "X-Relay-Key"}, "basic": {"basic": "sender"}}


@pytest.mark.parametrize(("kind", "parameters", "auth"), CONNECTIONS)
def test_s3_through_eventbridge(aws: str, tmp_path: Path, kind: str, parameters: dict[str, Any], auth: str) -> None:
    """LocalStack encodes an object's key, which Amazon does not say that it does."""
    bucket = f"photos-eventbridge-{auth}"
    source = {
        "provider": "aws-eventbridge",
        "auth": AUTHS[auth],
        "secrets": ["fake-relay-key-of-eventbridge"],
        "key_encoding": "url",
        "bases": {bucket: "https://img.example.com/"},
    }
    with relaying(tmp_path, source) as (process, fake):
        events, objects = client("events", aws), client("s3", aws)
        objects.create_bucket(Bucket=bucket)
        objects.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        connection = events.create_connection(Name=f"relay-{auth}", AuthorizationType=kind, AuthParameters=parameters)
        destination = events.create_api_destination(
            Name=f"relay-{auth}",
            ConnectionArn=connection["ConnectionArn"],
            InvocationEndpoint=f"{process.address}/hooks/bucket",
            HttpMethod="POST",
        )
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
        events.put_rule(Name=f"images-{auth}", EventPattern=json.dumps(pattern))
        target = {
            "Id": "relay",
            "Arn": destination["ApiDestinationArn"],
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/relay",
        }
        assert events.put_targets(Rule=f"images-{auth}", Targets=[target])["FailedEntryCount"] == 0
        change_an_object(objects, bucket, process, fake)
