"""A store by its URL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.domain.errors import StoreUnavailable
from service.store import open_store


async def test_a_sqlite_url_is_a_file(tmp_path: Path) -> None:
    engine = await open_store(f"sqlite:///{tmp_path / 'a.db'}")
    await engine.close()
    beside = await open_store(f"sqlite:///{tmp_path / 'a.db'}", upgrade=False)
    assert list(beside.applied) == []
    await beside.close()
    assert (tmp_path / "a.db").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://relay:fake@127.0.0.1:1/relay", r"the store at 127\.0\.0\.1/relay: .*refused"),
        ("postgres://relay:fake@127.0.0.1:1/relay", r"the store at 127\.0\.0\.1/relay: .*refused"),
        ("mysql://db/relay", "must be sqlite:///PATH"),
        ("sqlite:///:memory:", "has to survive a restart"),
        ("", "must be sqlite:///PATH"),
    ],
)
async def test_other_urls_say_what_is_possible(url: str, message: str) -> None:
    with pytest.raises(StoreUnavailable, match=message) as caught:
        await open_store(url)
    assert "fake" not in str(caught.value)


async def test_postgresql_without_its_extra_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "service.store.postgres", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(
        StoreUnavailable, match=r"not installed \(psycopg\): pip install 'vercel-image-relay\[postgres\]'"
    ):
        await open_store("postgresql://relay:fake@127.0.0.1:1/relay")


def test_a_url_imports_only_what_it_needs() -> None:
    code = (
        "import asyncio, sys\nfrom service.store import open_store\nassert 'service.store.sqlite' not in sys.modules\n"
        "try:\n    asyncio.run(open_store('postgresql://db/relay'))\nexcept Exception: pass\n"
        "assert 'service.store.sqlite' not in sys.modules\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
