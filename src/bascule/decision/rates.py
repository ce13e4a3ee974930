"""Rates: how many calls there are in a minute, an hour or a day, and whose they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from bascule.clock import UnixTime
from bascule.config.model import Rate
from bascule.decision.entries import Entry, TargetKind
from bascule.decision.facts import CallFacts
from bascule.decision.toolsets import Toolsets

RATE = "rate:"
"""What names a rate among the policies of a decision begins with."""
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}


class Share(Struct, frozen=True):
    """The calls of one period that whoever makes a call may make."""

    rate: str
    holder_hash: bytes
    """SHA-256 over all that the rate counts apart."""
    ends_at: UnixTime
    calls: int


class NamedRate(Struct, frozen=True):
    """A rate with its name."""

    name: str
    rate: Rate

    def share_of(self, facts: CallFacts) -> Share:
        """Give the share that a call is counted in."""
        apart = {
            "agent": facts.principal.agent,
            "tool": f"{facts.connector}/{facts.kind}/{facts.name}",
            "user": facts.principal.user,
        }
        holder = {part: apart[part] for part in self.rate.by}
        text = msgspec.json.encode(holder, order="sorted")
        seconds = _SECONDS[self.rate.per]
        return Share(
            self.name,
            hashlib.sha256(text).digest(),
            UnixTime(facts.now - facts.now % seconds + seconds),
            self.rate.calls,
        )


class Rates:
    """All rates, indexed by what their entries name."""

    def __init__(
        self, rates: Mapping[str, Rate], counted: Mapping[str, Sequence[Entry]]
    ) -> None:
        self._rates = {name: NamedRate(name, rate) for name, rate in rates.items()}
        self._counted = Toolsets(counted)

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(self._rates)

    def of(self, connector: str, kind: TargetKind, name: str) -> tuple[NamedRate, ...]:
        """Give the rates that the use of this counts in."""
        names = sorted(self._counted.of(connector, kind, name))
        return tuple(self._rates[it] for it in names)
