"""LocalStack's S3 has objects changed; its SNS and its EventBridge sign, ask and post; the purges arrive at Vercel.

LocalStack is a program of its own, with libraries that do not go with the relay's: `make senders` installs it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from support.buckets import change_an_object, client, free_port, relaying, serving
from support.loopback import serve
from support.process import eventually
from support.tokens import ISSUER, ISSUER_CLAIMS, jwks, token

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


SECRET = "fake-relay-key-of-eventbridge"


def test_s3_through_eventbridge_with_a_key(aws: str, tmp_path: Path) -> None:
    parameters = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Relay-Key", "ApiKeyValue": SECRET}}
    settings = {"auth": {"header": "X-Relay-Key"}, "secrets": [SECRET]}
    through_eventbridge(aws, tmp_path, "API_KEY", parameters, settings)


def test_s3_through_eventbridge_with_a_user(aws: str, tmp_path: Path) -> None:
    parameters = {"BasicAuthParameters": {"Username": "sender", "Password": SECRET}}
    settings = {"auth": {"basic": "sender"}, "secrets": [SECRET]}
    through_eventbridge(aws, tmp_path, "BASIC", parameters, settings)


def test_s3_through_eventbridge_with_tokens_of_an_issuer(aws: str, tmp_path: Path) -> None:
    """OAuth's client credentials: the emulator fetches a token, the relay the issuer's keys."""
    with serve(issuer()) as url:
        parameters = {
            "OAuthParameters": {
                "ClientParameters": {"ClientID": "relay", "ClientSecret": SECRET},
                "AuthorizationEndpoint": f"{url}/token",
                "HttpMethod": "POST",
            }
        }
        settings = {"auth": {"jwt": {**ISSUER, "jwks_url": f"{url}/keys"}}}
        through_eventbridge(aws, tmp_path, "OAUTH_CLIENT_CREDENTIALS", parameters, settings)


def issuer() -> Starlette:
    """Gives tokens to whoever knows the secret, and publishes its keys."""

    async def give(request: Request) -> JSONResponse:
        if (await request.json()).get("client_secret") != SECRET:
            return JSONResponse({}, 401)
        now = int(time.time())
        said = token(ISSUER_CLAIMS | {"iat": now, "exp": now + 300})
        return JSONResponse({"access_token": said, "token_type": "Bearer", "expires_in": 300})

    async def publish(_: Request) -> Response:
        return Response(jwks(), media_type="application/json")

    return Starlette(routes=[Route("/token", give, methods=["POST"]), Route("/keys", publish)])


def through_eventbridge(
    aws: str, folder: Path, kind: str, parameters: dict[str, Any], settings: dict[str, Any]
) -> None:
    """LocalStack encodes an object's key, which Amazon does not say that it does."""
    name = f"photos-{kind.lower().replace('_', '-')}"
    source = {
        "provider": "aws-eventbridge",
        "key_encoding": "url",
        "bases": {name: "https://img.example.com/"},
        **settings,
    }
    with relaying(folder, source) as (process, fake):
        events, objects = client("events", aws), client("s3", aws)
        objects.create_bucket(Bucket=name)
        objects.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        connection = events.create_connection(Name=name, AuthorizationType=kind, AuthParameters=parameters)
        destination = events.create_api_destination(
            Name=name,
            ConnectionArn=connection["ConnectionArn"],
            InvocationEndpoint=f"{process.address}/hooks/bucket",
            HttpMethod="POST",
        )
        pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [name]}}}
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        target = {
            "Id": "relay",
            "Arn": destination["ApiDestinationArn"],
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/relay",
        }
        assert events.put_targets(Rule=name, Targets=[target])["FailedEntryCount"] == 0
        change_an_object(objects, name, process, fake)
