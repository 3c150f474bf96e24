"""The benchmark goes on working: its parts, with little of everything."""

from __future__ import annotations

import asyncio
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from benchmarks import __main__ as bench
from benchmarks import load, peers, report
from benchmarks.filled import fill_postgres, fill_sqlite
from benchmarks.measures import Scale
from benchmarks.report import Row
from support.stored import Rules, accept, event, receipt, wanted

from service.settings.addresses import is_postgres, sqlite_path
from service.store import open_store
from service.store.inbox import Inbox

TINY = Scale(rounds=1, seconds=1, stored=(10,), workers=(2,), events=20, assets=5, settle=0, idle=1, kills=1, starts=1)
ROWS = [Row("acks/s", "3,000", "bare", "6,000", 0.5, "≥ 0.60"), Row("lost", "0", "webhook", "7", None, "0")]


@pytest.mark.e2e
def test_the_parts_that_need_no_wrk_give_rows() -> None:
    rows, _ = bench.run(TINY, ["burst", "killed"], None, None)
    assert [row.theirs for row in rows[:1]] == ["20.0"]
    assert rows[-1].measured.startswith("acked but lost under 1 SIGKILLs")
    assert rows[-1].ours == "0"


def test_what_needs_wrk_is_left_out_without_it() -> None:
    assert bench.run(TINY, ["acks", "workers"], None, None)[0] == []


async def test_a_store_is_filled_with_copies_of_what_it_has(store_url: str) -> None:
    engine = await open_store(store_url)
    await accept(Inbox(engine), receipt("e1"), [event("https://img.example.com/a.jpg", id="a1")], Rules(wanted()))
    await engine.close()
    if is_postgres(store_url):
        await asyncio.to_thread(fill_postgres, store_url, 10)
    else:
        fill_sqlite(sqlite_path(store_url), 10)
    engine = await open_store(store_url)
    try:
        assert len(await Inbox(engine).list(limit=100)) == 11
    finally:
        await engine.close()


def test_the_peers_take_what_is_sent(tmp_path: Path) -> None:
    with peers.started(peers.bare(), tmp_path) as peer:
        named = [(str(number), load.request(f"r{number}")) for number in range(5)]
        assert asyncio.run(load.send(peer.address, named, 2)) == {name for name, _ in named}


def test_wrk_s_script_finds_each_request(tmp_path: Path) -> None:
    written = load.write_requests(tmp_path / "requests", 2, "r").read_bytes()
    length, _, rest = written.partition(b"\n")
    assert rest.startswith(b"POST /hooks/hook HTTP/1.1\r\n")
    assert rest[int(length) :].partition(b"\n")[2].startswith(b"POST ")


def test_wrk_s_last_line_is_read() -> None:
    said = "Running 1s test\nresult 3000 2000000 1500 4000 0 7\n"
    assert load.parsed(said) == load.Measured(count=3000, seconds=2, p50=1.5, p99=4, failed=0, again=7)


def test_the_table_is_written_between_the_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write_between_markers(readme, report.markdown(ROWS, "2 cores"))
    text = readme.read_text()
    assert "old" not in text
    assert "| acks/s | 3,000 | bare | 6,000 | 0.50 | ≥ 0.60 |" in text
    assert text.endswith(f"{report.END}\nafter\n")
    report.write_between_markers(readme, report.markdown(ROWS, "2 cores"))
    assert readme.read_text() == text
    readme.write_text("no table here")
    with pytest.raises(ValueError, match="no markers"):
        report.write_between_markers(readme, "")


def test_the_readme_has_the_markers() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    assert text.index(report.BEGIN) < text.index(report.END)


def test_the_table_lines_up() -> None:
    head, first, second = report.text(ROWS).splitlines()
    assert head.index("ratio") + len("ratio") == first.index("0.50") + len("0.50")
    assert second.endswith("0")


def test_the_plot_is_well_formed() -> None:
    drawn = report.plot([("a & b", 1.0, False), ("relay", 0.5, True)], "Acks", report.machine())
    assert len(ET.fromstring(drawn).findall("{http://www.w3.org/2000/svg}rect")) == 3  # noqa: S314  # our own
