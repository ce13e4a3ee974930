"""What a server is shown where each user has an account of their own there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from bascule.clock import Clock, Entropy, monotonic
from bascule.credentials.link_target import Target
from bascule.credentials.linked import Held, LinkedAccounts, LinkNeededError
from bascule.credentials.wrapping import VaultError
from bascule.decision.facts import Principal
from bascule.gateway.credentials import CredentialError, Presented, Wider
from bascule.gateway.exchange import header_block
from bascule.gateway.step_ups import StepUps
from bascule.lock.invisible import visible
from bascule.oauthclient.errors import OAuthClientError
from bascule.oauthclient.scopes import are_readable, missing_scopes
from bascule.storage import link_requests
from bascule.storage.link_requests import ID_BYTES
from bascule.storage.store import StateUnavailableError, Store

log = logging.getLogger("bascule")

WAIT_SECONDS = 25.0
"""For a user on the page, while a call is held: less than most clients wait."""
LOOK_SECONDS = 0.5
MAX_SHOWN = 200
"""Characters of an operation in the log."""


@dataclass(frozen=True, slots=True)
class Link:
    """Leads a user to the page on which they connect an account."""

    id: str
    url: str


class ConnectFirstError(CredentialError):
    """The user has to connect an account before a call is made.

    A link is made only for who is told of it: `link` makes one.
    """

    outcome = "link_needed"
    need = "is used with an account of your own"
    task = "connect it once"

    def __init__(
        self,
        connector: str,
        ask: Callable[[], Awaitable[Link]],
        is_settled: Callable[[], Awaitable[bool]],
    ) -> None:
        super().__init__(f"connector `{connector}` {self.need}: {self.task}")
        self.connector = connector
        self._ask = ask
        self._is_settled = is_settled

    async def is_settled(self) -> bool:
        """Tell whether the user is on no page of before. Raises `CredentialError`."""
        return await self._is_settled()

    async def link(self) -> Link:
        """Make a link for that user. Raises `CredentialError`."""
        return await self._ask()


class MoreScopesError(ConnectFirstError):
    """The user has to give the server more rights, on the same page."""

    outcome = "step_up_needed"
    need = "needs more rights in your account for this"
    task = "look at them and agree"


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
        self._step_ups = StepUps()

    def cached(self, principal: Principal) -> Presented | None:
        """Give what is at hand, without waiting."""
        if principal.user is None:
            return None
        held = self._accounts.cached(self._target, principal.user)
        return None if held is None else _presented(held)

    async def get(self, principal: Principal) -> Presented:
        """Give what to show. Raises `ConnectFirstError` and other `CredentialError`."""
        return _presented(await self._held(principal, self._accounts.get))

    async def refused(self, principal: Principal, presented: Presented) -> Presented:
        """Give something else after a 401. Raises as `get` does."""
        refused = partial(self._accounts.refused, mark=presented.version)
        return _presented(await self._held(principal, refused))

    async def forbidden(
        self, principal: Principal, presented: Presented, wider: Wider
    ) -> Presented | None:
        """Give what has more scopes by now; None when the server does not name any.

        Raises `MoreScopesError` where the user can give them, and as `get` does.
        """
        held = await self._held(principal, self._accounts.newest)
        if held.mark != presented.version:
            return _presented(held)
        if not wider.challenge.scopes:
            return None
        missing = missing_scopes(wider.challenge, held.scope)
        if not missing:
            raise CredentialError(
                "this server does not let your account do this: the rights that it names "
                "were asked for, and not given"
            )
        operation = (principal.user, sha256(wider.operation.encode()).digest())
        readable = are_readable({*held.scope, *missing})
        if not readable or not self._step_ups.may_ask(operation, held.account_id):
            log.warning(
                "connector `%s`: its server wants more and more scopes for `%s`",
                self._target.connector,
                visible(wider.operation[:MAX_SHOWN]),
            )
            raise CredentialError(
                "this server goes on asking for more rights in your account; you are not "
                "asked to give them any more"
            )
        ask = partial(self._ask, principal, wider.challenge.scopes)
        settled = partial(self.is_settled, principal)
        raise MoreScopesError(self._target.connector, ask, settled)

    async def wait(self, principal: Principal) -> None:
        """Wait, for a while, for a user who may be on the page."""
        end = monotonic() + WAIT_SECONDS
        with contextlib.suppress(CredentialError):
            while monotonic() < end:
                if await self.is_settled(principal):
                    return
                await asyncio.sleep(LOOK_SECONDS)

    async def is_settled(self, principal: Principal) -> bool:
        """Tell whether a user is on no page any more. Raises `CredentialError`."""
        look = partial(
            link_requests.is_settled,
            user=principal.user or "",
            agent=principal.agent,
            connector=self._target.connector,
        )
        try:
            return await self._store.look(partial(look, now=self._clock()))
        except StateUnavailableError as exc:
            raise CredentialError("your account cannot be looked up now") from exc

    async def _held(
        self, principal: Principal, find: Callable[[Target, str], Awaitable[Held]]
    ) -> Held:
        if principal.user is None:
            raise CredentialError("this server is for users: an agent has no account")
        try:
            return await find(self._target, principal.user)
        except LinkNeededError as exc:
            ask = partial(self._ask, principal, ())
            settled = partial(self.is_settled, principal)
            raise ConnectFirstError(self._target.connector, ask, settled) from exc
        except (OAuthClientError, StateUnavailableError, VaultError) as exc:
            log.error("connector `%s`: %s", self._target.connector, exc)
            raise CredentialError(
                "your account at this server cannot be used at the moment; try again later"
            ) from exc

    async def _ask(self, principal: Principal, scope: tuple[str, ...]) -> Link:
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
        return Link(link_id, f"{self._public_url}/link/{link_id}")


def _presented(held: Held) -> Presented:
    line = (b"Authorization", held.authorization.encode("ascii"))
    return Presented(header_block(line), held.mark, held.bound)
