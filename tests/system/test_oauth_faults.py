"""When the log cannot be written nothing is issued; who guesses is slowed down alone."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bascule.clock import system_clock
from bascule.storage import agents
from bascule.storage.schema import agents as agents_table
from bascule.storage.schema import authorization_codes, grants, refresh_tokens, tokens
from certificates import new_authority
from system.oauth_documents import CALLBACK, CONFIG, URL, Browser, Place, placed

SECRET = "bsc_ck_" + "5" * 64
ASK = {
    "grant_type": "client_credentials",
    "resource": f"{URL}/c/desk/mcp",
    "client_id": "robot",
    "client_secret": SECRET,
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with placed(tmp_path, new_authority()) as made:
        for name, digest in (
            ("app", None),
            ("robot", hashlib.sha256(SECRET.encode()).digest()),
        ):
            made.store.run(
                partial(
                    agents.add,
                    client_id=name,
                    secret_hash=digest,
                    jwks=None,
                    redirect_uris=(CALLBACK,),
                    now=system_clock(),
                )
            )
        yield made


def count(place: Place, table: object) -> int:
    query = select(func.count()).select_from(table)  # type: ignore[arg-type]
    return int(place.store.read(lambda conn: conn.execute(query).scalar_one()))


def test_without_a_log_nothing_is_given(place: Place) -> None:
    place = replace(place, config=f"{CONFIG}[clients]\ndynamic_registration = true\n")

    async def work(browser: Browser) -> None:
        code = await browser.code("app")
        first = (await browser.redeem("app", code)).json()
        waiting = await browser.code("app")
        page = await browser.authorize("app")
        await asyncio.to_thread(browser.log.writer.close)
        answers = [
            await browser.post(**ASK),
            await browser.redeem("app", waiting),
            await browser.refresh("app", first["refresh_token"]),
            await browser.post("revoke", client_id="app", token=first["access_token"]),
            await browser.client.post(
                "/oauth/register", json={"redirect_uris": [CALLBACK]}
            ),
        ]
        for answer in answers:
            assert answer.status_code == 503
            assert answer.json()["error"] == "temporarily_unavailable"
            assert answer.headers["retry-after"]
            assert "bsc_" not in answer.text
        refused = await browser.allow(page)
        assert refused.status_code == 503
        assert "location" not in refused.headers

    place.run(work)
    assert count(place, authorization_codes) == count(place, grants) == 2
    assert count(place, agents_table) == 2


def test_a_refresh_whose_record_failed_can_be_repeated(place: Place) -> None:
    """Nobody got the successor, so the token counts as unused, however late the retry."""

    async def begin(browser: Browser) -> str:
        code = await browser.code("app")
        token = str((await browser.redeem("app", code)).json()["refresh_token"])
        await asyncio.to_thread(browser.log.writer.close)
        assert (await browser.refresh("app", token)).status_code == 503
        return token

    token = place.run(begin)
    used = select(func.count()).where(refresh_tokens.c.used_at.is_not(None))
    assert place.store.read(lambda conn: conn.execute(used).scalar_one()) == 0

    async def again(browser: Browser) -> None:
        fresh = await browser.refresh("app", token)
        assert fresh.status_code == 200
        more = await browser.refresh("app", fresh.json()["refresh_token"])
        assert more.status_code == 200

    place.run(again)


def test_who_guesses_too_often_is_told_so_and_the_owner_is_served(place: Place) -> None:
    place = replace(place, failures=3)

    async def work(browser: Browser) -> None:
        wrong = {**ASK, "client_secret": SECRET + "x"}
        found = [(await browser.post(**wrong)).status_code for _ in range(5)]
        assert found == [401, 401, 401, 429, 429]
        assert (await browser.post(**ASK)).status_code == 200
        unknown = await browser.post(**{**ASK, "client_id": "nobody"})
        assert unknown.status_code == 429
        guessed = await browser.refresh("app", "bsc_rt_" + "0" * 64)
        assert guessed.status_code == 429

    place.run(work)
    assert count(place, tokens) == 1


def test_a_connector_that_is_gone_gets_no_tokens_until_it_is_back(place: Place) -> None:
    async def begin(browser: Browser) -> tuple[str, str]:
        code = await browser.code("app")
        tokens = (await browser.redeem("app", code)).json()
        return tokens["refresh_token"], await browser.code("app")

    token, code = place.run(begin)
    other = CONFIG.replace("desk", "annex")

    async def gone(browser: Browser) -> None:
        for answer in (
            await browser.refresh("app", token),
            await browser.redeem("app", code),
        ):
            assert answer.json()["error"] == "invalid_grant"

    async def back(browser: Browser) -> None:
        assert (await browser.refresh("app", token)).status_code == 200
        assert (await browser.redeem("app", code)).status_code == 200

    replace(place, config=other).run(gone)
    place.run(back)
