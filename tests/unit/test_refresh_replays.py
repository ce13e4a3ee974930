"""What clients were seen to do with refresh tokens, step by step.

Each replay is what somebody reported in public, told with our times: when a token is shown,
which one, and what comes back. A client that behaves as these do must stay signed in, and
where a token was used twice in earnest the family must end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bascule.storage.codes import Reused
from bascule.storage.refresh_tokens import Retried, Rotated
from bascule.storage.store import Store
from oauth_state import NOW, add_grant, add_refresh_token, fill, rotate
from postgres import OpenStore

ENDED, REFUSED = "the family ends", "refused"


@dataclass(frozen=True)
class Step:
    """Somebody shows a token, and gets its successor, or what `gets` says."""

    at: int
    """Seconds since the login."""
    shows: str
    gets: str


def steps(*told: tuple[int, str, str]) -> tuple[Step, ...]:
    return tuple(Step(*it) for it in told)


HOUR, DAY = 3600, 86_400
REPLAYS = {
    # PrefectHQ/fastmcp#4264: one client, two egress addresses, each refreshes.
    "two egress addresses": steps(
        (600, "r1", "r2"), (603, "r1", "r2"), (1200, "r2", "r3"), (1201, "r2", "r3")
    ),
    # anthropics/claude-code#85236: three sessions start within eight seconds, each with
    # its own copy of the token, and go on from what each was given.
    "three sessions within eight seconds": steps(
        (889, "r1", "r2"),
        (893, "r1", "r2"),
        (897, "r1", "r2"),
        (1500, "r2", "r3"),
        (1504, "r2", "r3"),
        (1529, "r2", "r3"),
    ),
    # anthropics/claude-code#84440: five probes at expiry; who loses must not be told that
    # its credentials are bad, for it deletes them for all.
    "five probes at expiry": steps(*((300, "r1", "r2"),) * 5, (600, "r2", "r3")),
    # PrefectHQ/fastmcp#4265, buildinternet/uploads#909: the answer got lost, twice.
    "an answer that got lost twice": steps(
        (600, "r1", "r2"), (610, "r1", "r2"), (630, "r1", "r2"), (640, "r2", "r3")
    ),
    # A retry that arrives after the client went on: somebody has a copy, or it looks so.
    "a retry behind its successor": steps(
        (600, "r1", "r2"), (605, "r2", "r3"), (606, "r1", ENDED), (607, "r3", REFUSED)
    ),
    # anthropics/claude-code#74250: another session keeps a stale copy for minutes. No
    # grace can tell it from a thief; it must end at once, and for good.
    "a stale copy minutes later": steps(
        (600, "r1", "r2"), (900, "r1", ENDED), (901, "r2", REFUSED), (902, "r1", REFUSED)
    ),
    # anthropics/claude-code#66210: a token of four days ago comes back.
    "a token of four days ago": steps(
        (600, "r1", "r2"),
        (11 * HOUR, "r2", "r3"),
        (22 * HOUR, "r3", "r4"),
        (33 * HOUR, "r4", "r5"),
        (44 * HOUR, "r5", "r6"),
        (4 * DAY, "r1", ENDED),
    ),
    # The same while the family lives.
    "an old token of a family that lives": steps(
        (600, "r1", "r2"),
        (11 * HOUR, "r2", "r3"),
        (12 * HOUR, "r1", ENDED),
        (12 * HOUR + 1, "r3", REFUSED),
    ),
    # A machine that slept: nothing was refreshed for too long.
    "a client that slept over the idle time": steps(
        (600, "r1", "r2"), (600 + 12 * HOUR, "r2", REFUSED), (13 * HOUR, "r2", REFUSED)
    ),
    # A server whose clock was set back between the first attempt and the retry.
    "a clock that was set back": steps(
        (600, "r1", "r2"), (540, "r1", "r2"), (541, "r2", "r3"), (545, "r2", "r3")
    ),
    # modelcontextprotocol clients that refresh ahead of expiry, again and again.
    "a client that refreshes with each request": steps(
        (1, "r1", "r2"), (2, "r2", "r3"), (3, "r3", "r4"), (4, "r4", "r5")
    ),
}


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        opened.run(fill)
        yield opened


@pytest.mark.parametrize("replay", REPLAYS.values(), ids=REPLAYS)
def test_a_replay(store: Store, replay: tuple[Step, ...]) -> None:
    grant = add_grant(store)
    add_refresh_token(store, grant, b"r1")
    for number, step in enumerate(replay):
        offered = _next(step.shows) if number == _first(replay, step.shows) else "unused"
        found = rotate(store, step.shows.encode(), offered.encode(), now=NOW + step.at)
        assert _told(found, offered) == step.gets, step


def _first(replay: tuple[Step, ...], token: str) -> int:
    return next(number for number, step in enumerate(replay) if step.shows == token)


def _next(token: str) -> str:
    return f"r{int(token.removeprefix('r')) + 1}"


def _told(found: object, offered: str) -> str:
    if isinstance(found, Rotated):
        return offered
    if isinstance(found, Retried):
        return found.sealed_successor.decode().removeprefix("sealed ")
    return ENDED if isinstance(found, Reused) else REFUSED


def test_a_login_beside_another_leaves_it_alone(store: Store) -> None:
    """anthropics/claude-code#82513: a client forgets good tokens and logs in anew."""
    old, new = add_grant(store), add_grant(store, "g-2", now=NOW + 600)
    add_refresh_token(store, old, b"r1")
    add_refresh_token(store, new, b"s1", now=NOW + 600)
    assert rotate(store, b"s1", b"s2", now=NOW + 1200) == Rotated(new)
    assert rotate(store, b"r1", b"r2", now=NOW + 1201) == Rotated(old)
    assert rotate(store, b"r1", b"x", now=NOW + 1300) == Reused(old.id)
    assert rotate(store, b"s2", b"s3", now=NOW + 1301) == Rotated(new)
