"""A server that refuses for scopes: its users are asked for more, and never for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from bascule.clock import UnixTime, system_entropy
from bascule.credentials.linked import LinkedAccounts
from bascule.decision.facts import Principal
from bascule.gateway import step_ups
from bascule.gateway.credentials import (
    Credential,
    CredentialError,
    Fixed,
    Presented,
    with_credential,
)
from bascule.gateway.linked import ConnectFirstError, MoreScopesError, PerUser
from bascule.gateway.step_ups import StepUps
from bascule.gateway.upstream import Response
from bascule.oauthclient.scopes import MAX_SCOPES, MAX_STEP_UPS
from bascule.storage import directory, link_requests
from bascule.storage.link_requests import LIFETIME_SECONDS, digest
from bascule.storage.store import Store
from linked import TARGET, Shelf, linked, tokens
from oauth_state import NOW, new_store

ALICE = Principal("user:alice", "app")
CALL = "tools/call echo"


def challenge(scope: str, error: str = "insufficient_scope") -> bytes:
    return f'Bearer error="{error}", scope="{scope}"'.encode()


@dataclass
class Server:
    """An upstream that takes a token only with its scopes, and says so."""

    wants: dict[str, str] = field(default_factory=dict)
    """By the token that it refuses: the challenge's scope."""
    status: int = 403
    error: str = "insufficient_scope"
    shown: list[str] = field(default_factory=list)

    async def send(self, presented: Presented) -> Response:
        token = presented.headers.decode().strip().rpartition(" ")[2]
        self.shown.append(token)
        scope = self.wants.get(token)
        status = 200 if scope is None else self.status
        found = Response(None, status, b"application/json", b"")  # type: ignore[arg-type]  # of no connection
        if scope is not None:
            found.challenges = (challenge(scope, self.error),)
        return found


@dataclass
class Scene:
    store: Store
    shelf: Shelf = field(default_factory=Shelf)
    now: int = NOW
    server: Server = field(default_factory=Server)
    ids: Iterator[int] = field(default_factory=count)

    def per_user(self) -> PerUser:
        """Make what one process has."""

        def generation() -> int:
            return self.store.read(directory.generation)

        clock = lambda: UnixTime(self.now)  # noqa: E731
        accounts = LinkedAccounts(self.store, self.shelf, clock, system_entropy, generation)
        url = "http://localhost:8420"
        return PerUser(TARGET, accounts, self.store, url, clock, system_entropy)

    def link(self, number: int = 1) -> None:
        """Connect an account; it replaces the one before."""
        held = tokens(number, expires_at=NOW + 7200, refresh=f"refresh-{number}")
        linked(
            self.store, self.shelf, held, now=self.now, account_id=f"{next(self.ids):032x}"
        )

    def call(self, credential: Credential, operation: str = CALL) -> Response:
        work = with_credential(credential, ALICE, self.server.send, operation)
        return asyncio.run(work)

    def requests(self, error: ConnectFirstError) -> tuple[str, ...]:
        """Follow what a user is led to; gives the scopes that are asked for."""
        link = asyncio.run(error.link())
        assert link.url == f"http://localhost:8420/link/{link.id}"
        find = partial(link_requests.find, id_hash=digest(link.id), now=UnixTime(self.now))
        found = self.store.read(find)
        assert found is not None
        assert found.user == "user:alice"
        return found.scope


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with contextlib.closing(new_store(tmp_path)) as store:
        yield Scene(store)


def test_a_user_is_led_to_give_what_is_missing_and_then_the_call_is_made(
    scene: Scene,
) -> None:
    scene.link()
    per_user = scene.per_user()
    scene.server.wants = {"access-1": "read write"}
    with pytest.raises(MoreScopesError) as raised:
        scene.call(per_user)
    assert raised.value.outcome == "step_up_needed"
    assert scene.server.shown == ["access-1"]
    assert scene.requests(raised.value) == ("read", "write")
    scene.link(2)
    assert scene.call(per_user).status == 200
    assert scene.server.shown[-1] == "access-2"


def test_a_process_that_has_not_heard_yet_looks_before_it_asks_again(scene: Scene) -> None:
    """What is in memory may be older than what the user has just agreed to."""
    scene.link()
    stale = scene.per_user()
    generation = scene.store.read(directory.generation)
    stale._accounts._generation = lambda: generation
    assert scene.call(stale).status == 200
    scene.server.wants = {"access-1": "read write"}
    scene.link(2)
    assert scene.call(stale).status == 200
    assert scene.server.shown == ["access-1", "access-1", "access-2"]


