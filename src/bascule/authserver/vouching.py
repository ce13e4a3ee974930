"""A user's identity provider vouches for the user at an upstream's authorization server.

Enterprise-managed authorization (MCP): what a login left in the vault is exchanged at the
provider for an identity assertion (ID-JAG). The token of whoever calls is no part of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import msgspec

from bascule.authserver.kept_logins import keep_renewed, kept_of
from bascule.authserver.provider_exchange import Kept, ProviderExchange, server_of
from bascule.clock import Clock, Entropy
from bascule.credentials.vault import Vault
from bascule.errors import BasculeError
from bascule.identity.access_token import decoded
from bascule.identity.provider_profiles import profile_of
from bascule.oauthclient.errors import (
    GrantRefusedError,
    NotVouchedError,
    OAuthClientError,
    ServerUnavailableError,
    SignInAgainError,
    UnusableServerError,
)
from bascule.oauthclient.exchange import ID_TOKEN, REFRESH_TOKEN, Shown
from bascule.oauthclient.id_jag import IdentityAssertion, request_id_jag
from bascule.oauthclient.openid import NoSuchProviderError, ProviderUnavailableError
from bascule.storage import federated_users
from bascule.storage.federated_users import FederatedUser
from bascule.storage.store import Store, Transaction

SPARE_SECONDS = 30
"""An ID token that ends sooner is not shown any more."""
TURN_SECONDS = 30
"""For how long one process may use a user's refresh token; longer than asking takes."""
PAUSE_SECONDS = 0.2
ATTEMPTS = 40
"""Looks at whether whoever has the turn is done."""
_OVER = frozenset(
    {
        "insufficient_user_authentication",
        "interaction_required",
        "invalid_grant",
        "login_required",
    }
)
"""Refusals that a new login may change."""
_OURS = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type"})
"""Refusals that are about Bascule as a client, whoever the user is."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Where, and for what, a provider is to vouch for somebody."""

    issuer: str
    """The upstream's authorization server, as the operator configured it."""
    resource: str
    """The upstream's address."""
    scopes: tuple[str, ...]


class _Claims(msgspec.Struct):
    exp: int | float


_decode = msgspec.json.Decoder(_Claims).decode


class Vouching:
    """Asks the providers to vouch for their users; used on one event loop."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        exchange: ProviderExchange,
        clock: Clock,
        entropy: Entropy,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._vault = vault
        self._exchange = exchange
        self._clock = clock
        self._entropy = entropy
        self._pause = pause

    async def assertion(self, user: str, audience: Audience) -> IdentityAssertion:
        """Get what vouches for a user, `ISSUER|SUB`, at an authorization server.

        The ID token of the login is shown while it lasts; then the refresh token, which is
        used by one process at a time. Raises `SignInAgainError` where there is no login to
        show, or its time is over, and other `OAuthClientError`.
        """
        try:
            return await self._assertion(user, audience)
        except OAuthClientError:
            raise
        except BasculeError as exc:  # of the state, the vault, or Bascule's secret there
            raise ServerUnavailableError(f"the user's login cannot be used: {exc}") from exc

    async def _assertion(self, user: str, audience: Audience) -> IdentityAssertion:
        for _ in range(ATTEMPTS):
            who, kept = await self._store.look(partial(self._login, user=user))
            if kept.id_token is not None and self._lasts(kept.id_token):
                return await self._ask(who, Shown(kept.id_token, ID_TOKEN), audience)
            if kept.refresh_token is None:
                raise SignInAgainError("the user's login at the provider is over")
            turn = partial(
                federated_users.take_turn,
                name=user,
                now=self._clock(),
                seconds=TURN_SECONDS,
            )
            if await self._store.transact(turn):
                return await self._in_turn(user, audience)
            await self._pause(PAUSE_SECONDS)
        raise ServerUnavailableError("the identity provider is being asked about the user")

    async def _in_turn(self, user: str, audience: Audience) -> IdentityAssertion:
        """Show the refresh token, and keep the one that takes its place before all else.

        It is read anew: whoever had the turn before may have got another.
        """
        done = partial(federated_users.end_turn, name=user)
        try:
            who, kept = await self._store.look(partial(self._login, user=user))
            shown = kept.refresh_token
            if shown is None:
                raise SignInAgainError("the user's login at the provider is over")
            found = await self._ask(who, Shown(shown, REFRESH_TOKEN), audience)
            if found.refresh_token not in {None, shown}:
                fresh = msgspec.structs.replace(kept, refresh_token=found.refresh_token)
                done = partial(self._renew, who=who, before=kept, fresh=fresh)
        finally:
            await self._store.transact(done)
        return found

    def _login(self, conn: Transaction, *, user: str) -> tuple[FederatedUser, Kept]:
        """Give whom a provider vouched for, and what their login left, if it still counts.

        A login from before a revocation of its user does not, whatever the provider says.
        """
        vouched = federated_users.get(conn, user)
        if vouched is None:
            raise SignInAgainError("the user has no login at an identity provider")
        kept = kept_of(self._vault, conn, user=user, provider=vouched.who.provider)
        if kept is None:
            raise SignInAgainError("the user has no login at the identity provider")
        return vouched.who, kept

    def _renew(
        self, conn: Transaction, *, who: FederatedUser, before: Kept, fresh: Kept
    ) -> None:
        """Keep the refresh token that took the place of another, and end the turn.

        Not where the login is another one by now, or was forgotten.
        """
        federated_users.end_turn(conn, name=who.name)
        now = self._clock()
        keep_renewed(self._vault, conn, who, before=before, fresh=fresh, now=now)

    async def _ask(
        self, who: FederatedUser, subject: Shown, audience: Audience
    ) -> IdentityAssertion:
        try:
            provider, metadata = await self._exchange.of_login(who)
        except NoSuchProviderError as exc:
            raise SignInAgainError("the user's identity provider is none any more") from exc
        except ProviderUnavailableError as exc:
            raise ServerUnavailableError("the identity provider does not answer") from exc
        if profile_of(provider).plain_oauth:
            raise UnusableServerError("providers of that kind vouch for nobody")
        try:
            return await request_id_jag(
                server_of(metadata),
                self._exchange.client(provider, metadata),
                subject,
                self._exchange.providers.policy(provider),
                issuer=audience.issuer,
                resource=audience.resource,
                scopes=audience.scopes,
                now=self._clock(),
                entropy=self._entropy,
            )
        except GrantRefusedError as exc:
            if exc.error in _OURS:
                raise UnusableServerError(
                    f"the identity provider refuses Bascule: `{exc.error}`"
                ) from exc
            if exc.error in _OVER:
                raise SignInAgainError("the provider wants a new login") from exc
            raise NotVouchedError(f"the identity provider says `{exc.error}`") from exc

    def _lasts(self, token: str) -> bool:
        """Whether an ID token, verified when it was kept, can still be shown."""
        try:
            ends = _decode(decoded(token.encode().split(b".")[1])).exp
        except (msgspec.DecodeError, ValueError, IndexError):
            return False
        return ends > self._clock() + SPARE_SECONDS
