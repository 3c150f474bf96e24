"""Two hundred kills under load on each store: nothing that was acknowledged is lost. Run by `make soak`."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from support.kills import assert_purged, killed
from support.loopback import serve
from support.prepared import FRESH
from support.process import relay

from service.testing.fake_vercel import FakeVercel, create_fake_vercel

KILLS = int(os.environ.get("SOAK_KILLS", "200"))


def test_two_hundred_kills_under_load_lose_nothing(tmp_path: Path, store_url: str) -> None:
    fake = FakeVercel()
    with serve(create_fake_vercel(fake)) as url:
        acked = killed(tmp_path, url, store_url, KILLS, 0.3)
        with relay(tmp_path, environ={"RELAY_STORE": store_url}, program=FRESH):
            assert_purged(fake, acked, 300)
    times = Counter(image for call in fake.calls if call["status"] == 200 for image in call["body"]["srcImages"])
    again = sum(count - 1 for image in acked for count in [times[image]])
    # What was in a call when its process died is asked for once more, and nothing else is.
    assert max(times[image] for image in acked) <= 3
    print(
        f"\n{store_url.partition(':')[0]}: {KILLS} kills, {len(acked)} acknowledged, none lost, {again} asked for again"
    )
