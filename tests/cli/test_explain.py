"""`explain`: the verdict, the events, each rule, and the exact requests, without network and store."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.commands import NOW, SECRET, TOKEN, Done, Relay

from service.cli.payload import as_received
from service.domain.requests import RawRequest
from service.providers.credentials import make_capability

URL = "https://img.example.com/products/lamp.jpg"
DELETE = "https://api.vercel.com/v1/edge-cache/dangerously-delete-by-src-images?projectIdOrName=my-shop"
CAPABILITY = "fake-capability-secret"


def explain(relay: Relay, request: RawRequest, *more: object, as_json: bool = True) -> Done:
    """Explains a request with all of its headers, at the time it was signed."""
    (relay.folder / "payload.json").write_bytes(request.body)
    headers = [part for name, value in request.headers for part in ("--header", f"{name}: {value}")]
    tail = ["--json"] if as_json else []
    return relay.run("explain", "payload.json", "--path", request.path, *headers, "--at", NOW.isoformat(), *more, *tail)


def body_file(relay: Relay, *urls: str, name: str = "payload.json") -> Path:
    document = {"type": "asset.replaced", "data": {"id": "lamp", "url": urls[0]}}
    path = relay.folder / name
    path.write_text(json.dumps(document))
    return path


def test_a_genuine_webhook(relay: Relay) -> None:
    done = explain(relay, relay.signed(URL))
    assert done.code == 0
    document = done.json
    assert (document["verified"], document["reason"], document["status"]) == (True, None, "accepted")
    assert document["scheme"] == "v1" or "v1" in document["scheme"]
    assert document["signed_at"] == "2026-11-24T12:00:00.000Z"
    [event] = document["events"]
    assert (event["kind"], event["urls"]) == ("replaced", [URL])
    [rule] = document["rules"]
    assert (rule["event"], rule["rule"], rule["matched"], rule["error"]) == (1, "products", True, None)
    assert [image["template"] for image in rule["images"]] == ["{{ url }}", "{{ url | site_path }}"]
    assert [image["url"] for image in rule["images"]] == [URL, URL]
    assert [
        (purge["project"], purge["action"], purge["src_image"], purge["revalidation_deadline_seconds"])
        for purge in document["purges"]
    ] == [("shop", "delete", URL, 60), ("shop", "delete", "/products/lamp.jpg", 60)]
    assert document["requests"] == [
        {
            "method": "POST",
            "url": DELETE,
            "body": {"srcImages": [URL, "/products/lamp.jpg"], "revalidationDeadlineSeconds": 60},
        }
    ]


def test_for_a_person(relay: Relay) -> None:
    done = explain(relay, relay.signed(URL), as_json=False)
    assert done.code == 0
    for part in (
        "hook (standard-webhooks)",
        "yes (",
        "signed at 2026-11-24T12:00:00.000Z",
        "event 1: replaced lamp.jpg",
        "✓ products: ",
        "from {{ url | site_path }}, url = " + URL,
        f"POST {DELETE}",
        f'{{"srcImages":["{URL}","/products/lamp.jpg"],"revalidationDeadlineSeconds":60}}',
    ):
        assert part in done.out
    assert TOKEN not in done.out
    assert SECRET not in done.out


@pytest.mark.parametrize(
    ("offset", "more", "reason"),
    [
        (0, ["--header", "webhook-id: another"], "header_repeated"),
        (400, [], "timestamp_too_old"),
        (-400, [], "timestamp_too_new"),
    ],
)
def test_a_refused_one_is_exit_3(relay: Relay, offset: int, more: list[str], reason: str) -> None:
    request = relay.signed(URL, at=NOW - timedelta(seconds=offset))
    done = explain(relay, request, *more)
    assert done.code == 3
    document = done.json
    assert (document["verified"], document["reason"], document["status"]) == (False, reason, "refused")
    assert document["events"] == document["rules"] == document["purges"] == document["requests"] == []
    assert reason in explain(relay, request, *more, as_json=False).out


def test_a_line_end_added_by_an_editor_is_guessed(relay: Relay) -> None:
    request = relay.signed(URL)
    changed = RawRequest(request.method, request.path, request.headers, request.body + b"\n")
    done = explain(relay, changed, as_json=False)
    assert done.code == 3
    assert "no, refused: signature_mismatch; the body ends in a line end" in done.out


@pytest.mark.parametrize("at", ["2026-11-24T12:00:00Z", "2026-11-24T13:00:00+01:00", "1795521600", "1795521600000"])
def test_at_in_every_form(relay: Relay, at: str) -> None:
    assert explain(relay, relay.signed(URL), "--at", at).json["verified"] is True


@pytest.mark.parametrize("at", ["tomorrow", "99999999999999999", "2026-13-01"])
def test_at_that_is_no_time(relay: Relay, at: str) -> None:
    body_file(relay, URL)
    assert "ISO 8601" in relay.fails("explain", "payload.json", "--at", at, code=2)


def test_without_a_header_nothing_is_judged_and_it_says_so(relay: Relay) -> None:
    body_file(relay, URL)
    done = relay.run("explain", "payload.json", "--json")
    assert done.code == 0
    assert done.json["verified"] is None
    assert "skipped" in done.json["reason"]
    assert done.json["status"] == "accepted"
    assert len(done.json["requests"]) == 1
    assert "skipped: no header" in relay.run("explain", "payload.json").out


def test_the_payload_from_standard_input(relay: Relay) -> None:
    done = relay.run("explain", "-", "--json", stdin=body_file(relay, URL).read_bytes())
    assert done.json["events"][0]["urls"] == [URL]


@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
def test_a_captured_request(relay: Relay, line_end: str) -> None:
    request = relay.signed(URL)
    lines = [f"POST {request.path} HTTP/1.1", "Host: relay", *(f"{name}: {value}" for name, value in request.headers)]
    capture = relay.folder / "one.http"
    capture.write_bytes((line_end.join(lines) + line_end * 2).encode() + request.body)
    done = relay.run("explain", capture, "--at", NOW.isoformat(), "--json")
    assert (done.code, done.json["verified"]) == (0, True)
    done = relay.run("explain", capture, "--at", NOW.isoformat(), "--header", "webhook-id: other", "--json")
    assert (done.code, done.json["reason"]) == (3, "header_repeated")


@pytest.mark.parametrize("data", [b"POST /hooks/x HTTP/1.1\r\n\r\n{}", b"POST /hooks/x HTTP/1.1\nno blank line"])
def test_what_only_looks_like_a_capture_or_has_no_headers(relay: Relay, data: bytes) -> None:
    done = relay.run("explain", "-", "--json", stdin=data)
    assert (done.code, done.json["verified"]) == (0, None)


def test_what_a_rule_did_not_match_and_one_that_failed(relay: Relay) -> None:
    relay.write(
        f"""\
        projects: {{shop: {{project: my-shop, token: {TOKEN}}}}}
        sources:
          hook:
            provider: standard-webhooks
            secrets: [{SECRET}]
            rules:
              - {{name: others, when: '"/others/" in url'}}
              - {{name: broken, src_images: ["{{{{ payload.nope.deeper }}}}"]}}
        """
    )
    body_file(relay, URL)
    document = relay.run("explain", "payload.json", "--json").json
    assert document["status"] == "unmatched"
    assert "rule 'broken'" in document["status_reason"]
    assert [(rule["matched"], bool(rule["error"])) for rule in document["rules"]] == [(False, False), (True, True)]
    assert document["requests"] == []
    shown = relay.run("explain", "payload.json").out
    assert "unmatched; rule 'broken'" in shown
    assert "✗ others: " in shown
    assert "✗ broken: " in shown, "a rule that failed gave nothing, although its condition holds"


def test_what_vercel_would_never_take_is_shown_and_not_sent(relay: Relay) -> None:
    body_file(relay, "https://img.example.com/products/*.jpg")
    document = relay.run("explain", "payload.json", "--json").json
    assert [bool(purge["refusal"]) for purge in document["purges"]] == [True, True]
    assert document["requests"] == []
    assert "never sent: the source image holds *" in relay.run("explain", "payload.json").out


def test_an_invalidate_has_no_deadline_and_teams_are_in_the_query(relay: Relay) -> None:
    relay.write(
        f"""\
        vercel_api: http://127.0.0.1:8090
        projects: {{shop: {{project: my-shop, team: acme, token: {TOKEN}}}}}
        sources:
          hook: {{provider: standard-webhooks, secrets: [{SECRET}], rules: [{{action: invalidate}}]}}
        """
    )
    body_file(relay, URL)
    document = relay.run("explain", "payload.json", "--json").json
    assert document["purges"][0]["revalidation_deadline_seconds"] is None
    assert document["requests"] == [
        {
            "method": "POST",
            "url": "http://127.0.0.1:8090/v1/edge-cache/invalidate-by-src-images?projectIdOrName=my-shop&slug=acme",
            "body": {"srcImages": [URL]},
        }
    ]


CLOUDINARY = """\
projects: {shop: {project: my-shop, token: vcp_fakefakefake0123456789}}
sources:
  media: {provider: cloudinary, secrets: [fake-api-secret-0123456789]}
