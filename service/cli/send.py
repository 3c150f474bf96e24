"""`image-relay send`: a webhook, signed as its vendor signs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import click
import httpx

from service.cli.address import HOOKS, Address, address_of, hook_path, parse_address, public_prefix
from service.cli.configuration import config_option, load_settings, source_named
from service.cli.output import json_option, plain, print_json
from service.cli.payload import read_input
from service.domain.clock import system_clock
from service.domain.errors import CommandFailed
from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.registry import build
from service.settings.addresses import http_url_problem, is_loopback
from service.settings.model import Settings
from service.settings.wording import did_you_mean

_SECONDS = 30.0
_MAX_BYTES = 64 * 1024 * 1024
_MAX_SHOWN = 2000


@click.command()
@click.option("--source", help="The source in relay.yaml; may be left out while there is one.")
@click.option("--event", help="Which of the vendor's events; --list names them. The first one if left out.")
@click.option("--payload", type=click.Path(path_type=Path), help="A body of your own, - for standard input.")
@click.option("--url", help="The relay's address, or unix:PATH; else that of the settings on this machine.")
@click.option("--signing-key", type=click.Path(path_type=Path), help="The private key, where the relay has the public.")
@click.option("--list", "list_events", is_flag=True, help="Name the events and send none.")
@config_option
@json_option
def command(
    *,
    source: str | None,
    event: str | None,
    payload: Path | None,
    url: str | None,
    signing_key: Path | None,
    list_events: bool,
    config: Path | None,
    as_json: bool,
) -> None:
    """Send a webhook, signed as its vendor signs.

    The body is a realistic sample unless --payload gives one. Exit 0 when the relay answered 2xx.
    """
    settings = load_settings(config).settings
    name = source_named(settings, source)
    provider = build(name, settings.sources[name])
    if list_events:
        events = list(provider.samples(system_clock()))
        print_json(events) if as_json else click.echo("\n".join(events))
        return
    address = _address(settings, url, name)
    request = _signed(provider, settings, event, payload, signing_key)
    answer = _post(address, _path(address, request, public_prefix(settings)), request)
    shown = f"{address}{provider.stored_path(request.path)}"
    if as_json:
        print_json({"url": shown, "status": answer.status_code, "answer": answer.text})
    else:
        click.echo(f"POST {plain(shown)} → {answer.status_code} {plain(answer.text[:_MAX_SHOWN].strip())}")
    if not answer.is_success:
        raise CommandFailed(f"the relay answered {answer.status_code}")


def _signed(
    provider: Provider, settings: Settings, event: str | None, payload: Path | None, signing_key: Path | None
) -> RawRequest:
    """The request the vendor would send."""
    now = system_clock()
    samples = provider.samples(now)
    chosen = event or next(iter(samples))
    if chosen not in samples:
        hint = did_you_mean(chosen, samples) or f" (there is: {', '.join(samples)})"
        raise CommandFailed(f"{provider.info.name} has no event {chosen!r}{hint}")
    sample = samples[chosen]
    if payload is not None:
        sample = Sample(read_input(payload, _MAX_BYTES), sample.headers)
    key = None if signing_key is None else read_input(signing_key, _MAX_BYTES)
    return provider.sign(sample, hook_path(settings, provider.name), now, key)


def _address(settings: Settings, url: str | None, source: str) -> Address:
    if url is None:
        return address_of(settings.server)
    # What `image-relay url` prints is fine too.
    address = parse_address(url.partition(f"{HOOKS}/{source}")[0].rstrip("/"))
    if address.uds is None and (problem := http_url_problem(address.url)):
        raise CommandFailed(f"--url {problem}")
    return address


def _path(address: Address, request: RawRequest, prefix: str) -> str:
    """What is asked of the address: the signed path, less what the address has of it already."""
    return request.path[len(prefix) :] if prefix and urlsplit(address.url).path.rstrip("/") == prefix else request.path


def _post(address: Address, path: str, request: RawRequest) -> httpx.Response:
    if address.uds is not None and not Path(address.uds).is_socket():
        raise CommandFailed(f"no answer from {address}: there is no such socket; is `image-relay serve` running there?")
    # A proxy for the way out is no way to this machine.
    trust_env = address.uds is None and not is_loopback(urlsplit(address.url).hostname or "")
    transport = None if address.uds is None else httpx.HTTPTransport(uds=address.uds)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
    try:
        with httpx.Client(transport=transport, timeout=_SECONDS, trust_env=trust_env) as http:
            return http.post(address.url + path, content=request.body, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        reason = str(error) or type(error).__name__
        raise CommandFailed(f"no answer from {address}: {reason}; is `image-relay serve` running there?") from None
