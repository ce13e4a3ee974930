"""Where a request comes from."""

from __future__ import annotations

from starlette.requests import Request

from bascule.identity.client_certificate import ClientCertificate
from bascule.net.addresses import source_network


def peer_of(request: Request) -> str:
    """Give the client's address, as records have it."""
    return request.client.host if request.client is not None else "unknown"


def certificate_of(request: Request) -> ClientCertificate | None:
    """Give the certificate that the client has shown, verified, where TLS ends here."""
    found = request.scope.get("bascule.certificate")
    return found if isinstance(found, ClientCertificate) else None


def source_of(request: Request) -> str:
    """Give whom failures are counted for; see `source_network`."""
    return source_network(peer_of(request))
