"""What a vantage point is known by: a key of its own, and a certificate for it."""

from __future__ import annotations

import base64
import datetime
import hashlib
import os
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from bascule.clock import Entropy, UnixTime
from bascule.errors import BasculeError
from bascule.lock import sshsig
from bascule.lock.sshsig import SignatureError
from bascule.storage.private_files import refuse_readable_by_others

_YEARS = datetime.timedelta(days=3650)


def tls_of(path: Path, *, now: UnixTime, entropy: Entropy) -> tuple[ssl.SSLContext, str]:
    """Give what serves TLS with the key in a file, made when missing; its fingerprint.

    The file is made 0600. Raises `BasculeError` for one that cannot be used.
    """
    try:
        if not path.exists():
            _make(path, now, entropy)
        refuse_readable_by_others(path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(path)
        certificate = ssl.PEM_cert_to_DER_cert(_certificate(path.read_text()))
    except (OSError, ValueError) as exc:
        raise BasculeError(
            f"`{path}` cannot be used: {exc}; name another file to begin anew"
        ) from exc
    return context, hashlib.sha256(certificate).hexdigest()


def _certificate(text: str) -> str:
    begin = text.index("-----BEGIN CERTIFICATE-----")
    return text[begin:]


def _make(path: Path, now: UnixTime, entropy: Entropy) -> None:
    key = Ed25519PrivateKey.from_private_bytes(entropy(32))
    begin = datetime.datetime.fromtimestamp(now, datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bascule vantage point")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(entropy(16)) >> 1 or 1)
        .not_valid_before(begin - datetime.timedelta(days=1))
        .not_valid_after(begin + _YEARS)
        .sign(key, None)
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(private + certificate.public_bytes(Encoding.PEM))


def paired_point(line: str) -> bytes:
    """Read what `bascule key vantage` prints. Raises `BasculeError`."""
    kind, _, rest = line.strip().partition(" ")
    try:
        key = sshsig.parse_public_key(base64.b64decode(rest.split(" ")[0], validate=True))
    except (ValueError, SignatureError) as exc:
        raise BasculeError("--paired-key is no key as `ssh-ed25519 AAAA…`") from exc
    if kind != sshsig.PLAIN.decode() or key.application is not None:
        raise BasculeError("--paired-key is no key as `ssh-ed25519 AAAA…`")
    return key.point
