"""When keys of platforms are read, kept and dropped; time is a number."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import canned
from bascule.config.model import Config
from bascule.config.workloads import Workload
from bascule.oauthclient.openid import FAILED_SECONDS, KEEP_SECONDS, UNKNOWN_KEY_SECONDS
from bascule.oauthclient.workload_keys import (
    MAX_BYTES,
    WorkloadKeys,
    WorkloadKeysUnavailableError,
)
from foreign import Signer, jwks, signer

FIRST, SECOND = signer("first", "ES256"), signer("second", "ES256")


class Platform:
    """An issuer of workloads' tokens, and what reads its keys at a time that is set."""

    def __init__(self) -> None:
        self.server = canned.Canned()
        self.now = 1000.0
        self.documents = jwks(FIRST)
        self.issuer = ""
        self.status = "200 OK"
        self.reader = WorkloadKeys(Config, now=lambda: self.now)

    def answer(self, heard: canned.Heard) -> bytes:
        if heard.path.endswith("openid-configuration"):
            said = {"issuer": self.issuer, "jwks_uri": f"{self.server.url}/keys"}
            return canned.json(self.status, said)
        kind = "Content-Type: application/jwk-set+json"
        return canned.http(self.status, self.documents, kind)

    @property
    def asked(self) -> list[str]:
        return [it.path.rpartition("/")[2] for it in self.server.heard]

    async def has(self, kid: str, algorithm: str = "ES256", **rules: Any) -> bool:
        workload = Workload(issuer=self.server.url, agent="a", subject="s", **rules)
        return await self.reader.key(workload, kid, algorithm) is not None


def run(body: Callable[[Platform], Awaitable[None]]) -> None:
    async def inside() -> None:
        it = Platform()
        async with canned.serving(it.answer) as it.server:
            it.issuer = it.server.url
            await body(it)

    asyncio.run(inside())


def test_keys_are_read_once_for_all_who_want_them_and_kept_for_their_time() -> None:
    async def body(it: Platform) -> None:
        await asyncio.gather(*(it.has("first") for _ in range(20)))
        assert it.asked == ["openid-configuration", "keys"]
        it.documents = jwks(SECOND)
        it.now += KEEP_SECONDS + 1
        assert not await it.has("first")  # it was taken back
        assert await it.has("second")

    run(body)


def test_a_rotated_key_is_looked_for_but_not_for_each_token() -> None:
    async def body(it: Platform) -> None:
        assert await it.has("first")
        it.documents = jwks(FIRST, SECOND)
        assert not await it.has("second")
        it.now += UNKNOWN_KEY_SECONDS + 1
        assert await it.has("second")
        for _ in range(5):
            assert not await it.has("made up")
            assert not await it.has("")
        assert it.asked.count("keys") == 2

    run(body)


def test_made_up_keys_cost_nobody_the_real_ones() -> None:
    async def body(it: Platform) -> None:
        assert await it.has("first")
        it.status = "503 Service Unavailable"
        it.now += UNKNOWN_KEY_SECONDS + 1
        with pytest.raises(WorkloadKeysUnavailableError):
            await it.has("made up")
        assert await it.has("first")
        it.now += KEEP_SECONDS
        with pytest.raises(WorkloadKeysUnavailableError):
            await it.has("first")

    run(body)


def test_a_platform_that_fails_is_left_alone_for_a_moment() -> None:
    async def body(it: Platform) -> None:
        it.status = "500 Internal Server Error"
        for _ in range(5):
            with pytest.raises(WorkloadKeysUnavailableError):
                await it.has("first")
        assert len(it.asked) == 1
        it.status = "200 OK"
        it.now += FAILED_SECONDS + 1
        assert await it.has("first")

    run(body)


def key(by: Signer, **changes: Any) -> dict[str, Any]:
    return {**by.jwk(), **changes}


