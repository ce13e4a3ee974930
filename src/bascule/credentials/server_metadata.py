"""What a configured authorization server says of itself, kept for a while."""

from __future__ import annotations

from bascule.clock import monotonic
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.discovery import AuthorizationServer, authorization_server

METADATA_SECONDS = 300.0


class ServerMetadata:
    """That of one issuer; used on one event loop."""

    def __init__(self, issuer: str, policy: FetchPolicy) -> None:
        self.policy = policy
        """Which addresses may be asked."""
        self._issuer = issuer
        self._server: AuthorizationServer | None = None
        self._until = 0.0

    async def get(self) -> AuthorizationServer:
        """Give it, read anew when it is old. Raises `OAuthClientError`."""
        if self._server is None or monotonic() >= self._until:
            self._server = await authorization_server(self._issuer, self.policy)
            self._until = monotonic() + METADATA_SECONDS
        return self._server
