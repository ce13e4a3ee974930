"""Ways to a connector's server around Bascule, each tried without a credential."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bascule.errors import BasculeError
from bascule.net.resolver import Resolver, SystemResolver
from bascule.scan import prober
from bascule.scan.boundary import Listening, Tried
from bascule.scan.dialler import Dial
from bascule.scan.exchange import Limits
from bascule.scan.interfaces import OwnAddress, is_own, plain
from bascule.scan.judge.tokens import judge_tokens
from bascule.scan.local_view import Listener, LocalView, ancestors
from bascule.scan.scope import Scope, entries
from bascule.scan.server import State
from bascule.scan.target import Target, TargetError
from bascule.scan.vantage import DIAL_SECONDS, targets_of
from bascule.scan.wire import Wire

SECONDS = 20.0
"""For one way."""
MAX_WAYS = 16
MAX_ADDRESSES = 4
"""Of a server elsewhere."""
AT_ONCE = 4
"""Ways to one server that are tried at the same time."""
RESOLVE_SECONDS = 5.0

OpenWire = Callable[[Scope, Dial | None], Wire]
DialFrom = Callable[[tuple[str, ...]], Dial]
"""Gives what connects from a vantage point to these `ADDRESS:PORT`, and nowhere else."""
NOWHERE_ELSE: Mapping[str, DialFrom] = {}


def open_wire(scope: Scope, dial: Dial | None) -> Wire:
    """Make the wire of one way."""
    if dial is None:
        return Wire(scope=scope)
    return Wire(scope=scope, dial=dial, limits=Limits(connect_seconds=DIAL_SECONDS))


async def ways_around(
    url: str,
    own: Sequence[OwnAddress],
    elsewhere: Mapping[str, DialFrom] = NOWHERE_ELSE,
    *,
    resolver: Resolver | None = None,
    wire: OpenWire = open_wire,
) -> tuple[Tried, ...]:
    """Ask the server at a URL directly, from each side that this machine has.

    On this machine it is asked at each of its own addresses, by the name that the URL has:
    who comes from a network chooses what `Host` says. A server elsewhere is asked from each
    of them. Both are asked from vantage points, too, by their names. Raises nothing.
    """
    try:
        target = Target.of_url(url)
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await (resolver or SystemResolver())(target.host, target.port)
    except (TargetError, OSError, TimeoutError, UnicodeError) as exc:
        why = str(exc) if isinstance(exc, TargetError) else "its name has no address"
        return (Tried("this machine", url_place(url), False, "unreachable", why),)
    scope = Scope(
        own=tuple(own),
        listed=entries([f"{_bracketed(target.host)}:{target.port}"]),
        owned=True,
    )
    if any(is_own(it, own) for it in found):
        ways = [_Way(_named(it), it.reach != "loopback", it.connectable) for it in own]
        public = [it.address for it in own if it.reach in {"private", "public"}]
    else:
        ways = [way for it in found[:MAX_ADDRESSES] for way in _outgoing(it, own)]
        public = list(found)
    ways = [*ways[:MAX_WAYS], *_from_elsewhere(elsewhere, public, target.port)]
    room = asyncio.Semaphore(AT_ONCE)
    return tuple(
        await asyncio.gather(*(_try(it, target, scope, wire, room) for it in ways))
    )


def url_place(url: str) -> str:
    """Give what stands for a URL that leads nowhere."""
    try:
        return Target.of_url(url).shown
    except TargetError:
        return "its URL"


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to the server."""

    named: str
    beyond: bool
    address: str
    dial: Dial | None = None
    """What connects from there; None for what connects as usual."""


def _from(source: str) -> Dial:
    """Connect from one of this machine's addresses."""

    async def dial(
        address: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(Limits().connect_seconds):
            return await asyncio.open_connection(address, port, local_addr=(source, 0))

    return dial


def _from_elsewhere(
    elsewhere: Mapping[str, DialFrom], addresses: Sequence[str], port: int
) -> Iterator[_Way]:
    """Give the ways from vantage points, which may connect to these addresses alone."""
    places = [(address, port) for address in addresses[:MAX_WAYS]]
    for name, dial_from in elsewhere.items() if places else ():
        dial = dial_from(targets_of(places))
        for address, _ in places:
            yield _Way(f"vantage point `{name}`", True, address, dial)


def _outgoing(address: str, own: Iterable[OwnAddress]) -> list[_Way]:
    """Give the addresses that this machine can ask another one from."""
    version = plain(address).version
    sources = [
        it
        for it in own
        if it.reach not in {"loopback", "link_local"}
        and plain(it.address).version == version
    ]
    if len(sources) < 2:
        return [_Way("this machine", True, address)]
    return [_Way(f"from {_named(it)}", True, address, _from(it.address)) for it in sources]


def _named(own: OwnAddress) -> str:
    return "loopback" if own.reach == "loopback" else f"{own.interface}, {own.network}"


async def _try(
    way: _Way, target: Target, scope: Scope, wire: OpenWire, room: asyncio.Semaphore
) -> Tried:
    there = replace(target, addresses=(way.address,))
    async with room:
        state, why = await state_of(there, wire(scope, way.dial))
    place = f"{_bracketed(way.address)}:{target.port}"
    return Tried(way.named, place, way.beyond, state, why)


async def state_of(target: Target, wire: Wire) -> tuple[State, str]:
    """Ask a target without a credential; gives how it stands, and why that is not known."""
    try:
        async with asyncio.timeout(SECONDS):
            probed = await prober.probe(wire, target, (judge_tokens,))
    except TimeoutError:
        return "unknown", f"no answer within {SECONDS:.0f} s"
    except BasculeError as exc:  # a vantage point that cannot be used, for instance
        return "unknown", str(exc)
    finally:
        wire.close()
    each = [it.server.state for it in probed.each()]
    for state in ("open", "garbage_accepted"):
        if state in each:
            return state, ""
    why = next((it.why for it in probed.not_assessed), "")
    return probed.server.state, why


def sockets_of(processes: Iterable[int], view: LocalView) -> tuple[Listener, ...]:
    """Give the sockets of processes and their children that other processes can reach.

    What listens in a network of its own is reached from there alone.
    """
    wanted = frozenset(processes)

    def is_of_them(listener: Listener) -> bool:
        process = listener.process
        if process is None or listener.network is not None:
            return False
        family = (process, *ancestors(process, view.processes))
        return any(it.pid in wanted for it in family)

    return tuple(it for it in view.listeners if is_of_them(it))


async def listening_at(
    sockets: Iterable[Listener], own: Sequence[OwnAddress], *, wire: OpenWire = open_wire
) -> tuple[Listening, ...]:
    """Ask what answers on sockets of this machine, without a credential."""
    found = []
    for it in sockets:
        everywhere = plain(it.address).is_unspecified
        loopback = "127.0.0.1" if plain(it.address).version == 4 else "::1"
        target = Target.of_port(loopback if everywhere else it.address, it.port)
        state, _ = await state_of(target, wire(Scope(own=tuple(own)), None))
        beyond = everywhere or not plain(it.address).is_loopback
        found.append(Listening(f"{_bracketed(it.address)}:{it.port}", beyond, state))
    return tuple(found)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
