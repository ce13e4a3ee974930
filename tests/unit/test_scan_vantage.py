"""A vantage point on loopback: what it connects to, for whom, and what it passes on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

import canned
from bascule.clock import UnixTime, system_entropy
from bascule.errors import BasculeError
from bascule.lock import sshsig
from bascule.scan.exchange import Limits, WireError
from bascule.scan.scope import Scope
from bascule.scan.vantage import Vantage, VantageError
from bascule.scan.vantage_identity import tls_of
from bascule.scan.vantage_order import (
    Order,
    OrderError,
    SignedOrder,
    literal_and_port,
    new_order,
    signed,
    verified,
)
from bascule.scan.vantage_relay import MAX_OPEN, Relay
from bascule.scan.wire import Wire
from certificates import new_authority

NOW = UnixTime(1_800_000_000)
KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
PAIRED = KEY.public_key().public_bytes_raw()
NONCE = "ab" * 32
GOOD = new_order(NONCE, ["10.0.0.1:80", "10.0.0.2:443"], "10.0.0.2:443", now=NOW)


def check(received: bytes, nonce: str = NONCE, now: int = NOW) -> Order:
    return verified(received, paired=PAIRED, nonce=nonce, now=UnixTime(now))


def test_an_order_of_the_paired_bascule_is_carried_out() -> None:
    assert check(signed(GOOD, KEY)) == GOOD


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"nonce": "cd" * 32}, "another connection"),
        ({"expires": NOW - 31}, "too old"),
        ({"expires": NOW + 10_000}, "too old"),
        ({"connect": "10.0.0.3:443"}, "not among its targets"),
        ({"connect": "10.0.0.2:8443"}, "not among its targets"),
        ({"targets": ("10.0.0.2:443",) * 257}, "more than 256"),
    ],
)
def test_an_order_that_is_wrong_in_one_thing_is_not(
    change: dict[str, object], why: str
) -> None:
    order = msgspec.structs.replace(GOOD, **change)
    with pytest.raises(OrderError, match=why):
        check(signed(order, KEY))


def test_an_order_of_somebody_else_is_not() -> None:
    with pytest.raises(OrderError, match="another key"):
        check(signed(GOOD, STRANGER))


def test_a_signature_that_was_made_for_something_else_is_not() -> None:
    """The same key may sign approvals: these are no orders."""
    content = msgspec.json.encode(GOOD)
    signature = sshsig.sign(content, KEY, namespace="mcp-approval")
    texts = [base64.b64encode(it).decode() for it in (content, signature)]
    with pytest.raises(OrderError, match="namespace"):
        check(msgspec.json.encode(SignedOrder(*texts)))


def test_a_changed_order_is_not() -> None:
    received = json.loads(signed(GOOD, KEY))
    content = base64.b64decode(received["order"]).replace(b"10.0.0.2", b"10.0.0.1")
    received["order"] = base64.b64encode(content).decode()
    with pytest.raises(OrderError, match="does not fit"):
        check(json.dumps(received).encode())


@given(st.binary(max_size=300))
def test_any_bytes_are_an_order_or_refused(received: bytes) -> None:
    with pytest.raises(OrderError):
        check(received)


@pytest.mark.parametrize(
    "target",
    ["", "host:80", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:٣", ":1"],
)
def test_a_target_is_a_literal_and_a_port(target: str) -> None:
    with pytest.raises(OrderError):
        literal_and_port(target)


@dataclass(slots=True)
class Point:
    """A vantage point that runs, and its Bascule."""

    vantage: Vantage
    relay: Relay
    events: list[dict[str, object]] = field(default_factory=list)

    def wire(self, **changes: object) -> Wire:
        dial = replace(self.vantage, **changes).dial  # type: ignore[arg-type]
        return Wire(scope=Scope(), dial=dial, limits=Limits(head_seconds=5.0))


@contextlib.asynccontextmanager
async def point(
    folder: Path, *targets: int, is_own: Callable[[str], bool] = lambda _address: False
) -> AsyncGenerator[Point, None]:
    """Run a vantage point that takes loopback for another machine."""
    events: list[dict[str, object]] = []
    relay = Relay(
        paired=PAIRED,
        is_own=is_own,
        record=events.append,
        clock=lambda: NOW,
        entropy=system_entropy,
        rate=1000.0,
    )
    context, fingerprint = tls_of(folder / "vantage.pem", now=NOW, entropy=system_entropy)
    server = await relay.listen("127.0.0.1", 0, context)
    port = server.sockets[0].getsockname()[1]
    named = tuple(f"127.0.0.1:{it}" for it in targets)
    vantage = Vantage("127.0.0.1", port, fingerprint, KEY, named, lambda: NOW)
    try:
        yield Point(vantage, relay, events)
    finally:
        server.close()
        await asyncio.sleep(0.01)


async def ask(point: Point, target: canned.Canned, **changes: object) -> int:
    wire = point.wire(**changes)
    try:
        return (await wire.ask(target.place, "GET", "/")).status
    finally:
        wire.close()


@pytest.mark.anyio
async def test_a_target_is_asked_from_there_and_it_is_written_down(
    tmp_path: Path,
) -> None:
    async with (
        canned.serving(lambda _heard: canned.http("204 No Content")) as target,
        point(tmp_path, target.port) as it,
    ):
        assert await ask(it, target) == 204
    wanted = {"at": NOW, "event": "connect", "peer": "127.0.0.1"}
    assert it.events == [{**wanted, "target": f"127.0.0.1:{target.port}"}]


@pytest.mark.anyio
async def test_tls_goes_end_to_end_and_the_vantage_point_sees_none_of_it(
    tmp_path: Path,
) -> None:
    """The target's certificate is judged here, through the relay."""
    authority = new_authority()
    context = authority.server(tmp_path, "127.0.0.1")
    async with (
        canned.serving(lambda _heard: canned.http("204 No Content"), context) as target,
        point(tmp_path, target.port) as it,
    ):
        wire = Wire(scope=Scope(), dial=it.vantage.dial, trust=authority.trust)
        answered = await wire.ask(replace(target.place, secure=True), "GET", "/")
        wire.close()
    assert answered.tls is not None
    assert (answered.status, answered.tls.problem) == (204, "")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"key": STRANGER}, "another key"),
        ({"targets": ("127.0.0.1:1",)}, "not among its targets"),
        ({"clock": lambda: UnixTime(NOW + 3600)}, "too old"),
        ({"fingerprint": "00" * 32}, "its certificate is another one"),
    ],
)
async def test_what_is_not_paired_reaches_nothing(
    tmp_path: Path, changes: dict[str, object], why: str
) -> None:
    """And it is no word about the target: `unreachable` would pass for being inside."""
    async with (
        canned.serving(lambda _heard: canned.http("200 OK")) as target,
        point(tmp_path, target.port) as it,
    ):
        with pytest.raises(VantageError, match=why):
            await ask(it, target, **changes)
    assert target.connections == 0
    assert all(event["event"] == "refused" for event in it.events)


