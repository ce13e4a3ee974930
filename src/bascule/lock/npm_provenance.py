"""Where a package of npm was built, verified from a document alone (npm provenance, SLSA).

No network is asked: see `pypi_provenance`. Of the attestations in a document only those
that say how the package was built are looked at; that npm published it is no news.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec
from msgspec import Raw, Struct

from bascule.lock.model import Provenance
from bascule.lock.pypi_provenance import DOCUMENT_BYTES

if TYPE_CHECKING:  # an extra, and slow to import
    from cryptography.x509 import Certificate
    from sigstore.models import Bundle

_BUILT = ("https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2")
_STATEMENT = "application/vnd.in-toto+json"
_CLAIMS = {
    "issuer": "1.3.6.1.4.1.57264.1.8",
    "repository": "1.3.6.1.4.1.57264.1.12",
    "commit": "1.3.6.1.4.1.57264.1.13",
    "ref": "1.3.6.1.4.1.57264.1.14",
    "workflow": "1.3.6.1.4.1.57264.1.18",
}
"""Extensions of certificates by Fulcio, `docs/oid-info.md` there."""
_UTF8_STRING = 0x0C


class _Attestation(Struct):
    type: str = msgspec.field(name="predicateType")
    bundle: Raw


class _Document(Struct):
    attestations: list[_Attestation]


_documents = msgspec.json.Decoder(_Document)


class _Anybody:
    """A policy of sigstore's: the lock says who signed, and people judge that."""

    def verify(self, cert: Certificate) -> None:
        """Accept any certificate that was issued for a build or a person."""


def verify_npm(document: bytes, purl: str, sha512: str) -> Provenance:
    """Verify the provenance of one package, by its name, version and SHA-512.

    `unsupported` without the extra `provenance`, and for bundles of the first format, which
    nobody verifies any more. All that say how it was built must verify and name one
    identity, else it is `invalid`.
    """
    try:
        from sigstore.errors import Error
        from sigstore.models import Bundle, InvalidBundle
    except ImportError:
        return Provenance("unsupported")
    if len(document) > DOCUMENT_BYTES:
        return Provenance("invalid")
    try:
        attested = _documents.decode(document).attestations
        built = [bytes(it.bundle) for it in attested if it.type in _BUILT]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Provenance("invalid")
    found = set()
    for raw in built:
        try:
            bundle = Bundle.from_json(raw)
        except (InvalidBundle, ValueError):
            return Provenance("unsupported")
        try:
            claims = _verified(bundle, purl, sha512)
        except (Error, ValueError):
            return Provenance("invalid")
        digest = hashlib.sha256(document).hexdigest()
        found.add(Provenance("verified", bundle_sha256=digest, **claims))
    if not found:
        return Provenance("absent")
    return found.pop() if len(found) == 1 else Provenance("invalid")


def _verified(bundle: Bundle, purl: str, sha512: str) -> dict[str, str]:
    """Verify one bundle; gives who signed it. Raises sigstore's `Error` and ValueError."""
    from sigstore.verify import Verifier

    kind, payload = Verifier.production(offline=True).verify_dsse(bundle, _Anybody())
    if kind != _STATEMENT or not _is_about(json.loads(payload), purl, sha512):
        raise ValueError("another package was attested")
    claims = {it: claim(bundle.signing_certificate, oid) for it, oid in _CLAIMS.items()}
    claims["repository"] = claims["repository"].removeprefix("https://")
    return claims


def _is_about(statement: Any, purl: str, sha512: str) -> bool:
    """Tell whether a statement has just this package as its subject (in-toto, v1)."""
    try:
        (subject,) = statement["subject"]
        return bool(
            statement["predicateType"] in _BUILT
            and unquote(subject["name"]) == unquote(purl)
            and sha512
            and subject["digest"]["sha512"] == sha512
        )
    except (KeyError, TypeError, ValueError):
        return False


def claim(certificate: Certificate, oid: str) -> str:
    """Give what a certificate of Fulcio says; empty for nothing. Raises ValueError."""
    from cryptography.x509 import ExtensionNotFound, ObjectIdentifier, UnrecognizedExtension

    try:
        found = certificate.extensions.get_extension_for_oid(ObjectIdentifier(oid)).value
    except ExtensionNotFound:
        return ""
    if not isinstance(found, UnrecognizedExtension):
        raise ValueError("an extension is of another kind")
    return utf8_string(found.value)


def utf8_string(der: bytes) -> str:
    """Read a DER UTF8String of less than 64 KiB (X.690 §8.1). Raises ValueError."""
    if len(der) < 2 or der[0] != _UTF8_STRING:
        raise ValueError("an extension is no text")
    lengths = der[1] - 0x80 if der[1] > 0x80 else 0
    start = 2 + lengths
    length = int.from_bytes(der[2:start], "big") if lengths else der[1]
    if lengths > 2 or len(der) != start + length:
        raise ValueError("an extension has another length than it says")
    return der[start:].decode()
