"""A server as a scan sees it: probed, and what its judges said."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bascule.scan.exchange import Limits
from bascule.scan.finding import Finding
from bascule.scan.interfaces import own_addresses
from bascule.scan.probed import Probed
from bascule.scan.prober import probe
from bascule.scan.report import Gap, Sent
from bascule.scan.scope import Scope
from bascule.scan.target import Target
from bascule.scan.wire import Wire

LIMITS = Limits(head_seconds=20.0, body_seconds=20.0)
OF_STATE = frozenset({"open-server", "discovery-open", "cleartext"})
"""What a server on loopback has by the way in which it is run here."""


@dataclass(frozen=True)
class Seen:
    probed: Probed
    findings: dict[str, Finding]
    """By rule."""
    gaps: list[Gap]
    sent: list[Sent]

    @property
    def rules(self) -> set[str]:
        """What was found, beside its state."""
        assert self.probed.identity is not None, "no MCP was found, so nothing is judged"
        return set(self.findings) - OF_STATE


def look(url: str, limits: Limits = LIMITS) -> Seen:
    return asyncio.run(_look(url, limits))


async def _look(url: str, limits: Limits) -> Seen:
    wire = Wire(scope=Scope(own=own_addresses()), limits=limits)
    try:
        probed = await probe(wire, Target.of_url(url))
    finally:
        wire.close()
    found = {it.rule: it for each in probed.each() for it in each.findings}
    gaps = [it for each in probed.each() for it in each.not_assessed]
    return Seen(probed, found, gaps, wire.sent)
