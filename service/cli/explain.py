"""`image-relay explain`: what a webhook would lead to."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click
from msgspec.structs import asdict

from service.cli.address import hook_path
from service.cli.configuration import config_option, load_settings, source_named
from service.cli.explanation import Explanation, explain, with_key_of_path
from service.cli.output import json_option, plain, print_json
from service.cli.payload import Headers, header_option, parse_payload, read_input
from service.cli.trace import print_event
from service.domain.clock import parse_moment, system_clock
from service.domain.requests import RawRequest
from service.ingest.pipeline import Pipeline, build_pipelines, table_reader

REFUSED = 3
_MAX_KEY_BYTES = 64 * 1024


def _moment(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_moment(text)
    except (ValueError, OverflowError):
        raise click.BadParameter("give an ISO 8601 time, or Unix seconds or milliseconds") from None


@click.command()
@click.argument("payload", type=click.Path(path_type=Path))
@click.option("--source", help="The source in relay.yaml; may be left out while there is one.")
@click.option("--header", "headers", multiple=True, callback=header_option, help="'Name: value'; may be repeated.")
@click.option("--method", help="The request's method; POST unless PAYLOAD says it.")
@click.option("--path", help="Path and query as the sender signs them; else public_url's path and /hooks/SOURCE.")
@click.option("--at", callback=_moment, help="Judge the event at this time: ISO 8601, Unix seconds or milliseconds.")
@click.option(
    "--key", type=click.Path(path_type=Path), help="What the sender publishes: a key or certificate (PEM), or a JWKS."
)
@config_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    payload: Path,
    source: str | None,
    headers: Headers,
    method: str | None,
    path: str | None,
    at: datetime | None,
    key: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Show what a webhook would lead to, without network or store.

    PAYLOAD is a file with the webhook's body, or with the whole HTTP request as it was captured; - is standard input.
    Exit 0 when it verified or was not judged, 3 when it is refused.
    """
    loaded = load_settings(config)
    settings = loaded.settings
    name = source_named(settings, source)
    given = parse_payload(read_input(payload, settings.limits.body_bytes))
    pipeline = build_pipelines(settings, table_reader(loaded.folder))[name]
    headers = (*given.headers, *headers)
    chosen_path = path or given.path
    request = RawRequest.of(
        method or given.method or "POST", chosen_path or hook_path(settings, name), headers, given.body
    )
    explanation = explain(
        settings,
        pipeline,
        with_key_of_path(request, name),
        at or system_clock(),
        judge=bool(headers) or key is not None or (chosen_path is not None and _in_path(pipeline)),
        key=None if key is None else read_input(key, _MAX_KEY_BYTES),
    )
    if as_json:
        print_json(asdict(explanation))
    else:
        _show(explanation, request)
    ctx.exit(REFUSED if explanation.verified is False else 0)


def _in_path(pipeline: Pipeline) -> bool:
    """Whether the path alone carries what the source asks for."""
    credential = pipeline.provider.credential
    return credential is not None and credential.kind in ("capability", "query")


def _show(explanation: Explanation, request: RawRequest) -> None:
    _line("source", f"{explanation.source} ({explanation.provider})")
    _line("verified", _verdict(explanation, request))
    _line("status", _joined(explanation.status.value, explanation.status_reason))
    if explanation.confirmation_url is not None:
        _line("confirms", f"GET {explanation.confirmation_url}, before the answer")
    for number, event in enumerate(explanation.events, 1):
        print_event(number, event, [rule for rule in explanation.rules if rule["event"] == number])
    for lookup in explanation.lookups:
        click.echo(
            f"\n{lookup['method']} {plain(lookup['url'])}\nafter the answer, for the URLs of event {lookup['event']}"
        )
    for wire in explanation.requests:
        body = json.dumps(wire["body"], ensure_ascii=False, separators=(",", ":"))
        click.echo(f"\n{wire['method']} {plain(wire['url'])}\n{plain(body)}")


def _verdict(explanation: Explanation, request: RawRequest) -> str:
    if explanation.verified is None:
        return str(explanation.reason)
    if explanation.verified:
        signed = f", signed at {explanation.signed_at}" if explanation.signed_at else ""
        return f"yes ({explanation.scheme}{signed})"
    hint = "the body ends in a line end: was that sent, or added by an editor?" if request.body[-1:] == b"\n" else None
    detail = explanation.detail if explanation.detail != str(explanation.reason).replace("_", " ") else None
    return _joined(f"no, refused: {explanation.reason}", _joined(*filter(None, (detail, hint))) or None)


def _line(name: str, value: object) -> None:
    click.echo(f"{name:<14} {plain(value)}")


def _joined(*parts: str | None) -> str:
    return "; ".join(part for part in parts if part)
