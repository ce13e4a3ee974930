"""How long documents are kept, and that one that is asked for twice is fetched once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bascule.authserver.documents import (
    LEAST_SECONDS,
    MAX_KEPT,
    MOST_SECONDS,
    USUAL_SECONDS,
    Documents,
    DocumentUnavailableError,
)
from bascule.net.fetch import FetchPolicy
from certificates import Authority, new_authority
from system.oauth_documents import Host, _leads_here, _loopback_as_public, hosting


@dataclass
class Time:
    """A clock that a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def authority() -> Authority:
    return new_authority()


@pytest.fixture
def host(authority: Authority, tmp_path: Path) -> Iterator[Host]:
    with hosting(authority, tmp_path) as made:
        yield made


def documents(authority: Authority, time: Time) -> Documents:
    policy = FetchPolicy(
        resolver=_leads_here,
        allows=_loopback_as_public,
        trust=authority.trust,
        seconds=60,
    )
    return Documents(lambda: policy, now=time)


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("", USUAL_SECONDS),
        ("max-age=1000", 1000),
        ("max-age=0", LEAST_SECONDS),
        ("no-store", LEAST_SECONDS),
        ("max-age=999999999", MOST_SECONDS),
    ],
)
def test_a_document_is_kept_as_it_says_within_bounds(
    authority: Authority, host: Host, cache_control: str, seconds: int
) -> None:
    client_id = host.publish(headers={"Cache-Control": cache_control})
    time = Time()

    async def work() -> None:
        kept = documents(authority, time)
        await kept.get(client_id)
        time.now += seconds - 1
        await kept.get(client_id)
        assert len(host.asked) == 1
        host.publish(client_name="Renamed")
        time.now += 2
        assert (await kept.get(client_id)).document.name == "Renamed"
        assert len(host.asked) == 2

    asyncio.run(work())


def test_many_that_ask_at_once_make_one_fetch(authority: Authority, host: Host) -> None:
    client_id = host.publish()

    async def work() -> None:
        kept = documents(authority, Time())
        found = await asyncio.gather(*(kept.get(client_id) for _ in range(20)))
        assert len({id(it) for it in found}) == 1

    asyncio.run(work())
    assert len(host.asked) == 1


def test_who_goes_away_does_not_end_the_fetch_of_others(
    authority: Authority, host: Host
) -> None:
    client_id = host.publish()

    async def work() -> None:
        kept = documents(authority, Time())
        first = asyncio.create_task(kept.get(client_id))
        second = asyncio.create_task(kept.get(client_id))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).document.client_id == client_id

    asyncio.run(work())


def test_a_failure_is_told_to_all_and_kept_by_none(
    authority: Authority, host: Host
) -> None:
    client_id = host.address()

    async def work() -> None:
        kept = documents(authority, Time())
        for _ in range(2):
            found = await asyncio.gather(
                *(kept.get(client_id) for _ in range(3)), return_exceptions=True
            )
            assert all(isinstance(it, DocumentUnavailableError) for it in found)
        host.publish()
        await kept.get(client_id)

    asyncio.run(work())
    assert len(host.asked) == 3


@pytest.mark.parametrize("keys", [{"keys": []}, {"keys": [{"kty": "oct", "k": "x"}]}, []])
def test_keys_that_cannot_be_used_are_a_failure(
    authority: Authority, host: Host, keys: Any
) -> None:
    host.put("/keys", json.dumps(keys).encode())
    client_id = host.publish(
        token_endpoint_auth_method="private_key_jwt", jwks_uri=host.address("/keys")
    )

    async def work() -> None:
        with pytest.raises(DocumentUnavailableError):
            await documents(authority, Time()).get(client_id)

    asyncio.run(work())


def test_no_more_than_so_many_are_kept(authority: Authority, host: Host) -> None:
    async def work() -> None:
        kept = documents(authority, Time())
        for number in range(MAX_KEPT + 1):
            await kept.get(host.publish(f"/{number}.json"))
        await kept.get(host.address(f"/{MAX_KEPT}.json"))
        assert len(host.asked) == MAX_KEPT + 1
        await kept.get(host.address("/0.json"))
        assert len(host.asked) == MAX_KEPT + 2

    asyncio.run(work())
