"""A token for Bascule by the identity that its platform gives it (SEP-1933, RFC 7523)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

from bascule.clock import Clock, Entropy
from bascule.credentials.server_metadata import ServerMetadata
from bascule.errors import BasculeError
from bascule.oauthclient.errors import ServerUnavailableError
from bascule.oauthclient.tokens import Tokens
from bascule.oauthclient.wif import redeem_workload_token


class OwnWorkload:
    """Asks one authorization server, with what the platform says at that time."""

    def __init__(
        self,
        server: ServerMetadata,
        read_assertion: Callable[[], str],
        *,
        resource: str,
        scopes: tuple[str, ...],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """`read_assertion` is called for each token: platforms replace theirs often."""
        self._server = server
        self._read_assertion = read_assertion
        self._resource = resource
        self._scopes = scopes
        self._clock = clock
        self._entropy = entropy

    async def for_itself(self, _: Hashable = None) -> Tokens:
        """Get a token for Bascule, whoever calls. Raises `OAuthClientError`."""
        try:
            assertion = await asyncio.to_thread(self._read_assertion)
        except BasculeError as exc:
            raise ServerUnavailableError(str(exc)) from exc
        return await redeem_workload_token(
            await self._server.get(),
            assertion,
            self._server.policy,
            resource=self._resource,
            scopes=self._scopes,
            now=self._clock(),
            entropy=self._entropy,
        )