@pytest.mark.anyio
async def test_its_own_machine_is_never_connected_to(tmp_path: Path) -> None:
    """A stolen key does not open what listens on the vantage point's loopback."""
    async with (
        canned.serving(lambda _heard: canned.http("200 OK")) as target,
        point(tmp_path, target.port, is_own=lambda _address: True) as it,
    ):
        with pytest.raises(VantageError, match="own machine"):
            await ask(it, target)
    assert target.connections == 0


@pytest.mark.anyio
@pytest.mark.parametrize("beside", ["169.254.169.254:80", "[ff02::1]:80", "nonsense"])
async def test_a_list_with_what_is_never_asked_is_refused_whole(
    tmp_path: Path, beside: str
) -> None:
    async with (
        canned.serving(lambda _heard: canned.http("200 OK")) as target,
        point(tmp_path, target.port) as it,
    ):
        listed = (f"127.0.0.1:{target.port}", beside)
        with pytest.raises(VantageError, match="refuses"):
            await ask(it, target, targets=listed)
    assert target.connections == 0


@pytest.mark.anyio
async def test_that_nothing_listens_there_is_the_target_s_word(tmp_path: Path) -> None:
    async with (
        canned.serving(lambda _heard: None) as gone,
        point(tmp_path, gone.port) as it,
    ):
        port = gone.port
        gone.port = 1
        wire = it.wire(targets=("127.0.0.1:1",))
        with pytest.raises(WireError) as told:
            await wire.ask(gone.place, "GET", "/")
    assert told.value.failure == "refused"
    assert port != 1