"""


def test_two_events_about_one_image_are_one_purge(bare: Relay) -> None:
    """A deletion of two resources by one notification, and the memory from one event to the next."""
    bare.write(CLOUDINARY)
    resource = {"resource_type": "image", "type": "upload", "public_id": "lamp", "version": 1}
    document = {"notification_type": "delete", "resources": [resource, resource]}
    (bare.folder / "payload.json").write_text(json.dumps(document))
    done = bare.run("explain", "payload.json", "--json")
    assert done.code == 0, done
    images = [purge["src_image"] for purge in done.json["purges"]]
    assert len(images) == len(set(images))


def test_a_body_that_cannot_be_read(bare: Relay) -> None:
    bare.write(CLOUDINARY)
    done = bare.run("explain", "-", "--json", stdin=b"not json")
    assert (done.code, done.json["status"]) == (0, "unreadable")
    assert done.json["status_reason"]


def test_what_is_ignored_says_why(bare: Relay) -> None:
    bare.write(CLOUDINARY)
    done = bare.run("explain", "-", "--json", stdin=b'{"notification_type": "folder_create"}')
    assert done.json["status"] == "ignored"
    assert "folder_create" in done.json["status_reason"]


def capability_config(auth: str) -> str:
    return f"""\
        public_url: https://hooks.example.com/relay
        projects: {{shop: {{project: my-shop, token: {TOKEN}}}}}
        sources:
          hook: {{provider: standard-webhooks, secrets: [{CAPABILITY}], auth: {auth}}}
        """


@pytest.mark.parametrize(
    ("auth", "path", "verified", "reason"),
    [
        ("{capability: true}", f"/hooks/hook/{make_capability('hook', [CAPABILITY])}", True, None),
        ("{capability: true}", f"/relay/hooks/hook/{make_capability('hook', [CAPABILITY])}", True, None),
        (
            "{capability: true}",
            f"/hooks/hook/{make_capability('other', [CAPABILITY])}",
            False,
            "capability_for_another_source",
        ),
        ("{capability: true}", "/hooks/hook/nonsense", False, "capability_invalid"),
        ("{capability: true}", "/hooks/hook", False, "credential_missing"),
    ],
)
def test_a_key_in_the_path(bare: Relay, auth: str, path: str, verified: bool, reason: str | None) -> None:
    bare.write(capability_config(auth))
    body_file(bare, URL)
    done = bare.run("explain", "payload.json", "--path", path, "--json")
    assert (done.json["verified"], done.json["reason"]) == (verified, reason)
    assert done.code == (0 if verified else 3)


def test_the_path_includes_that_of_the_public_url(bare: Relay) -> None:
    """Contentful signs the path: left out, it is the one senders see."""
    bare.write(
        f"""\
        public_url: https://hooks.example.com/relay/
        projects: {{shop: {{project: my-shop, token: {TOKEN}}}}}
        sources: {{cms: {{provider: contentful, secrets: [{"f" * 64}]}}}}
        """
    )
    provider = bare.pipelines()["cms"].provider
    sample = provider.samples(NOW)["publish"]
    request = provider.sign(sample, "/relay/hooks/cms", NOW)
    (bare.folder / "payload.json").write_bytes(request.body)
    headers = [part for name, value in request.headers for part in ("--header", f"{name}: {value}")]
    arguments = ("explain", "payload.json", *headers, "--at", NOW.isoformat(), "--json")
    assert bare.run(*arguments).json["verified"] is True
    assert bare.run(*arguments, "--path", "/hooks/cms").code == 3
    assert bare.run(*arguments, "--method", "PUT").code == 3


def test_header_values_are_bytes() -> None:
    assert as_received([("x-name", "Käse")]) == (("x-name", "KÃ¤se"),)


CAPTURES = Path(__file__).parents[1] / "vectors" / "captures"
SNS = """\
projects: {shop: {project: my-shop, token: vcp_fakefakefake0123456789}}
sources:
  bucket: {provider: aws-sns, topics: ["arn:aws:sns:us-east-1:123456789012:images-topic"]}
