"""Certificates for servers that tests run, and the one authority that they trust."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that lives as long as a test."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def trust(self) -> ssl.SSLContext:
        """Give a client's context that trusts this authority and nobody else."""
        return ssl.create_default_context(cadata=self.pem)

    def write(self, folder: Path, *names: str, expired: bool = False) -> tuple[Path, Path]:
        """Write a server's certificate and key for names or addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([_general_name(it) for it in names])
        builder = _builder(key, names[0], self.certificate.subject, expired=expired)
        certificate = builder.add_extension(alternatives, critical=False).sign(
            self.key, SHA256()
        )
        file = names[0].replace("/", "_")
        paths = folder / f"{file}.pem", folder / f"{file}.key"
        paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        paths[1].touch(0o600)
        paths[1].write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        return paths

    def server(self, folder: Path, *names: str, expired: bool = False) -> ssl.SSLContext:
        """Give a server's context for names or addresses."""
        certificate, key = self.write(folder, *names, expired=expired)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        return context


def new_authority() -> Authority:
    """Make an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(key, "tests of Bascule", None, expired=False).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    return Authority(key, builder.sign(key, SHA256()))


def _builder(
    key: ec.EllipticCurvePrivateKey, name: str, issuer: x509.Name | None, *, expired: bool
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 3 * DAY)
        .not_valid_after(now - DAY if expired else now + 3 * DAY)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        uri = "://" in name
        return x509.UniformResourceIdentifier(name) if uri else x509.DNSName(name)
