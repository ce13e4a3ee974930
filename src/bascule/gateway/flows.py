"""What flows and rates need of one request beside its decision; of most, nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.decision.concerns import Concern
from bascule.decision.facts import CallFacts
from bascule.decision.snapshot import Snapshot
from bascule.gateway.gateway import Gateway


def concern_of(facts: CallFacts, snapshot: Snapshot) -> Concern | None:
    """Give what of them concerns a request; None when nothing does."""
    if facts.kind == "none" or snapshot.concerns.idle:
        return None
    return snapshot.concerns.of(facts.connector, facts.kind, facts.name)


async def with_touches(
    gateway: Gateway, facts: CallFacts, snapshot: Snapshot, concern: Concern
) -> CallFacts:
    """Add what the identity has touched, where a policy asks for it.

    Raises `StateUnconfirmedError`.
    """
    if not concern.asks:
        return facts
    windows = snapshot.concerns.windows
    touched = await gateway.touches.of(facts.principal, windows, facts.now)
    return replace(facts, touched=touched)


async def spent(
    gateway: Gateway, facts: CallFacts, concern: Concern
) -> dict[str, UnixTime]:
    """Count an allowed call; gives the rates that are used up, and then counts in none.

    Each with the time at which it begins anew. Raises `StateUnconfirmedError`.
    """
    if not concern.rates:
        return {}
    shares = [it.share_of(facts) for it in concern.rates]
    return await gateway.drawn.take(shares, facts.now)


async def touch(
    gateway: Gateway, facts: CallFacts, concern: Concern
) -> Callable[[], None] | None:
    """Note what a call touches, before it goes upstream; gives what is to do at its end.

    Until then it counts for as long as a call can take. Raises `StateUnconfirmedError`.
    """
    if not concern.opens:
        return None
    longest = gateway.limits.upstream_total_seconds
    seconds = {label: max(it, longest) for label, it in concern.opens.items()}
    await gateway.touches.touch(facts.principal, seconds, facts.now)
    return partial(_touch_again, gateway, facts, concern)


def _touch_again(gateway: Gateway, facts: CallFacts, concern: Concern) -> None:
    gateway.touches.touch_again(facts.principal, concern.opens, gateway.clock())
