"""Certificates that clients show where TLS ends here: digest and names (RFC 8705).

TLS has verified what comes here: that it is of an authority that counts and in force, and
that the client holds its key.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509

from bascule.identity.confirmation import certificate_digest

DNS = "dns:"
"""Before a name that is one of the DNS; other names are URIs."""
_UNREADABLE = (
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What is kept of one."""

    digest: str
    """`x5t#S256` (§3.1)."""
    names: frozenset[str]
    """Subject alternative names, in full: a URI, and `dns:` with a host in lower case."""


def client_certificate(der: bytes) -> ClientCertificate:
    """Read a verified certificate. Raises nothing: one that cannot be read has no names."""
    return ClientCertificate(certificate_digest(der), _names(der))


def _names(der: bytes) -> frozenset[str]:
    """Give its names; of several URIs none, as nobody has two (SPIFFE X.509-SVID §2)."""
    try:
        extensions = x509.load_der_x509_certificate(der).extensions
        found = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = found.get_values_for_type(x509.UniformResourceIdentifier)
        hosts = found.get_values_for_type(x509.DNSName)
    except (ValueError, *_UNREADABLE):
        return frozenset()
    return frozenset(
        [*(uris if len(uris) == 1 else ()), *(f"{DNS}{it.lower()}" for it in hosts)]
    )