@pytest.mark.anyio
async def test_a_vantage_point_that_is_gone_says_nothing_of_the_target(
    tmp_path: Path,
) -> None:
    async with canned.serving(lambda _heard: canned.http("200 OK")) as target:
        async with point(tmp_path, target.port) as it:
            pass
        with pytest.raises(VantageError, match="does not answer"):
            await ask(it, target)


@pytest.mark.anyio
async def test_a_vantage_point_that_is_slow_says_nothing_of_the_target(
    tmp_path: Path,
) -> None:
    """It speaks TLS and no more: a server must not pass for out of reach by that."""
    context, fingerprint = tls_of(tmp_path / "v.pem", now=NOW, entropy=system_entropy)
    async with (
        canned.serving(lambda _heard: None, context) as slow,
        canned.serving(lambda _heard: canned.http("200 OK")) as target,
    ):
        targets = (f"127.0.0.1:{target.port}",)
        vantage = Vantage(
            "127.0.0.1", slow.port, fingerprint, KEY, targets, lambda: NOW, 0.2
        )
        with pytest.raises(VantageError, match="does not answer"):
            await vantage.dial("127.0.0.1", target.port)
    assert target.connections == 0


@pytest.mark.anyio
@pytest.mark.parametrize("said", [b"", b"x" * 100_000, b"{}\n", b"\0\n"])
async def test_nonsense_is_answered_with_a_refusal_or_with_the_end(
    tmp_path: Path, said: bytes
) -> None:
    async with point(tmp_path, 1) as it:
        reader, writer = await it.vantage._connect()
        writer.write(said)
        writer.write_eof() if writer.can_write_eof() else None
        await reader.readline()
        if said.endswith(b"\n"):
            assert b'"forbidden"' in await reader.readline()
        writer.transport.abort()


@pytest.mark.anyio
async def test_no_more_connections_are_held_than_are_allowed(tmp_path: Path) -> None:
    async with point(tmp_path, 1) as it:
        held = [await it.vantage._connect() for _ in range(MAX_OPEN)]
        for reader, _writer in held:
            await reader.readline()
        reader, writer = await it.vantage._connect()
        with contextlib.suppress(OSError):
            assert await reader.read() == b""
        for _reader, each in [*held, (reader, writer)]:
            each.transport.abort()


def test_the_key_of_a_vantage_point_is_its_own_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "state" / "vantage.pem"
    _context, first = tls_of(path, now=NOW, entropy=system_entropy)
    _context, again = tls_of(path, now=NOW, entropy=system_entropy)
    assert first == again
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(BasculeError, match="others can read"):
        tls_of(path, now=NOW, entropy=system_entropy)


@pytest.mark.parametrize("content", ["", "x", "-----BEGIN CERTIFICATE-----\nx\n"])
def test_a_broken_key_is_said_to_be(tmp_path: Path, content: str) -> None:
    path = tmp_path / "vantage.pem"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(BasculeError, match="cannot be used"):
        tls_of(path, now=NOW, entropy=system_entropy)


def test_a_context_that_serves_takes_no_old_tls(tmp_path: Path) -> None:
    context, _fingerprint = tls_of(tmp_path / "v.pem", now=NOW, entropy=system_entropy)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
