from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import CertificateBuilder, Name, NameAttribute, random_serial_number
from cryptography.x509.oid import NameOID
from support.senders import NOW, ed25519_key, rsa_key


def _certificate(start: datetime, end: datetime, *, rsa: bool = True) -> bytes:
    name = Name([NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = (
        CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key((rsa_key() if rsa else ed25519_key()).public_key())
        .serial_number(random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    return builder.sign(rsa_key(), SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture(scope="session")
def certificate() -> bytes:
    """A certificate of the tests' RSA key, valid for a day around now."""
    return _certificate(NOW - timedelta(days=1), NOW + timedelta(days=1))


@pytest.fixture(scope="session")
def expired() -> bytes:
    """The same key's, valid until yesterday."""
    return _certificate(NOW - timedelta(days=2), NOW - timedelta(days=1))


@pytest.fixture(scope="session")
def early() -> bytes:
    """The same key's, valid from tomorrow."""
    return _certificate(NOW + timedelta(days=1), NOW + timedelta(days=2))


@pytest.fixture(scope="session")
def not_rsa() -> bytes:
    """A valid certificate of an Ed25519 key."""
    return _certificate(NOW - timedelta(days=1), NOW + timedelta(days=1), rsa=False)
