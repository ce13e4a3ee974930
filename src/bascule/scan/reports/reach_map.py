"""The map of a report: who reaches which server, as boxes and lines that are laid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from msgspec import UNSET

from bascule.scan.interfaces import REACHES, Reach, reach_of
from bascule.scan.reports.plain import plain
from bascule.scan.server import Server, State

Guard = Literal["open", "guarded", "unknown"]
"""What stands between who reaches a server and what it does."""

GUARDS: dict[State, Guard] = {
    "open": "open",
    "garbage_accepted": "open",
    "token_in_url": "open",
    "discovery_open": "guarded",
    "token_required": "guarded",
    "forbidden": "guarded",
    "mutual_tls": "guarded",
}
_NAMES: dict[Reach, str] = {
    "loopback": "programs on the same machine",
    "bridge": "containers on the same machine",
    "link_local": "machines on the same link",
    "private": "private networks",
    "public": "the internet",
}
_STARTER = "the program that starts it"
_NOBODY = "nobody who is known"
MOST_SERVERS = 120
"""That are drawn, the open ones first; tables have all."""
_ROW, _TOP = 34, 12
_LEFT, _GATE, _RIGHT = 250, 646, 660
"""Where lines leave who reaches something, and end at Bascule or at a server."""
_LETTERS_LEFT, _LETTERS_RIGHT = 28, 34


@dataclass(frozen=True, slots=True)
class Box:
    """Somebody who reaches a server, or a server."""

    name: str
    shown: str
    """Perhaps shortened."""
    y: int
    guard: Guard
    through: bool
    """Bascule stands before it."""
    said: str
    """All that the map says of it."""


@dataclass(frozen=True, slots=True)
class Line:
    """Somebody reaches a server."""

    path: str
    """As the attribute `d` of SVG."""
    guard: Guard
    server: int
    """Which of the boxes on the right."""


@dataclass(frozen=True, slots=True)
class Map:
    """A map of boxes on two sides."""

    height: int
    who: tuple[Box, ...]
    servers: tuple[Box, ...]
    lines: tuple[Line, ...]
    left_out: int


def reach_map(servers: Sequence[Server]) -> Map:
    """Lay out the map of servers."""
    drawn = sorted(servers, key=_order)[:MOST_SERVERS]
    who = sorted({it for server in drawn for it in reached_by(server)}, key=_place_of_who)
    rows = max(len(who), len(drawn))
    left = {it: _y(at, len(who), rows) for at, it in enumerate(who)}
    right = [_y(at, len(drawn), rows) for at in range(len(drawn))]
    lines = [
        Line(_path(left[it], right[at], server), guard_of(server), at)
        for at, server in enumerate(drawn)
        for it in reached_by(server)
    ]
    return Map(
        height=rows * _ROW + 2 * _TOP,
        who=tuple(_who(it, left[it]) for it in who),
        servers=tuple(_box(it, right[at]) for at, it in enumerate(drawn)),
        lines=tuple(lines),
        left_out=len(servers) - len(drawn),
    )


def guard_of(server: Server) -> Guard:
    """Say what stands before a server."""
    return GUARDS.get(server.state, "unknown")


def reached_by(server: Server) -> list[str]:
    """Name those who reach a server: clients that are told of it, and networks."""
    found = [] if server.client is UNSET else [plain(server.client)]
    reach = _reach(server)
    if reach is not None:
        found.append(_NAMES[reach])
    return found or [_STARTER if server.transport == "stdio" else _NOBODY]


def _reach(server: Server) -> Reach | None:
    """Give the widest reach that is known, of the address or a literal in the URL."""
    if server.address is not UNSET:
        place = f"//{server.address}"
    elif server.url is not UNSET:
        place = server.url
    else:
        return None
    # Both come from others, too: what is no address reaches nobody that is known.
    try:
        host = urlsplit(place).hostname or ""
        return reach_of("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return None


def _order(server: Server) -> tuple[int, str]:
    return ("open", "unknown", "guarded").index(guard_of(server)), server.name


def _place_of_who(name: str) -> tuple[int, str]:
    networks = [_NAMES[it] for it in REACHES]
    return (networks.index(name) + 1 if name in networks else 0), name


def _y(at: int, count: int, rows: int) -> int:
    """Give the middle of a box, so that the shorter side stands in the middle."""
    return _TOP + (rows - count) * _ROW // 2 + at * _ROW + _ROW // 2


def _path(start: int, end: int, server: Server) -> str:
    there = _GATE if server.through_bascule else _RIGHT
    middle = (_LEFT + _RIGHT) // 2
    return f"M{_LEFT} {start}C{middle} {start} {middle} {end} {there} {end}"


def _who(name: str, y: int) -> Box:
    return Box(name, _short(name, _LETTERS_LEFT), y, "unknown", False, name)


def _box(server: Server, y: int) -> Box:
    name = plain(server.name)
    through = ", through Bascule" if server.through_bascule else ""
    shadow = ", a shadow: nobody's configuration names it" if server.known is False else ""
    who = " and ".join(reached_by(server))
    said = f"{name}: {server.state}, reached by {who}{through}{shadow}"
    return Box(
        name=name,
        shown=_short(f"{name} ({server.state})", _LETTERS_RIGHT),
        y=y,
        guard=guard_of(server),
        through=server.through_bascule is True,
        said=said,
    )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
