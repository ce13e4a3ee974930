"""One prober for all: who is at a target, and how does it stand."""

from __future__ import annotations

from bascule.scan.probed import Probed
from bascule.scan.server import Server
from bascule.scan.target import Target
from bascule.scan.wire import Wire


async def probe(wire: Wire, target: Target) -> Probed:
    """Find out what is at a target. Raises nothing that the target could cause."""
    return Probed(server=Server(name=target.shown, url=target.shown))
