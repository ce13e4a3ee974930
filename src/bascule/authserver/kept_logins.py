"""What logins at identity providers leave: kept in the vault, and revoked when they end."""

from __future__ import annotations

from functools import partial

import msgspec

from bascule.authserver.provider_exchange import Kept, ProviderExchange, SignedIn, server_of
from bascule.clock import Clock, Entropy, UnixTime
from bascule.credentials.vault import Vault
from bascule.oauthclient.openid import NoSuchProviderError
from bascule.oauthclient.revocation import revoke_token
from bascule.storage import ended_logins
from bascule.storage.ended_logins import EndedLogin, entry_name
from bascule.storage.federated_users import FederatedUser
from bascule.storage.store import Store, Transaction


def keep(vault: Vault, conn: Transaction, found: SignedIn) -> None:
    """Keep what a login left, in place of what those before it did.

    That is forgotten, not revoked: many providers would revoke the new tokens with it.
    """
    who = found.who
    _put(vault, conn, who, found.kept)
    ended_logins.begin(conn, user=f"user:{who.name}", provider=who.provider)


def keep_renewed(
    vault: Vault,
    conn: Transaction,
    who: FederatedUser,
    *,
    before: Kept,
    fresh: Kept,
    now: UnixTime,
) -> None:
    """Keep what a provider gave in place of `before`, which was shown to it.

    Not where another login has taken its place. Where it has ended meanwhile, what came has
    ended too, and is kept only until it is revoked.
    """
    kept = kept_of(vault, conn, user=who.name, provider=who.provider)
    if kept not in {None, before}:
        return
    _put(vault, conn, who, fresh)
    if kept is None:
        ended_logins.end(conn, user=f"user:{who.name}", provider=who.provider, now=now)


def kept_of(vault: Vault, conn: Transaction, *, user: str, provider: str) -> Kept | None:
    """Give what the provider is asked with; None when there is nothing that counts.

    `user`: its name, without `user:`.
    """
    if ended_logins.has_ended(conn, user=f"user:{user}", provider=provider):
        return None
    return _get(vault, conn, f"user:{user}", provider)


def _get(vault: Vault, conn: Transaction, owner: str, provider: str) -> Kept | None:
    found = vault.get(conn, owner, entry_name(provider))
    return None if found is None else msgspec.json.decode(found, type=Kept)


def _ended_of(vault: Vault, conn: Transaction, *, login: EndedLogin) -> Kept | None:
    """Give what an ended login left; None where a new one has taken its place."""
    user, provider = login.user, login.provider
    if not ended_logins.has_ended(conn, user=user, provider=provider):
        return None
    return _get(vault, conn, user, provider)


def _put(vault: Vault, conn: Transaction, who: FederatedUser, kept: Kept) -> None:
    name = entry_name(who.provider)
    vault.put(conn, f"user:{who.name}", name, msgspec.json.encode(kept))


class LoginsToRevoke:
    """Logins that have ended, as a kind of `EndedTokens`."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        exchange: ProviderExchange,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._vault = vault
        self._exchange = exchange
        self._clock = clock
        self._entropy = entropy

    def is_due(self, conn: Transaction, *, now: UnixTime) -> bool:
        """Tell whether there is one to be revoked."""
        return ended_logins.has_to_revoke(conn, now=now)

    def take(self, conn: Transaction, *, now: UnixTime) -> list[EndedLogin]:
        """Take those that are to be revoked now."""
        return ended_logins.to_revoke(conn, now=now)

    async def revoke(self, ended: EndedLogin) -> None:
        """Revoke the refresh token, or what else the provider was asked with.

        At nobody but whom the login was at. Raises `BasculeError`.
        """
        get = partial(_ended_of, self._vault, login=ended)
        kept = await self._store.look(get)
        token = None if kept is None else kept.refresh_token or kept.access_token
        if kept is None or token is None:
            return
        issuer, _, subject = ended.user.removeprefix("user:").partition("|")
        try:
            provider, metadata = await self._exchange.of_login(
                FederatedUser(issuer, subject, ended.provider)
            )
        except NoSuchProviderError:
            return
        await revoke_token(
            server_of(metadata),
            self._exchange.client(provider, metadata),
            token,
            self._exchange.providers.policy(provider),
            hint="refresh_token" if kept.refresh_token else "access_token",
            now=self._clock(),
            entropy=self._entropy,
        )

    def forget(self, conn: Transaction, ended: EndedLogin) -> None:
        """Forget one and its tokens, unless somebody has signed in anew meanwhile."""
        if ended_logins.forget(conn, ended):
            self._vault.delete(conn, ended.user, entry_name(ended.provider))

    def named(self, ended: EndedLogin) -> str:
        """Name its provider."""
        return f"provider `{ended.provider}`"
