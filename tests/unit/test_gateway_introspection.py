"""Tokens that only their issuer can read: asked once, believed for a while."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.clock import UnixTime
from bascule.config.introspection import Introspection
from bascule.config.model import Issuer
from bascule.errors import BasculeError
from bascule.gateway.introspection import (
    GRACE_SECONDS,
    MAX_ASKING,
    PAUSE_SECONDS,
    Answers,
    IssuerUnavailableError,
    UnknownTokenError,
)
from bascule.gateway.issuers import Issuers
from bascule.identity.access_token import AccessToken, InvalidTokenError
from bascule.identity.introspected import UnreadableAnswerError, may_be_opaque, read_answer
from foreign import signer

NOW = UnixTime(1_800_000_000)
ISSUER = "https://corp.example"
TOKEN = b"opaque-token-of-alice"
CACHE = 15
RULES = Issuer(
    issuer=ISSUER,
    audiences={"desk": "api://desk"},
    introspection=Introspection(
        endpoint=f"{ISSUER}/introspect",
        client_id="bascule",
        client_secret="file:/secret",
        cache_seconds=CACHE,
    ),
)
ACTIVE = {
    "active": True,
    "token_type": "Bearer",
    "iss": ISSUER,
    "aud": "api://desk",
    "sub": "alice",
    "client_id": "app",
    "scope": "mcp:desk",
    "groups": ["support"],
    "iat": NOW - 10,
    "exp": NOW + 600,
}


class Corp:
    """An issuer, and a clock."""

    def __init__(self) -> None:
        self.said: Any = ACTIVE
        self.asked: list[bytes] = []
        self.at = 1000.0
        self.hold: asyncio.Event | None = None
        self.answers = Answers(RULES, lambda: self.at)
        self.answers.ask = self._ask

    async def _ask(self, token: bytes) -> bytes:
        self.asked.append(token)
        if self.hold is not None:
            await self.hold.wait()
        if isinstance(self.said, Exception):
            raise self.said
        return self.said if isinstance(self.said, bytes) else json.dumps(self.said).encode()

    async def verify(self, token: bytes = TOKEN) -> AccessToken:
        """Do as the data path does."""
        try:
            return self.answers.verify(token, "desk", NOW, 30)
        except UnknownTokenError as exc:
            await exc.learn()
            return self.answers.verify(token, "desk", NOW, 30)


def run(work: Callable[[Corp], Any]) -> None:
    asyncio.run(work(Corp()))


def test_an_active_token_says_who_it_is_of() -> None:
    async def work(corp: Corp) -> None:
        token = await corp.verify()
        assert token.user == f"user:{ISSUER}|alice"
        assert token.agent == f"{ISSUER}|app"
        assert token.groups == {f"group:{ISSUER}|support"}
        assert token.scopes == {"mcp:desk"}

    run(work)


def change(**claims: Any) -> dict[str, Any]:
    said = {**ACTIVE, **claims}
    return {name: value for name, value in said.items() if value is not None}


@pytest.mark.parametrize(
    "said",
    [
        {"active": False},
        change(active=False),
        change(token_type=None),
        change(token_type="refresh_token"),
        change(iss="https://other.example"),
        change(aud="api://annex"),
        change(aud=None),
        change(sub=None),
        change(client_id=None),
        change(exp=NOW - 60),
        change(iat=NOW + 60),
        change(cnf={"kid": "x"}),
        change(_claim_names={"groups": "elsewhere"}),
    ],
)
def test_one_wrong_member_makes_a_token_invalid(said: dict[str, Any]) -> None:
    async def work(corp: Corp) -> None:
        corp.said = said
        with pytest.raises(InvalidTokenError):
            await corp.verify()
        # That is an answer as well: nobody is asked again.
        with pytest.raises(InvalidTokenError):
            await corp.verify()
        assert len(corp.asked) == 1

    run(work)


def test_without_its_time_any_revocation_covers_it() -> None:
    async def work(corp: Corp) -> None:
        corp.said = change(iat=None, exp=None)
        token = await corp.verify()
        assert (token.issued_at, token.expires_at) == (0, NOW + CACHE)

    run(work)


@pytest.mark.parametrize(
    "said", [b"", b"[]", b"{}", b'{"active": "true"}', b"\xff", b"[" * 9999]
)
def test_what_is_no_answer_makes_nothing_invalid(said: object) -> None:
    """And holds nobody up: who shows a strange token must not close it for others."""

    async def work(corp: Corp) -> None:
        corp.said = said
        with pytest.raises(IssuerUnavailableError):
            await corp.verify()
        corp.said = ACTIVE
        assert await corp.verify()

    run(work)


def test_after_a_question_in_vain_nobody_is_asked_for_a_moment() -> None:
    async def work(corp: Corp) -> None:
        corp.said = BasculeError("down")
        with pytest.raises(IssuerUnavailableError):
            await corp.verify()
        corp.said = ACTIVE
        with pytest.raises(IssuerUnavailableError):
            await corp.verify()  # not again at once
        assert len(corp.asked) == 1
        corp.at += PAUSE_SECONDS
        assert await corp.verify()

    run(work)


def test_all_who_wait_share_one_question() -> None:
    async def work(corp: Corp) -> None:
        corp.hold = asyncio.Event()
        waiting = [asyncio.create_task(corp.verify()) for _ in range(1000)]
        await asyncio.sleep(0)
        corp.hold.set()
        found = await asyncio.gather(*waiting)
        assert {it.user for it in found} == {f"user:{ISSUER}|alice"}
        assert len(corp.asked) == 1

    run(work)


def test_who_goes_away_while_waiting_ends_the_question_for_nobody_else() -> None:
    async def work(corp: Corp) -> None:
        corp.hold = asyncio.Event()
        first, second = (asyncio.create_task(corp.verify()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        corp.hold.set()
        assert (await second).user == f"user:{ISSUER}|alice"
        assert len(corp.asked) == 1

    run(work)


def test_an_answer_counts_from_before_the_question_and_no_longer() -> None:
    async def work(corp: Corp) -> None:
        assert await corp.verify()
        corp.said = {"active": False}
        corp.at += CACHE - 0.01
        assert await corp.verify()
        corp.at += 0.01
        with pytest.raises(InvalidTokenError):
            await corp.verify()

    run(work)


def test_an_answer_that_took_longer_than_it_counts_is_none() -> None:
    async def work(corp: Corp) -> None:
        corp.hold = asyncio.Event()
        asking = asyncio.create_task(corp.verify())
        await asyncio.sleep(0.01)
        corp.at += CACHE
        corp.hold.set()
        with pytest.raises(IssuerUnavailableError):
            await asking

    run(work)


def test_made_up_tokens_cannot_ask_without_end_nor_drive_out_good_ones() -> None:
    async def work(corp: Corp) -> None:
        assert await corp.verify()
        corp.hold = asyncio.Event()
        tries = [
            asyncio.create_task(corp.verify(b"made-up-%d" % number))
            for number in range(MAX_ASKING + 5)
        ]
        await asyncio.sleep(0)
        corp.said = {"active": False}
        corp.hold.set()
        found = await asyncio.gather(*tries, return_exceptions=True)
        assert sum(isinstance(it, IssuerUnavailableError) for it in found) == 5
        assert sum(isinstance(it, InvalidTokenError) for it in found) == MAX_ASKING
        assert await corp.verify()
        assert len(corp.asked) == MAX_ASKING + 1

    run(work)


def test_what_is_open_goes_on_while_it_is_asked_about_and_ends_with_its_token() -> None:
    async def work(corp: Corp) -> None:
        await corp.verify()
        told = corp.answers.told(TOKEN)
        assert told is not None
        corp.at += CACHE
        assert told.renewed() is told
        assert told.renewed() is told  # no second question meanwhile
        await asyncio.sleep(0.01)
        assert len(corp.asked) == 2
        fresh = told.renewed()
        assert fresh is not None
        assert fresh.until == corp.at + CACHE
        corp.said = {"active": False}
        corp.at += CACHE
        assert fresh.renewed() is fresh
        await asyncio.sleep(0.01)
        assert fresh.renewed() is None

    run(work)


def test_what_is_open_ends_when_its_token_means_something_else() -> None:
    async def work(corp: Corp) -> None:
        await corp.verify()
        told = corp.answers.told(TOKEN)
        assert told is not None
        corp.said = change(scope="")
        corp.at += CACHE
        told.renewed()
        await asyncio.sleep(0.01)
        assert told.renewed() is None

    run(work)


def test_what_is_open_ends_some_seconds_after_the_last_answer() -> None:
    async def work(corp: Corp) -> None:
        await corp.verify()
        told = corp.answers.told(TOKEN)
        assert told is not None
        corp.said = BasculeError("down")
        corp.at = told.until + GRACE_SECONDS - 0.01
        assert told.renewed() is told
        await asyncio.sleep(0.01)
        corp.at += 0.01
        assert told.renewed() is None

    run(work)


@pytest.mark.parametrize(
    "text",
    [
        b"bsc_rt_0123456789",
        b"bsc_ad_0123456789",
        b"short",
        b"with space in it",
        b"line\nbreak-12345",
        b"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9",
        b"=leading-equals",
        b"x" * 20_000,
    ],
)
def test_secrets_of_ours_and_what_is_no_token_are_shown_to_nobody(text: bytes) -> None:
    assert not may_be_opaque(text)

    async def work(corp: Corp) -> None:
        with pytest.raises(InvalidTokenError):
            await corp.verify(text)
        assert corp.asked == []

    run(work)


def test_a_token_that_names_another_issuer_is_not_shown_to_this_one() -> None:
    issuers = Issuers({"corp": RULES})
    key = signer("k", "ES256")
    other = key.sign({"iss": "https://other.example", "sub": "x"})
    assert issuers.verify(other, "desk", NOW, 30) is None
    own = key.sign({"iss": ISSUER, "sub": "x"})
    with pytest.raises(UnknownTokenError):
        issuers.verify(own, "desk", NOW, 30)
    with pytest.raises(UnknownTokenError):
        issuers.verify(TOKEN, "desk", NOW, 30)
    with pytest.raises(InvalidTokenError):
        issuers.verify(TOKEN, "annex", NOW, 30)


@given(body=st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_none(body: bytes) -> None:
    with pytest.raises(UnreadableAnswerError):
        read_answer(body)
