"""What a real process says at /metrics, and what is built on it: the page, rules, alerts and the dashboard."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from support.loopback import serve
from support.process import TOKEN, eventually, relay, write_config
from support.webhooks import replaced, signed

from service.testing.fake_answers import Answer
from service.testing.fake_vercel import FakeVercel, create_fake_vercel

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus"
GUESSES = 100
"""Forged webhooks, each with another forged everything."""


def scrape(http: httpx.Client) -> dict[str, Metric]:
    families = text_string_to_metric_families(http.get("/metrics").raise_for_status().text)
    return {family.name: family for family in families}


def total(families: Mapping[str, Metric], sample: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels."""
    return sum(
        one.value
        for family in families.values()
        for one in family.samples
        if one.name == sample and labels.items() <= one.labels.items()
    )


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Metric]]:
    """Two workers' merged metrics after some webhooks, many forged ones and the calls they led to."""
    fake = FakeVercel(tokens=[TOKEN], projects=["my-shop"], answers=[Answer(status=200, remaining=41, times=None)])
    folder = tmp_path_factory.mktemp("metrics")
    with serve(create_fake_vercel(fake)) as vercel:
        write_config(folder, vercel)
        with relay(folder, "--workers", "2") as process, httpx.Client(base_url=process.address, timeout=30) as http:
            eventually(lambda: http.get("/readyz").status_code == 200)
            for number in range(6):
                body = replaced(f"a{number}", f"https://img.example.com/{number}.jpg")
                with httpx.Client(base_url=process.address, timeout=30) as other:  # so that both workers get some
                    assert (
                        other.post("/hooks/hook", content=body, headers=signed(f"m{number}", body)).status_code == 200
                    )
            for number in range(GUESSES):
                forged = {
                    "webhook-id": f"x{number}",
                    "webhook-signature": f"v{number},{number}",
                    "x-reason": f"{number}",
                }
                assert http.post(f"/hooks/hook?reason={number}", content=b"{}", headers=forged).status_code == 401
                if number < 30:
                    assert http.post(f"/hooks/made-up-{number}", content=b"{}").status_code == 404
            found: dict[str, Metric] = {}

            def complete() -> bool:
                found.clear()
                found.update(scrape(http))
                done = total(found, "relay_purges_finished_total", state="done")
                refused = total(found, "relay_webhooks_total", verdict="refused")
                return (done, refused) == (6, GUESSES) and bool(found["relay_assets"].samples)

            eventually(complete, what="the metrics of both workers, merged")
            yield found
            assert process.stop() == 0


def test_the_numbers_are_those_of_all_workers(families: Mapping[str, Metric]) -> None:
    assert total(families, "relay_webhooks_total", source="hook", verdict="accepted") == 6
    assert total(families, "relay_webhook_duration_seconds_count", acknowledged="true") == 6
    assert total(families, "relay_webhook_duration_seconds_count", acknowledged="false") == GUESSES
    assert total(families, "relay_purged_events_total", project="shop") == 6
    assert total(families, "relay_purge_duration_seconds_bucket", le="+Inf") == 6
    assert 1 <= total(families, "relay_vercel_calls_total", outcome="done", status="200") <= 6
    assert total(families, "relay_vercel_call_images_total") == 6
    assert total(families, "relay_vercel_rate_limit_remaining", project="shop") == 41
    assert total(families, "relay_store_commit_jobs_sum") >= total(families, "relay_store_commit_jobs_count") >= 3
    assert total(families, "relay_store_up") == 1
    assert total(families, "process_open_fds") > 10
    (build,) = families["relay_build_info"].samples
    assert set(build.labels) == {"version", "commit"}


def test_no_sender_makes_labels(families: Mapping[str, Metric]) -> None:
    refused = [one for one in families["relay_webhooks"].samples if one.labels.get("verdict") == "refused"]
    assert len(refused) < 8, "words of the program, however many ways there are to be wrong"
    assert {one.labels["source"] for one in families["relay_webhooks"].samples} == {"hook"}
    samples = sum(len(family.samples) for family in families.values())
    assert samples < 300


def documented() -> dict[str, tuple[str, str]]:
    """The tables of deploy/OBSERVING.md: each metric's type and labels."""
    row = re.compile(r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \|([^|]*)\|", re.MULTILINE)
    text = (DEPLOY / "OBSERVING.md").read_text("utf-8")
    return {name: (kind, labels.replace("`", "").strip()) for name, kind, labels in row.findall(text)}


def test_the_page_has_every_metric_and_no_other(families: Mapping[str, Metric]) -> None:
    real = {}
    for family in families.values():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for one in family.samples for label in one.labels} - {"le"}
        real[name] = (family.type, labels)
    page = {name: (kind, set(labels.split())) for name, (kind, labels) in documented().items()}
    quiet = {name for name, family in families.items() if not family.samples}
    assert quiet == {"relay_failing_lookups"}
    real["relay_failing_lookups"] = ("gauge", {"source"})
    assert page == real


def expressions() -> list[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text("utf-8"))
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    variables = [one["definition"] for one in dashboard["templating"]["list"] if one["type"] == "query"]
    return [*panels, *variables, *(rule["expr"] for rule in rules("recording")), *(r["expr"] for r in rules("alerts"))]


def rules(name: str) -> list[dict[str, Any]]:
    document = yaml.safe_load((RULES / f"{name}.yml").read_text("utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_what_is_asked_for_exists(families: Mapping[str, Metric]) -> None:
    known = {rule["record"] for rule in rules("recording")} | {"relay_failing_lookups"}
    known |= {one.name for family in families.values() for one in family.samples}
    asked = {name for text in expressions() for name in re.findall(r"\b(?:relay|process)[a-z_]*[_:][a-z0-9_:]+", text)}
    assert len(asked) > 30
    assert asked - known == set()
    assert {one for one in known if one.startswith("relay:")} - asked == set(), "what nobody reads need not be recorded"


def test_bounds_and_words_that_are_asked_for_exist(families: Mapping[str, Metric]) -> None:
    bounds = {one.labels["le"] for family in families.values() for one in family.samples if "le" in one.labels}
    for text in expressions():
        assert set(re.findall(r'le="([^"]+)"', text)) <= bounds


def test_panels_are_apart_and_tell_their_source() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text("utf-8"))
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["fieldConfig"]["defaults"]["unit"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


def test_every_alert_says_what_to_do() -> None:
    for alert in rules("alerts"):
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert alert["annotations"]["summary"]
        assert len(alert["annotations"]["description"]) > 40


def blocks(mark: str) -> str:
    text = (DEPLOY / "OBSERVING.md").read_text("utf-8")
    found = re.search(rf"<!-- tested: {mark} -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is in Debian's package prometheus")
def test_promtool_agrees_by_the_page_s_own_commands(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-ec", blocks("promtool")], cwd=DEPLOY.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == 3, "two files checked, and the rules tried out"
    for name in ("recording.yml", "alerts.yml"):
        shutil.copy(RULES / name, tmp_path)
    (tmp_path / "prometheus.yml").write_text(blocks("scrape"))
    done = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_names_every_alert() -> None:
    text = (DEPLOY / "OBSERVING.md").read_text("utf-8")
    assert set(re.findall(r"`(Relay[A-Za-z]+)`", text)) == {rule["alert"] for rule in rules("alerts")}