@pytest.mark.parametrize(
    ("scope", "error", "status"),
    [
        ("", "insufficient_scope", 403),
        ("read write", "invalid_token", 403),
        ("read write", "insufficient_scope", 400),
        ("read write", "insufficient_scope", 500),
    ],
)
def test_a_refusal_that_more_scopes_would_not_change_is_the_answer(
    scene: Scene, scope: str, error: str, status: int
) -> None:
    scene.link()
    scene.server = Server({"access-1": scope}, status, error)
    assert scene.call(scene.per_user()).status == status
    assert scene.server.shown == ["access-1"]


def test_who_did_not_give_a_right_is_not_asked_again_and_again(scene: Scene) -> None:
    scene.link()
    scene.server.wants = {"access-1": "read"}
    with pytest.raises(CredentialError, match="asked for, and not given") as raised:
        scene.call(scene.per_user())
    assert not isinstance(raised.value, ConnectFirstError)
    assert scene.server.shown == ["access-1"]


def test_a_stream_is_not_taken_for_a_refusal(scene: Scene) -> None:
    scene.link()
    scene.server.wants = {"access-1": "write"}

    async def streams(presented: Presented) -> Response:
        found = await scene.server.send(presented)
        found.streams = True
        return found

    work = with_credential(scene.per_user(), ALICE, streams, CALL)
    assert asyncio.run(work).streams


def test_a_credential_of_bascule_is_never_widened(scene: Scene) -> None:
    fixed = Fixed(Presented(b"Authorization: Bearer access-1\r\n"))
    scene.server.wants = {"access-1": "everything"}
    assert scene.call(fixed).status == 403
    assert scene.server.shown == ["access-1"]


def test_a_server_that_always_wants_more_is_given_up(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.link()
    per_user = scene.per_user()
    for step in range(1, MAX_STEP_UPS + 1):
        scene.server.wants = {f"access-{step}": f"step-{step}"}
        for _ in range(5):  # an agent that tries again gets no nearer to the end
            with pytest.raises(MoreScopesError):
                scene.call(per_user)
        scene.link(step + 1)
    scene.server.wants = {f"access-{MAX_STEP_UPS + 1}": "one more"}
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(CredentialError, match="goes on asking") as raised,
    ):
        scene.call(per_user)
    assert not isinstance(raised.value, ConnectFirstError)
    assert "wants more and more" in caplog.text
    with pytest.raises(MoreScopesError):  # of another operation nothing is known
        scene.call(per_user, "tools/call list")


@pytest.mark.parametrize(
    "scope", [" ".join(f"s{it}" for it in range(MAX_SCOPES)), "x" * 5000]
)
def test_nobody_is_asked_for_more_scopes_than_can_be_read(scene: Scene, scope: str) -> None:
    scene.link()
    scene.server.wants = {"access-1": scope}
    with pytest.raises(CredentialError, match="goes on asking"):
        scene.call(scene.per_user())


def test_an_account_that_ended_meanwhile_is_connected_first(scene: Scene) -> None:
    scene.link()
    per_user = scene.per_user()

    async def ends(presented: Presented) -> Response:
        scene.shelf.secrets.clear()
        return await scene.server.send(presented)

    scene.server.wants = {"access-1": "write"}
    with pytest.raises(ConnectFirstError) as raised:
        asyncio.run(with_credential(per_user, ALICE, ends, CALL))
    assert raised.value.outcome == "link_needed"


def test_steps_are_forgotten_after_an_hour_and_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(step_ups, "monotonic", lambda: now)
    monkeypatch.setattr(step_ups, "MAX_KEPT", 3)
    kept = StepUps()
    for account in "abc":
        assert kept.may_ask("call", account)
    assert not kept.may_ask("call", "d")
    now += step_ups.FORGET_SECONDS
    assert kept.may_ask("call", "d")
    for other in "xyz":
        assert kept.may_ask(other, "a")
    assert len(kept._refused) == 3


def settled(scene: Scene) -> bool:
    look = partial(
        link_requests.is_settled,
        user="user:alice",
        agent="app",
        connector="desk",
        now=UnixTime(scene.now),
    )
    return scene.store.read(look)


def test_a_client_waits_until_its_user_has_agreed(scene: Scene) -> None:
    assert settled(scene)
    with pytest.raises(ConnectFirstError) as raised:
        scene.call(scene.per_user())
    scene.requests(raised.value)
    assert not settled(scene)
    scene.link()
    assert settled(scene)
    scene.now += 1
    scene.server.wants = {"access-1": "write"}
    with pytest.raises(MoreScopesError) as more:
        scene.call(scene.per_user())
    scene.requests(more.value)
    assert not settled(scene)  # an account is there, but it is the one of before
    scene.link(2)
    assert settled(scene)


def test_nobody_waits_for_what_is_over(scene: Scene) -> None:
    with pytest.raises(ConnectFirstError) as raised:
        scene.call(scene.per_user())
    scene.requests(raised.value)
    scene.now += LIFETIME_SECONDS
    assert settled(scene)
    asyncio.run(scene.per_user().wait(ALICE))
