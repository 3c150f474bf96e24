"""A secret shows itself when asked to, and never otherwise."""

from __future__ import annotations

import pickle

import pytest

from service.domain.secret import Secret

VALUE = "fake-secret-0123456789"


@pytest.mark.parametrize("shown", [repr, str, "{}".format, "{!r}".format, lambda secret: f"{secret}"])
def test_it_does_not_show(shown: object) -> None:
    assert callable(shown)
    assert VALUE not in shown(Secret(VALUE))
    assert VALUE not in shown([Secret(VALUE)])


def test_it_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(VALUE))


def test_it_is_compared_and_told_apart_by_its_value() -> None:
    assert Secret(VALUE) == Secret(VALUE) != Secret("another")
    assert Secret(VALUE) != VALUE
    assert len({Secret(VALUE), Secret(VALUE), Secret("another")}) == 2
    assert Secret(VALUE).fingerprint() == Secret(VALUE).fingerprint() != Secret("another").fingerprint()
    assert VALUE not in Secret(VALUE).fingerprint()
    assert Secret(VALUE)
    assert not Secret("")
    assert Secret(VALUE).reveal().encode() == Secret(VALUE).encode()
