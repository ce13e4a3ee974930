"""A user's token for an upstream: fresh, refreshed once for all, and nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from bascule.clock import UnixTime, system_entropy
from bascule.credentials import linked as module
from bascule.credentials import refreshing
from bascule.credentials.linked import LinkedAccounts, LinkNeededError
from bascule.credentials.linked_tokens import decode, name_of
from bascule.oauthclient.client import Client
from bascule.oauthclient.errors import (
    GrantRefusedError,
    OAuthClientError,
    ServerUnavailableError,
)
from bascule.oauthclient.tokens import Tokens
from bascule.storage import directory, linked_accounts, revocations
from bascule.storage.linked_accounts import LEASE_SECONDS, LinkedAccount
from bascule.storage.store import Store
from linked import SERVER, TARGET, Shelf, linked, tokens
from oauth_state import NOW, new_store

ALICE = "user:alice"
HOUR = 3600


@dataclass
class TokenEndpoint:
    """A fake of one that takes each refresh token once, and counts."""

    good: set[str] = field(default_factory=lambda: {"refresh-1"})
    asked: int = 0
    seconds: float = 0.0
    problem: OAuthClientError | None = None
    lifetime: int = HOUR
    now: int = NOW
    clients: list[Client] = field(default_factory=list)

    async def refresh(
        self, server: object, client: Client, token: str, policy: object, **more: Any
    ) -> Tokens:
        self.asked += 1
        self.clients.append(client)
        await asyncio.sleep(self.seconds)
        if self.problem is not None:
            raise self.problem
        if token not in self.good:
            raise GrantRefusedError("invalid_grant")
        self.good = {f"refresh-{self.asked + 1}"}
        (refresh,) = self.good
        end = more["now"] + self.lifetime
        return tokens(self.asked + 1, expires_at=end, refresh=refresh)


@dataclass
class Scene:
    """One process, or several on the same state."""

    store: Store
    endpoint: TokenEndpoint
    shelf: Shelf = field(default_factory=Shelf)
    now: int = NOW

    def process(self) -> LinkedAccounts:
        def generation() -> int:
            return self.store.read(directory.generation)

        clock = lambda: UnixTime(self.now)  # noqa: E731
        return LinkedAccounts(self.store, self.shelf, clock, system_entropy, generation)

    def link(self, **changes: Any) -> LinkedAccount:
        held = tokens(**{"expires_at": NOW + HOUR, **changes})
        return linked(self.store, self.shelf, held, now=self.now)

    @property
    def account(self) -> LinkedAccount | None:
        return self.store.read(partial(linked_accounts.live, user=ALICE, connector="desk"))


@pytest.fixture
def scene(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    endpoint = TokenEndpoint()
    monkeypatch.setattr(refreshing, "refresh", endpoint.refresh)
    with contextlib.closing(new_store(tmp_path)) as store:
        yield Scene(store, endpoint)


def get(process: LinkedAccounts, user: str = ALICE) -> str:
    return asyncio.run(process.get(TARGET, user)).authorization


def test_a_token_is_read_once_and_then_at_hand(scene: Scene) -> None:
    scene.link()
    process = scene.process()
    assert process.cached(TARGET, ALICE) is None
    assert get(process) == "Bearer access-1"
    scene.shelf.secrets.clear()
    assert get(process) == "Bearer access-1"
    assert scene.endpoint.asked == 0


def test_another_user_has_nothing(scene: Scene) -> None:
    scene.link()
    process = scene.process()
    get(process)
    assert process.cached(TARGET, "user:bob") is None
    with pytest.raises(LinkNeededError):
        get(process, "user:bob")


def test_no_representation_shows_a_secret(scene: Scene) -> None:
    account = scene.link()
    held = asyncio.run(scene.process().get(TARGET, ALICE))
    kept = decode(scene.shelf.secrets[ALICE, name_of(account.id)])
    for shown in (repr(held), repr(kept), repr(account), repr(kept.client.client())):
        assert "access-1" not in shown
        assert "refresh-1" not in shown
        assert "secret-1" not in shown


def test_tokens_go_nowhere_but_where_they_are_for(scene: Scene) -> None:
    scene.link()
    process = scene.process()
    get(process)
    for other in (
        replace(TARGET, url="https://elsewhere.example/mcp"),
        replace(TARGET, issuer="https://another.example"),
    ):
        with pytest.raises(LinkNeededError):
            asyncio.run(scene.process().get(other, ALICE))
    moved = replace(TARGET, url="https://elsewhere.example/mcp")
    assert process.cached(moved, ALICE) is None


def test_it_is_refreshed_ahead_of_its_end(scene: Scene) -> None:
    scene.link()
    process = scene.process()
    scene.now = NOW + HOUR - 61
    assert get(process) == "Bearer access-1"
    scene.now += 1
    assert get(scene.process()) == "Bearer access-2"
    account = scene.account
    assert account is not None
    assert (account.version, account.expires_at) == (2, scene.now + HOUR)
    scene.now += HOUR
    assert get(scene.process()) == "Bearer access-3"


def test_short_lived_tokens_are_not_refreshed_for_each_call(scene: Scene) -> None:
    scene.link(expires_at=NOW + 20)
    scene.now = NOW + 14
    assert get(scene.process()) == "Bearer access-1"
    scene.now = NOW + 15
    assert get(scene.process()) == "Bearer access-2"


def test_a_thousand_who_wait_make_one_refresh(scene: Scene) -> None:
    scene.link(expires_at=NOW)
    scene.endpoint.seconds = 0.02
    process = scene.process()

    async def many() -> set[str]:
        asking = (process.get(TARGET, ALICE) for _ in range(1000))
        return {held.authorization for held in await asyncio.gather(*asking)}

    assert asyncio.run(many()) == {"Bearer access-2"}
    assert scene.endpoint.asked == 1


def test_several_processes_make_one_refresh(scene: Scene) -> None:
    scene.link(expires_at=NOW)
    scene.endpoint.seconds = 0.1
    processes = [scene.process() for _ in range(4)]

    async def each() -> set[str]:
        asking = (it.get(TARGET, ALICE) for it in processes)
        return {held.authorization for held in await asyncio.gather(*asking)}

    assert asyncio.run(each()) == {"Bearer access-2"}
    assert scene.endpoint.asked == 1


def test_who_waits_may_go_away(scene: Scene) -> None:
    scene.link(expires_at=NOW)
    scene.endpoint.seconds = 0.05
    process = scene.process()

    async def impatient() -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await process.get(TARGET, ALICE)
        return (await process.get(TARGET, ALICE)).authorization

    assert asyncio.run(impatient()) == "Bearer access-2"
    assert scene.endpoint.asked == 1


def test_a_process_that_dies_while_it_refreshes_loses_nothing(scene: Scene) -> None:
    account = scene.link(expires_at=NOW)
    lease = partial(linked_accounts.lease, account_id=account.id, version=1)
    assert scene.store.run(partial(lease, now=NOW))
    scene.now = NOW + LEASE_SECONDS
    assert get(scene.process()) == "Bearer access-2"


def test_a_slow_process_overwrites_nothing_newer(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.link(expires_at=NOW)
    slow = scene.process()
    before = dict(scene.shelf.secrets)

    async def slow_refresh(*_: object, **__: object) -> Tokens:
        scene.now = NOW + LEASE_SECONDS
        await scene.process()._find(TARGET, ALICE, None)
        return tokens(99, expires_at=NOW + 2 * HOUR)

    calls = []

    async def first_slow(*arguments: Any, **named: Any) -> Tokens:
        calls.append(1)
        if len(calls) == 1:
            return await slow_refresh()
        return await scene.endpoint.refresh(*arguments, **named)

    monkeypatch.setattr(refreshing, "refresh", first_slow)
    assert get(slow) == "Bearer access-2"
    assert scene.shelf.secrets != before
    assert b"access-99" not in b"".join(scene.shelf.secrets.values())


def test_a_server_that_is_away_costs_nothing_while_the_token_is_good(scene: Scene) -> None:
    scene.link(expires_at=NOW + 30)
    scene.endpoint.problem = ServerUnavailableError("away")
    scene.now = NOW + 24
    process = scene.process()
    assert get(process) == "Bearer access-1"
    assert get(process) == "Bearer access-1"
    assert scene.endpoint.asked == 1
    scene.now = NOW + 26
    with pytest.raises(ServerUnavailableError):
        get(scene.process())
    scene.endpoint.problem = None
    assert get(scene.process()) == "Bearer access-4"


def test_a_refusal_for_good_ends_the_account(scene: Scene) -> None:
    scene.link(expires_at=NOW, refresh="spent elsewhere")
    with pytest.raises(LinkNeededError):
        get(scene.process())
    assert scene.account is None


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client"])
@pytest.mark.parametrize("by_hand", [True, False])
def test_a_client_that_is_not_known_any_more_ends_it_where_there_can_be_another(
    scene: Scene, error: str, *, by_hand: bool
) -> None:
    """One that was registered by hand is for the operator to put right."""
    scene.link(expires_at=NOW)
    scene.endpoint.problem = GrantRefusedError(error)
    client = Client(client_id="bascule", issuer=SERVER.issuer, secret="wrong")
    target = replace(TARGET, client=client) if by_hand else TARGET
    with pytest.raises(GrantRefusedError if by_hand else LinkNeededError):
        asyncio.run(scene.process().get(target, ALICE))
    assert (scene.account is not None) is by_hand


def test_any_other_refusal_does_not(scene: Scene) -> None:
    scene.link(expires_at=NOW)
    scene.endpoint.problem = GrantRefusedError("invalid_request")
    with pytest.raises(GrantRefusedError):
        get(scene.process())
    assert scene.account is not None
    scene.endpoint.problem = None
    assert get(scene.process()) == "Bearer access-3"


@pytest.mark.parametrize("ends", [True, False])
def test_what_a_refresh_brings_too_late_is_given_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, ends: bool
) -> None:
    """A user who was revoked meanwhile leaves no token that is good at the other side."""
    account = scene.link(expires_at=NOW)
    given: list[str | None] = []

    async def give_back(
        _: object, __: object, client: Client, fresh: Tokens, **___: Any
    ) -> None:
        given.append(fresh.refresh_token)

    async def late(*args: Any, **more: Any) -> Tokens:
        fresh = await scene.endpoint.refresh(*args, **more)
        work: Any = partial(revocations.revoke, kind="user", key=ALICE, reason="lost")
        if not ends:  # another process was quicker, and has what comes after it
            work = partial(
                linked_accounts.refreshed, account_id=account.id, version=1, expires_at=0
            )
        scene.store.run(partial(work, now=NOW))
        return fresh

    monkeypatch.setattr(refreshing, "refresh", late)
    monkeypatch.setattr(refreshing, "give_back", give_back)
    if ends:
        with pytest.raises(LinkNeededError):
            get(scene.process())
    else:
        get(scene.process())
    assert given == (["refresh-2"] if ends else [])


def test_without_a_refresh_token_it_is_used_to_its_end_and_linked_again(
    scene: Scene,
) -> None:
    scene.link(expires_at=NOW + 30, refresh=None)
    assert get(scene.process()) == "Bearer access-1"
    scene.now = NOW + 25
    with pytest.raises(LinkNeededError):
        get(scene.process())
    assert scene.account is None
    assert scene.endpoint.asked == 0


def test_a_token_without_an_end_is_used_until_it_is_refused(scene: Scene) -> None:
    scene.link(expires_at=None)
    scene.now = NOW + 365 * 24 * HOUR
    assert get(scene.process()) == "Bearer access-1"
    assert scene.endpoint.asked == 0


def test_what_the_upstream_refuses_is_refreshed_once_and_then_linked_again(
    scene: Scene,
) -> None:
    scene.link()
    process = scene.process()
    held = asyncio.run(process.get(TARGET, ALICE))
    better = asyncio.run(process.refused(TARGET, ALICE, held.mark))
    assert better.authorization == "Bearer access-2"
    with pytest.raises(LinkNeededError):
        asyncio.run(process.refused(TARGET, ALICE, better.mark))
    assert scene.endpoint.asked == 1
    assert scene.account is not None


def test_many_refused_calls_make_one_refresh(scene: Scene) -> None:
    scene.link()
    processes = [scene.process(), scene.process()]
    scene.endpoint.seconds = 0.02

    async def each() -> set[str]:
        asking = [
            it.refused(TARGET, ALICE, ("0" * 32, 1)) for it in processes for _ in range(10)
        ]
        return {held.authorization for held in await asyncio.gather(*asking)}

    assert asyncio.run(each()) == {"Bearer access-2"}
    assert scene.endpoint.asked == 1
    late = asyncio.run(scene.process().refused(TARGET, ALICE, ("0" * 32, 1)))
    assert late.authorization == "Bearer access-2"


@pytest.mark.parametrize("how", ["revoked", "ended"])
def test_what_has_ended_is_at_hand_no_more(scene: Scene, how: str) -> None:
    account = scene.link()
    process = scene.process()
    get(process)
    if how == "revoked":
        end: Any = partial(revocations.revoke, kind="user", key=ALICE)
    else:
        end = partial(linked_accounts.end, account_id=account.id)
    scene.store.run(partial(end, reason="lost", now=NOW))
    assert process.cached(TARGET, ALICE) is None
    with pytest.raises(LinkNeededError):
        get(process)
    assert process._kept == {}


def test_who_asks_after_the_end_gets_nothing_that_was_begun_before(scene: Scene) -> None:
    account = scene.link(expires_at=NOW + 30)
    process, end = scene.process(), partial(linked_accounts.end, account_id=account.id)
    scene.now = NOW + 24
    scene.endpoint.problem = ServerUnavailableError("away")

    async def run() -> None:
        asked, answered = asyncio.Event(), asyncio.Event()

        async def slow(*args: Any, **more: Any) -> Tokens:
            asked.set()
            await answered.wait()
            return await scene.endpoint.refresh(*args, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(refreshing, "refresh", slow)
            before = asyncio.create_task(process.get(TARGET, ALICE))
            await asked.wait()
            scene.store.run(partial(end, reason="disconnected", now=NOW))
            after = asyncio.create_task(process.get(TARGET, ALICE))
            await asyncio.sleep(0)
            answered.set()
            await asyncio.wait([before])
            with pytest.raises(LinkNeededError):
                await after

    asyncio.run(run())


@pytest.mark.parametrize(("client_id", "is_used"), [("bascule", True), ("other", False)])
def test_a_configured_client_proves_itself_for_tokens_of_its_own(
    scene: Scene, client_id: str, is_used: bool
) -> None:
    scene.link(expires_at=NOW)
    client = Client(client_id=client_id, issuer=SERVER.issuer, secret="rotated")
    asyncio.run(scene.process().get(replace(TARGET, client=client), ALICE))
    assert (scene.endpoint.clients == [client]) is is_used
    assert scene.endpoint.clients[0].client_id == "bascule"


def test_memory_is_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 1)
    scene.link()
    held = tokens(expires_at=NOW + HOUR)
    linked(scene.store, scene.shelf, held, user="user:bob", now=NOW, account_id="1" * 32)
    process = scene.process()
    get(process)
    get(process, "user:bob")
    assert process.cached(TARGET, ALICE) is None
    assert process.cached(TARGET, "user:bob") is not None
