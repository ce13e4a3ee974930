"""Reading records: in order, filtered, as the flat rows that commands print."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType

from bascule.audit.log_files import LogFiles
from bascule.audit.reader import TileReader
from bascule.audit.record import Record, decode
from bascule.audit.state import read_state
from bascule.audit.tile import WIDTH


class Row(msgspec.Struct):
    """One record, flat; every key is always written."""

    seq: int
    id: str
    ts: int
    """Microseconds since 1970."""
    type: str
    user: str | None
    agent: str | None
    agent_verified: bool | None
    connector: str | None
    method: str | None
    name: str | None
    decision: str | None
    reason: str | None
    policies: list[str]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records are wanted; None lets all through."""

    user: str | None = None
    agent: str | None = None
    connector: str | None = None
    name: str | None = None
    type: str | None = None
    decision: str | None = None
    since: int | None = None
    """Microseconds, included."""
    until: int | None = None
    """Microseconds, not included."""

    def passes(self, row: Row) -> bool:
        """Tell whether a row is wanted."""
        wanted = (
            (self.user, row.user),
            (self.agent, row.agent),
            (self.connector, row.connector),
            (self.name, row.name),
            (self.type, row.type),
            (self.decision, row.decision),
        )
        if any(want is not None and want != have for want, have in wanted):
            return False
        return self.covers(row.ts)

    def covers(self, ts: int) -> bool:
        """Tell whether a time is wanted."""
        if self.since is not None and ts < self.since:
            return False
        return self.until is None or ts < self.until


class _Time(msgspec.Struct):
    ts: int


_time = msgspec.json.Decoder(_Time)


def second_of(leaf: bytes) -> int:
    """Give the second in which a record was made, without reading all of it."""
    return _time.decode(leaf).ts // 1_000_000


def leaves(files: LogFiles, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Give the committed entries from a place on. Raises what reading tiles raises."""
    state = read_state(files)
    size = 0 if state is None else state.size
    reader = TileReader(files, size)
    for index in range(start // WIDTH, (size + WIDTH - 1) // WIDTH):
        for place, leaf in enumerate(reader.entries(index), index * WIDTH):
            if place >= start:
                yield place, leaf


def rows(files: LogFiles, wanted: Filter, start: int = 0) -> Iterator[Row]:
    """Give the wanted records, oldest first."""
    needles = _needles(wanted)
    by_time = wanted.since is not None or wanted.until is not None
    for seq, leaf in leaves(files, start):
        # A record that does not even hold the text is not worth decoding.
        if any(needle not in leaf for needle in needles):
            continue
        if by_time and not wanted.covers(_time.decode(leaf).ts):
            continue
        found = row(seq, decode(leaf))
        if wanted.passes(found):
            yield found


def _needles(wanted: Filter) -> list[bytes]:
    """Give texts that a wanted record holds, in the way in which records are written."""
    texts = [wanted.connector, wanted.name, wanted.type, wanted.decision]
    texts += [
        party.removeprefix("user:")
        for party in (wanted.user, wanted.agent)
        if party is not None and "|" not in party  # foreign ones are written in two parts
    ]
    return [msgspec.json.encode(text) for text in texts if text is not None]


def row(seq: int, record: Record) -> Row:
    """Flatten a record."""
    mcp, authz, agent, user = record.mcp, record.authz, record.agent, record.user
    name = None if mcp is UNSET or mcp.name is UNSET else mcp.name
    return Row(
        seq=seq,
        id=record.id,
        ts=record.ts,
        type=record.type,
        user=None if user is UNSET else f"user:{_prefix(user.iss)}{user.sub}",
        agent=None if agent is UNSET else f"{_prefix(agent.iss)}{agent.client_id}",
        agent_verified=None if agent is UNSET else agent.verified is True,
        connector=None if record.connector is UNSET else record.connector,
        method=None if mcp is UNSET else mcp.method,
        name=name,
        decision=None if authz is UNSET else authz.decision,
        reason=None if authz is UNSET else authz.reason,
        policies=[] if authz is UNSET else list(authz.policies),
    )


def _prefix(issuer: str | UnsetType) -> str:
    """Give what stands before the name of a foreign user or agent."""
    return "" if issuer is UNSET else f"{issuer}|"
