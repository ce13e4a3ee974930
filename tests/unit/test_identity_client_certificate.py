"""Which names a certificate has, and which it only seems to have."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from bascule.identity.client_certificate import client_certificate
from certificates import new_authority

SPIFFE = "spiffe://corp.example/a"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([SPIFFE], {SPIFFE}),
        (["A.example"], {"dns:a.example"}),
        ([SPIFFE, "a.example", "b.example"], {SPIFFE, "dns:a.example", "dns:b.example"}),
        (["*.example"], {"dns:*.example"}),  # no pattern: it is its own name alone
        ([SPIFFE, "spiffe://corp.example/b"], set()),
        ([SPIFFE, "https://corp.example/b", "a.example"], {"dns:a.example"}),
        (["10.0.0.1"], set()),
    ],
)
def test_names_are_alternative_names(
    tmp_path: Path, names: list[str], found: set[str]
) -> None:
    """The common name, which is the first here, never counts."""
    path, _ = new_authority().write(tmp_path, *names)
    der = ssl.PEM_cert_to_DER_cert(path.read_text())
    assert client_certificate(der).names == found


@pytest.mark.parametrize("der", [b"", b"no certificate", b"0\x82\x01\x00"])
def test_what_cannot_be_read_has_no_names(der: bytes) -> None:
    found = client_certificate(der)
    assert found.names == frozenset()
    assert len(found.digest) == 43


@pytest.mark.parametrize(
    "alternatives",
    [
        b"\x30\x04\xa3\x02\x30\x00",  # an address of X.400
        b"\x30\x04\x82\x02\xff\xfe",  # a host that is no text
        b"\x30\x01\x00",
        b"nothing",
    ],
)
def test_names_of_odd_kinds_are_none(tmp_path: Path, alternatives: bytes) -> None:
    authority = new_authority()
    key = ec.generate_private_key(ec.SECP256R1())
    name = authority.certificate.subject
    odd = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, alternatives)
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 7, now, now)
        .add_extension(odd, critical=False)
        .sign(authority.key, SHA256())
    )
    assert client_certificate(made.public_bytes(Encoding.DER)).names == frozenset()


def test_a_certificate_without_alternative_names_has_none() -> None:
    der = ssl.PEM_cert_to_DER_cert(new_authority().pem)
    assert client_certificate(der).names == frozenset()
