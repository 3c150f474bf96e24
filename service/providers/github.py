"""GitHub, and whoever signs like it: HMAC-SHA256 over the body; pushes to a repository that holds images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, quote

from service.domain.clock import iso, to_ms
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification, TestPing
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.body_signature import HexBodySignature
from service.providers.plain_provider import delivery_id, json_sample, read_plain
from service.providers.s3_records import bases_of, object_urls
from service.settings.model import Source

_SIGNATURE = "x-hub-signature-256"
_DELIVERY = "x-github-delivery"
_BRANCH = "refs/heads/"
_FORM = b"payload="

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # in no URL that a site uses
_EXTENSIONS = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".svg", ".ico", ".bmp", ".tif", ".tiff")


class GitHub(HexBodySignature):
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries

    The older `X-Hub-Signature` (SHA-1), which GitHub sends along, is not looked at.
    """

    signature_header = _SIGNATURE
    signature_prefix = "sha256="
    scheme = "sha256"
    info = Info(
        name="github",
        title="GitHub and its style of signatures",
        doc_url="https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
        signs="HMAC-SHA256 over the body, without a time",
        tolerance=None,
        stored_headers=frozenset({_SIGNATURE, _DELIVERY, "x-github-event", "x-github-hook-id", "content-type"}),
        auth=("capability",),
        options=("bases",),
        guide=Guide(
            setup=(
                "*Repository → Settings → Webhooks → Add webhook*: payload URL "
                "`https://relay.example.com/hooks/NAME`, content type `application/json`, a secret (one of "
                "`secrets`).",
                "*Just the push event* is enough.",
                "Whoever else signs this way may post an image of their own making: `type`, `id`, `url`, `old_url`.",
            ),
            events="Of a push to a branch, each image that a commit changed becomes `updated`, one that was added "
            "`created`, one that was removed `deleted`; `asset.environment` is the branch. Tags and other events "
            "are ignored; the ping is a test.",
            covered="The body alone. Event and delivery id are headers and not signed; the id counts only together "
            "with the same body.",
            retries="An answer is due within 10 s, 2xx counts, and **GitHub never tries again by itself**: "
            "redeliver from the webhook's page. Whether it is ever switched off is unknown.",
            urls="Computed: `bases: {OWNER/REPOSITORY: https://img.example.com/}` and the file's path, or the two "
            "spellings of raw.githubusercontent.com without one.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._bases = bases_of(source)

    def read(self, request: Verified) -> Notification:
        """What it is about stands in the signed body; the header X-GitHub-Event is not signed."""
        payload = _payload(request.body)
        # The same for every redelivery:
        # https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks
        given_id = request.headers.get(_DELIVERY)
        event_id = delivery_id(request, payload, given_id)
        if json_body.text(payload, "zen") and json_body.scalar(payload, "hook_id"):
            announced = TestPing("GitHub announced that the webhook is configured")
            return Notification(payload=payload, instead=announced, event_id=event_id)
        repository = json_body.text(payload, "repository", "full_name")
        if repository is None:
            return read_plain(request, payload, given_id)  # GitHub's style, not GitHub
        events = tuple(_Push(payload, repository, self._bases).events())
        instead = None if events else Ignored("no push to a branch that touched an image")
        return Notification(payload=payload, events=events, instead=instead, event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        ping = {"zen": "Keep it logically awesome.", "hook_id": 30, "repository": _sample_repository(now)}
        return {
            "push": _sample("push", _sample_push(now, modified=["public/hero.jpg"]), now),
            "push-removed": _sample("push", _sample_push(now, removed=["public/hero.jpg"]), now),
            "ping": _sample("ping", ping, now),
        }


def _payload(body: bytes) -> Any:
    """A new webhook sends forms unless `application/json` was chosen:
    https://docs.github.com/en/webhooks/using-webhooks/creating-webhooks"""
    if not body.startswith(_FORM):
        return json_body.parse(body)
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict"))
    except ValueError:
        raise Unreadable("the body begins like a form and is none") from None
    return json_body.parse(fields["payload"].encode())


class _Push:
    """One push: https://docs.github.com/en/webhooks/webhook-events-and-payloads#push

    It names at most 2048 commits, and none of those that a forced push took away.
    """

    def __init__(self, payload: Any, repository: str, bases: Mapping[str, str]) -> None:
        self._payload = payload
        self._bases = bases
        self._ref = json_body.text(payload, "ref") or ""
        self._repository = repository

    def events(self) -> Iterator[AssetEvent]:
        if not self._ref.startswith(_BRANCH):
            return  # a tag, or another event than a push
        for path, kind in self._files().items():
            yield AssetEvent(
                kind=kind,
                id=f"{self._repository}/{path}",
                urls=self._urls(path),
                bucket=self._repository,
                key=path,
                filename=path.rpartition("/")[2],
                environment=self._ref.removeprefix(_BRANCH),
                # A commit's own time may lie long before its push.
                occurred_at=json_body.moment(self._payload, "repository", "pushed_at"),
            )

    def _files(self) -> dict[str, AssetKind]:
        """What became of each image from the first commit to the last."""
        files: dict[str, AssetKind] = {}
        for commit in json_body.array(self._payload, "commits"):
            for path in _images(commit, "added"):
                files[path] = AssetKind.UPDATED if files.get(path) is AssetKind.DELETED else AssetKind.CREATED
            for path in _images(commit, "modified"):
                files[path] = AssetKind.CREATED if files.get(path) is AssetKind.CREATED else AssetKind.UPDATED
            for path in _images(commit, "removed"):
                files[path] = AssetKind.DELETED
        return files

    def _urls(self, path: str) -> tuple[str, ...]:
        """The repository's base where it has one, else GitHub's own two spellings of a file's URL."""
        if self._repository in self._bases:
            return object_urls(self._bases, self._repository, path)
        branch = self._ref.removeprefix(_BRANCH)
        root = f"https://raw.githubusercontent.com/{quote(self._repository)}"
        return tuple(f"{root}/{quote(f'{place}/{path}')}" for place in (branch, self._ref))


def _images(commit: Any, change: str) -> Iterator[str]:
    for path in json_body.array(commit, change):
        if isinstance(path, str) and path.lower().endswith(_EXTENSIONS) and not _CONTROL.search(path):
            yield path


def _sample(event: str, document: Any, now: datetime) -> Sample:
    delivery = sha256(f"{event} {iso(now)}".encode()).hexdigest()
    guid = "-".join((delivery[:8], delivery[8:12], delivery[12:16], delivery[16:20], delivery[20:32]))
    return json_sample(document, {"x-github-event": event, _DELIVERY: guid, "x-github-hook-id": "30"})


def _sample_repository(now: datetime) -> dict[str, Any]:
    pushed_at = to_ms(now) // 1000
    return {"id": 35129377, "full_name": "octo-org/site", "default_branch": "main", "pushed_at": pushed_at}


def _sample_push(now: datetime, modified: list[str] | None = None, removed: list[str] | None = None) -> dict[str, Any]:
    commit = {
        "id": sha256(iso(now).encode()).hexdigest()[:40],
        "message": "New hero",
        "timestamp": iso(now),
        "added": [],
        "modified": modified or [],
        "removed": removed or [],
    }
    return {
        "ref": f"{_BRANCH}main",
        "repository": _sample_repository(now),
        "commits": [commit],
        "head_commit": commit,
        "pusher": {"name": "octocat"},
    }