def holds_no_keys(document: bytes) -> None:
    async def body(it: Platform) -> None:
        it.documents = document
        with pytest.raises(WorkloadKeysUnavailableError):
            await it.has("first")

    run(body)


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "RSA"},
        {"kid": ""},
        {"kid": 7},
        {"use": "enc"},
        {"use": "x509-svid"},
        {"crv": "secp256k1"},
        {"alg": "HS256"},
        {"x": "AAAA"},
    ],
    ids=str,
)
def test_a_key_of_another_kind_is_none(change: dict[str, Any]) -> None:
    holds_no_keys(json.dumps({"keys": [key(FIRST, **change)]}).encode())


@pytest.mark.parametrize("document", [b"", b"[]", b"\xff", b'{"keys": []}', b"[" * 9000])
def test_what_is_no_set_of_keys_holds_none(document: bytes) -> None:
    holds_no_keys(document)


def test_more_than_anybody_has_is_not_read() -> None:
    padding = "x" * MAX_BYTES
    holds_no_keys(json.dumps({"keys": [key(FIRST)], "padding": padding}).encode())


def test_a_key_serves_for_algorithms_of_its_kind_alone() -> None:
    async def body(it: Platform) -> None:
        for algorithm in ("RS256", "HS256", "none", "ES384", ""):
            assert not await it.has("first", algorithm)
        assert await it.has("first", "ES256")

    run(body)


@pytest.mark.parametrize("issuer", ["https://evil.example", "", "http://127.0.0.1"])
def test_metadata_of_another_issuer_leads_nowhere(issuer: str) -> None:
    async def body(it: Platform) -> None:
        it.issuer = issuer
        with pytest.raises(WorkloadKeysUnavailableError):
            await it.has("first")
        assert it.asked == ["openid-configuration"]

    run(body)


def test_where_the_keys_are_may_be_written_down() -> None:
    async def body(it: Platform) -> None:
        assert await it.has("first", jwks_uri=f"{it.server.url}/keys")
        assert it.asked == ["keys"]

    run(body)


def test_an_issuer_leads_to_no_other_machine_of_the_network() -> None:
    """What metadata names is not what the operator wrote."""

    async def asked(issuer: str) -> None:
        reader = WorkloadKeys(Config)
        workload = Workload(issuer=issuer, agent="a", subject="s")
        with pytest.raises(WorkloadKeysUnavailableError):
            await reader.key(workload, "k", "ES256")

    for issuer in ("https://169.254.169.254", "https://10.0.0.1", "https://[fd00::1]"):
        asyncio.run(asked(issuer))


def test_a_bundle_that_was_rotated_is_read_anew(tmp_path: Path) -> None:
    """As SPIRE leaves it: keys of X.509-SVIDs beside them, and a sequence number."""
    bundle = tmp_path / "bundle.json"
    now = [0.0]

    def write(*keys: Signer) -> None:
        entries = [key(it, use="jwt-svid") for it in keys]
        x509 = key(SECOND, use="x509-svid", kid="x")
        content = {"keys": [x509, *entries], "spiffe_sequence": 7}
        bundle.write_text(json.dumps(content))

    async def work() -> None:
        reader = WorkloadKeys(Config, now=lambda: now[0])
        rules = Workload(
            issuer="spiffe://corp.example", agent="a", subject="s", keys_file=str(bundle)
        )

        async def has(kid: str) -> bool:
            return await reader.key(rules, kid, "ES256") is not None

        with pytest.raises(WorkloadKeysUnavailableError):
            await has("first")
        write(FIRST)
        now[0] += FAILED_SECONDS + 1
        assert await has("first")
        assert not await has("x")
        write(SECOND)
        now[0] += UNKNOWN_KEY_SECONDS + 1
        assert await has("second")
        assert not await has("first")
        bundle.write_text("{")  # while it is written
        assert await has("second")
        now[0] += KEEP_SECONDS + 1
        with pytest.raises(WorkloadKeysUnavailableError):
            await has("second")

    asyncio.run(work())
