"""Verification and normalisation of one event, for each provider, beside one HMAC and one JSON decode of its body.

    make bench   or   python tests/benchmarks/events.py [--rounds 25] [--provider NAME]

The unit is `hmac.new(key, body, "sha256").digest()` plus `json.loads(body)`, both of the standard library: what a
hand-written receiver does. It is measured in the same process, in turn with the provider and over the same body, which
is the provider's default sample grown to 2 KB. Figures are medians over the rounds. Whoever signs with HMAC (or sends a
credential) may cost three units; whoever costs more says why below, or the benchmark fails.
"""

from __future__ import annotations

import argparse
import hmac
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from support.senders import NOW, PATH, PROVIDERS, make, signing_key, with_key_of_path

from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.verification import verify

BUDGET = 3.0
BODY_BYTES = 2048
_SECONDS = 0.0015  # of one measurement: long beside the clock's grain, short beside a neighbour's time slice
_KEY = b"fake-key-of-thirty-two-bytes-0123"

# Why a provider may cost more: by its name, or by a word in what it signs.
WHY = {
    "alibaba-oss-mns": "an RSA signature is checked (about 25 µs by itself), and XML is read",
    "crystallize": "a token is taken apart, and the body is written anew as JavaScript writes it, since that is signed",
    "rfc9421": "the body has a digest of its own beside the HMAC, over parts that a header lists",
    "sanity": "every string is looked at, since a document may have images anywhere",
    "in the body": "the secret stands in the body, which is read once more when that is blotted out",
    "RSA": "an RSA signature is checked (about 25 µs by itself)",
    "JWT": "a token is taken apart, its claims are decoded and its signature is checked",
}

_RECORD: dict[str, Any] = {  # as CMSs describe whatever they hold
    "title": "Handwoven basket of willow, large",
    "slug": "handwoven-basket-large",
    "description": "Woven by hand from willow grown nearby. Its handles are of the same rods, and it carries 12 kg.",
    "sku": "BSK-0042",
    "in_stock": True,
    "quantity": 17,
    "price": {"amount": 49.5, "currency": "EUR"},
    "labels": ["home", "storage", "new"],
    "author": {"id": "usr_01HZX5", "name": "Jane Doe", "email": "jane@example.com"},
}


@dataclass(slots=True)
class Figures:
    """Seconds, one of each a round."""

    name: str
    signs: str
    unit: list[float] = field(default_factory=list)
    verify: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios: noise that lasts longer than a round falls out."""
        whole = zip(self.verify, self.read, self.unit, strict=True)
        return statistics.median((one + other) / unit for one, other, unit in whole)

    @property
    def why(self) -> str:
        """Why it may cost more than the budget; empty where nothing says so."""
        return WHY.get(self.name) or next((reason for word, reason in WHY.items() if word in self.signs), "")


def grown(body: bytes) -> bytes:
    """The JSON document with more fields of the kind that senders have, 2 KB in all."""
    document = json.loads(body)
    inside = document[0] if isinstance(document, list) else document
    while (missing := BODY_BYTES - len(_encoded(document))) > len(_encoded(_RECORD)) + 2:
        inside.setdefault("details", []).append(_RECORD)
        if missing == BODY_BYTES - len(_encoded(document)):
            raise AssertionError("the body does not grow")
    if missing > 20:
        inside["remarks"] = ("Ships within two days. " * 100)[: missing - 13]
    return _encoded(document)


def _encoded(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def request_of(provider: Provider) -> RawRequest:
    """The default sample, grown and signed."""
    sample = next(iter(type(provider).samples(NOW).values()))
    request = provider.sign(Sample(grown(sample.body), sample.headers), PATH, NOW, signing_key(provider))
    by_path = provider.credential is not None and provider.credential.kind == "capability"
    return with_key_of_path(request) if by_path else request


def _body_as_json(request: RawRequest, provider: Provider) -> bytes:
    """What the unit decodes: the body, or the document in it where a form carries it."""
    try:
        json.loads(request.body)
    except ValueError:
        return grown(next(iter(type(provider).samples(NOW).values())).body)
    return request.body


def _timed(work: Callable[[], object], times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - begun) / times


def _measure(name: str) -> Callable[[Figures], None]:
    """One round of one provider."""
    provider = make(name)
    request = request_of(provider)
    document = _body_as_json(request, provider)
    genuine = verify(provider, request, NOW)

    def unit() -> None:
        hmac.new(_KEY, request.body, "sha256").digest()
        json.loads(document)

    def verified() -> None:
        verify(provider, request, NOW)

    def normalised() -> None:
        provider.read(genuine)

    def once(figures: Figures) -> None:
        for work, found in ((unit, figures.unit), (verified, figures.verify), (normalised, figures.read)):
            times = max(1, round(_SECONDS / max(_timed(work, 3), 1e-7)))
            found.append(_timed(work, times))

    return once


def measured(names: list[str], rounds: int) -> list[Figures]:
    found = [(Figures(name, make(name).info.signs), _measure(name)) for name in names]
    for _ in range(rounds):
        for figures, once in found:
            once(figures)
    return [figures for figures, _ in found]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--provider", action="append", choices=sorted(PROVIDERS))
    given = parser.parse_args(arguments)
    unexplained = 0
    print(f"{'one event of 2 KB':26}{'verify µs':>10}{'read µs':>9}{'unit µs':>9}{'× unit':>8}")
    for figures in measured(given.provider or sorted(PROVIDERS), given.rounds):
        took = [statistics.median(values) * 1e6 for values in (figures.verify, figures.read, figures.unit)]
        over = figures.ratio > BUDGET
        note = (f"  over {BUDGET:g}: {figures.why or 'UNEXPLAINED'}") if over else ""
        unexplained += over and not figures.why
        print(f"{figures.name:26}{took[0]:10.1f}{took[1]:9.1f}{took[2]:9.1f}{figures.ratio:8.2f}{note}")
    print(f"over the budget of {BUDGET:g} without an explanation: {unexplained}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
