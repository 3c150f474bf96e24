"""What the command line shows of lookups, and what it says of a `resolve` that is wrong."""

from __future__ import annotations

import json

from support.commands import CONFIG, NOW, Relay

from service.providers.base import Sample

WITH_RESOLVE = CONFIG + (
    "    resolve:\n"
    '      url: "https://api.example/assets/{{ asset.id }}"\n'
    "      headers: {Authorization: fake-api-token-0123456789}\n"
)
EVENT = json.dumps({"type": "asset.replaced", "data": {"id": "lamp"}})


def test_a_receipt_that_waits(relay: Relay) -> None:
    relay.write(WITH_RESOLVE)
    request = relay.pipelines()["hook"].provider.sign(Sample(EVENT.encode()), "/hooks/hook", NOW)
    taken = relay.take(request)
    done = relay.run("receipts", "show", taken.id)
    assert "waiting for a lookup" in done.out
    assert ": pending, GET https://api.example/assets/lamp" in done.out
    assert "of asset lamp, attempts: 0" in done.out
    (lookup,) = relay.run("receipts", "show", "--json", taken.id).json["lookups"]
    assert (lookup["asset"], lookup["state"], lookup["last_error"]) == ("lamp", "pending", None)
    again = relay.run("receipts", "replay", taken.id)
    assert "accepted, 0 purges (waiting for a lookup)" in again.out
    assert "fake-api-token" not in done.out + again.out


def test_explain(relay: Relay) -> None:
    relay.write(WITH_RESOLVE)
    done = relay.run("explain", "-", stdin=EVENT)
    assert "GET https://api.example/assets/lamp" in done.out
    assert "after the answer, for the URLs of event 1" in done.out
    assert "fake-api-token" not in done.out
    (lookup,) = relay.run("explain", "--json", "-", stdin=EVENT).json["lookups"]
    assert lookup["headers"] == ["accept", "authorization"]


def test_check_tells_what_is_wrong_with_a_resolve(relay: Relay) -> None:
    wrong = (
        WITH_RESOLVE.replace("asset.id", "asset.idd")
        .replace("Authorization", "Host")
        .replace('"/products/" in', "url in")
    )
    relay.write(wrong)
    told = relay.run("check").err
    assert "sources.hook.resolve.url: unknown attribute of asset 'idd', did you mean 'id'?" in told
    assert "sources.hook.resolve.headers.Host: is set by the relay itself" in told
    line = 1 + wrong.splitlines().index('      url: "https://api.example/assets/{{ asset.idd }}"')
    assert f"relay.yaml:{line}: sources.hook.resolve.url" in told
    relay.write(WITH_RESOLVE.replace('"/products/" in url', "nothing in url"))
    assert "unknown name 'nothing'" in relay.run("check").err


def test_a_token_from_the_environment_that_is_empty(relay: Relay) -> None:
    relay.write(WITH_RESOLVE.replace("fake-api-token-0123456789", "'${CMS_TOKEN}'"))
    assert "CMS_TOKEN" in relay.run("check").err
    assert relay.run("check", environ={"CMS_TOKEN": "fake-api-token-0123456789"}).code == 0