"""


def test_a_published_key_is_asked_for(bare: Relay) -> None:
    bare.write(SNS)
    arguments = ("explain", CAPTURES / "moto-sns-01.http", "--at", "2026-11-24T03:50:16Z")
    done = bare.run(*arguments, "--json")
    assert (done.code, done.json["verified"], done.json["status"]) == (0, None, "test")
    assert "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-" in done.json["reason"]
    assert "--key" in done.json["reason"]
    done = bare.run(*arguments, "--key", CAPTURES / "moto-sns-01.pem", "--json")
    assert (done.code, done.json["verified"], done.json["status"]) == (0, True, "test")
    forged = (CAPTURES / "moto-sns-01.http").read_bytes().replace(b"photos-bucket", b"fotos-bucket")
    more = (*arguments[2:], "--key", CAPTURES / "moto-sns-01.pem", "--json")
    done = bare.run("explain", "-", *more, stdin=forged)
    assert (done.code, done.json["reason"]) == (3, "signature_mismatch")


def test_a_key_is_enough_where_the_body_is_signed_in_itself(bare: Relay) -> None:
    bare.write(SNS)
    body = (CAPTURES / "moto-sns-01.http").read_bytes().partition(b"\r\n\r\n")[2]
    arguments = ("explain", "-", "--at", "2026-11-24T03:50:16Z", "--key", CAPTURES / "moto-sns-01.pem")
    assert bare.run(*arguments, "--json", stdin=body).json["verified"] is True


def test_a_confirmation_names_the_url_that_would_be_visited(bare: Relay) -> None:
    bare.write(SNS)
    url = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn="
    topic = "arn:aws:sns:us-east-1:123456789012:images-topic"
    message = {
        "Type": "SubscriptionConfirmation",
        "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "Token": "2336412f37",
        "TopicArn": topic,
        "Message": "You have chosen to subscribe.",
        "SubscribeURL": f"{url}{topic}&Token=2336412f37",
        "Timestamp": "2026-11-24T12:00:00.000Z",
        "SignatureVersion": "1",
        "Signature": "AAAA",
        "SigningCertURL": f"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-{'0' * 32}.pem",
    }
    done = bare.run("explain", "-", "--json", stdin=json.dumps(message))
    assert (done.json["status"], done.json["verified"]) == ("test", None)
    assert done.json["confirmation_url"].startswith("https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription")
    assert "GET https://sns.us-east-1" in bare.run("explain", "-", stdin=json.dumps(message)).out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["payload.json", "--header", "no colon"], 2, "is no header: write it as 'Name: value'"),
        (["payload.json", "--header", ":capability: x"], 2, "is no header"),
        (["missing.json"], 1, "missing.json cannot be read: No such file or directory"),
        (["payload.json", "--source", "hok"], 1, "there is no source 'hok', did you mean 'hook'?"),
        (["payload.json", "--source", "xyzzy"], 1, "there is no source 'xyzzy' (there is: hook)"),
        (["payload.json", "--key", "missing.pem"], 1, "missing.pem cannot be read"),
        (["large.json"], 1, "large.json is larger than 1048576 bytes"),
    ],
)
def test_what_cannot_be_explained(relay: Relay, arguments: list[str], code: int, message: str) -> None:
    body_file(relay, URL)
    (relay.folder / "large.json").write_bytes(b"x" * (1024 * 1024 + 1))
    assert message in relay.fails("explain", *arguments, code=code)


def test_the_source_has_to_be_named_when_there_are_several(relay: Relay) -> None:
    two = f"  two: {{provider: standard-webhooks, secrets: [{SECRET}], projects: [shop]}}\n"
    relay.config.write_text(relay.config.read_text() + two)
    body_file(relay, URL)
    assert relay.fails("explain", "payload.json") == "name one of the sources: hook, two"
    document: dict[str, Any] = relay.run("explain", "payload.json", "--source", "two", "--json").json
    assert document["source"] == "two"


def test_an_event_of_a_batch_that_comes_too_late_says_so(relay: Relay) -> None:
    objects = "  bucket: {provider: tigris, secrets: [fake], bases: {b: /img/}, projects: [shop]}\n"
    relay.config.write_text(relay.config.read_text() + objects)
    told = {"bucket": "b", "object": {"key": "a.jpg"}}
    events = [
        {"eventName": name, "eventTime": time, **told}
        for name, time in (
            ("OBJECT_DELETED", "2026-11-24T12:00:01Z"),
            ("OBJECT_CREATED_PUT", "2026-11-24T12:00:00Z"),
        )
    ]
    (relay.folder / "batch.json").write_text(json.dumps({"events": events}))
    document = relay.run("explain", "batch.json", "--source", "bucket", "--json").json
    late = "older than what is known: that it is gone, as of 2026-11-24T12:00:01.000Z"
    assert [event["late"] for event in document["events"]] == [None, late]
    assert [purge["src_image"] for purge in document["purges"]] == ["/img/a.jpg"]
    assert f"late         {late}" in relay.run("explain", "batch.json", "--source", "bucket").out
