"""How a token is asked for, without a user at hand: for Bascule itself, or for a user.

For a user Bascule signs a statement of its own, good for a minute at that authorization
server alone: who the user is, and through which agent they act. The client's token is no
part of it (RFC 8693; MCP 2026-07-28, token passthrough).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from bascule.clock import Clock, Entropy, UnixTime
from bascule.credentials.server_metadata import ServerMetadata
from bascule.identity.keys import ALGORITHM, SigningKey
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.client import AssertionKey, Client, signed
from bascule.oauthclient.client_credentials import client_credentials
from bascule.oauthclient.exchange import JWT, Shown, exchange_token
from bascule.oauthclient.id_jag import IdentityAssertion, redeem_id_jag
from bascule.oauthclient.tokens import Tokens

STATEMENT_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where tokens for one upstream come from."""

    issuer: str
    client: Client
    resource: str
    """The upstream's address (RFC 8707)."""
    scopes: tuple[str, ...]
    audience: str | None
    policy: FetchPolicy


@dataclass(frozen=True, slots=True)
class Actors:
    """For whom a token is: a user, who acts through an agent."""

    user: str
    """Name, without the `user:` of the configuration."""
    agent: str


class Asking:
    """Asks one authorization server; used on one event loop."""

    def __init__(self, source: Source, clock: Clock, entropy: Entropy) -> None:
        self._source = source
        self._clock = clock
        self._entropy = entropy
        self._server = ServerMetadata(source.issuer, source.policy)

    async def for_itself(self, _: Hashable = None) -> Tokens:
        """Get a token for Bascule, whoever calls. Raises `OAuthClientError`."""
        source = self._source
        return await client_credentials(
            await self._server.get(),
            source.client,
            source.policy,
            resource=source.resource,
            scopes=source.scopes,
            now=self._clock(),
            entropy=self._entropy,
        )

    async def for_user(
        self, actors: Actors, *, public_url: str, key: Callable[[], SigningKey]
    ) -> Tokens:
        """Get a token for a user by exchange. Raises `OAuthClientError`.

        `key` gives what signs tokens now; its public part is at `public_url`.
        """
        source, now = self._source, self._clock()
        statement = self.statement(actors, public_url=public_url, key=key(), now=now)
        return await exchange_token(
            await self._server.get(),
            source.client,
            Shown(statement, JWT),
            source.policy,
            resource=source.resource if source.audience is None else None,
            audience=source.audience,
            scopes=source.scopes,
            now=now,
            entropy=self._entropy,
        )

    async def with_assertion(self, assertion: IdentityAssertion) -> Tokens:
        """Redeem what a provider vouches for (ID-JAG). Raises `OAuthClientError`."""
        source = self._source
        return await redeem_id_jag(
            await self._server.get(),
            source.client,
            assertion,
            source.policy,
            now=self._clock(),
            entropy=self._entropy,
        )

    def statement(
        self, actors: Actors, *, public_url: str, key: SigningKey, now: UnixTime
    ) -> str:
        """Sign who acts for whom, as a JWT for that authorization server alone."""
        claims = {
            "iss": public_url,
            "sub": actors.user,
            "aud": self._source.issuer,
            "act": {"sub": actors.agent},
            "iat": now,
            "exp": now + STATEMENT_SECONDS,
            "jti": self._entropy(16).hex(),
        }
        signer = AssertionKey(key.key, ALGORITHM, {"kid": key.kid})
        return signed(claims, signer, typ="JWT")
