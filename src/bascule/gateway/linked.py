"""What a server is shown where each user has an account of their own there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from bascule.clock import Clock, Entropy, monotonic
from bascule.credentials.link_target import Target
from bascule.credentials.linked import Held, LinkedAccounts, LinkNeededError
from bascule.credentials.wrapping import VaultError
from bascule.decision.facts import Principal
from bascule.gateway.credentials import CredentialError, Presented
from bascule.gateway.exchange import header_block
from bascule.oauthclient.errors import OAuthClientError
from bascule.storage import link_requests, linked_accounts
from bascule.storage.link_requests import ID_BYTES
from bascule.storage.store import StateUnavailableError, Store

log = logging.getLogger("bascule")

WAIT_SECONDS = 25.0
"""For a user on the page, while a call is held: less than most clients wait."""
LOOK_SECONDS = 0.5


class ConnectFirstError(CredentialError):
    """The user has to connect an account, on the page at `url`, before a call is made."""

    outcome = "link_needed"

    def __init__(self, connector: str, link_id: str, url: str) -> None:
        super().__init__(
            f"connector `{connector}` is used with an account of your own: open {url} in a "
            "browser to connect it, and then make the same call again"
        )
        self.connector = connector
        self.link_id = link_id
        self.url = url


class PerUser:
    """The tokens of each user's own account, which they are asked to connect."""

    def __init__(
        self,
        target: Target,
        accounts: LinkedAccounts,
        store: Store,
        public_url: str,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._target = target
        self._accounts = accounts
        self._store = store
        self._public_url = public_url
        self._clock = clock
        self._entropy = entropy

    def cached(self, principal: Principal) -> Presented | None:
        """Give what is at hand, without waiting."""
        if principal.user is None:
            return None
        held = self._accounts.cached(self._target, principal.user)
        return None if held is None else _presented(held)

    async def get(self, principal: Principal) -> Presented:
        """Give what to show. Raises `ConnectFirstError` and other `CredentialError`."""
        return await self._do(principal, self._accounts.get)

    async def refused(self, principal: Principal, presented: Presented) -> Presented:
        """Give something else after a 401. Raises as `get` does."""
        refused = partial(self._accounts.refused, version=presented.version)
        return await self._do(principal, refused)

    async def wait(self, principal: Principal) -> None:
        """Wait until the user has an account, for a while: its owner may be on the page."""
        live = partial(
            linked_accounts.live,
            user=principal.user or "",
            connector=self._target.connector,
        )
        end = monotonic() + WAIT_SECONDS
        with contextlib.suppress(StateUnavailableError):
            while monotonic() < end:
                if await self._store.look(live) is not None:
                    return
                await asyncio.sleep(LOOK_SECONDS)

    async def _do(
        self, principal: Principal, find: Callable[[Target, str], Awaitable[Held]]
    ) -> Presented:
        if principal.user is None:
            raise CredentialError("this server is for users: an agent has no account")
        try:
            held = await find(self._target, principal.user)
        except LinkNeededError as exc:
            raise await self._ask(principal, exc.scope) from exc
        except (OAuthClientError, StateUnavailableError, VaultError) as exc:
            log.error("connector `%s`: %s", self._target.connector, exc)
            raise CredentialError(
                "your account at this server cannot be used at the moment; try again later"
            ) from exc
        return _presented(held)

    async def _ask(self, principal: Principal, scope: tuple[str, ...]) -> ConnectFirstError:
        """Make a link for that user."""
        link_id = self._entropy(ID_BYTES).hex()
        ask = partial(
            link_requests.ask,
            link_id=link_id,
            user=principal.user or "",
            agent=principal.agent,
            connector=self._target.connector,
            scope=scope,
            now=self._clock(),
        )
        try:
            await self._store.transact(ask)
        except StateUnavailableError as exc:
            raise CredentialError("your account cannot be looked up now") from exc
        url = f"{self._public_url}/link/{link_id}"
        return ConnectFirstError(self._target.connector, link_id, url)


def _presented(held: Held) -> Presented:
    line = (b"Authorization", held.authorization.encode("ascii"))
    return Presented(header_block(line), held.version)
