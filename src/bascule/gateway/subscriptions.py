"""Which resources a client may listen to, by one `subscriptions/listen`.

Each is a use of its own, though the request is one: its URI says something to the server,
as that of `resources/subscribe` does in older revisions. So flows and rates count for each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from msgspec.structs import replace

from bascule.decision.concerns import Concern
from bascule.decision.decide import decide
from bascule.decision.decide_many import decide_many
from bascule.decision.facts import Allowed, CallFacts, Decision, Denied
from bascule.decision.snapshot import Snapshot
from bascule.gateway.flows import concern_of, spent, touch
from bascule.gateway.gateway import Gateway
from bascule.protocol.message import INVALID_PARAMS, Error, Request
from bascule.protocol.modern import ProtocolError


async def without_forbidden_subscriptions(
    gateway: Gateway, request: Request, facts: CallFacts, snapshot: Snapshot
) -> Request:
    """Leave out of a `subscriptions/listen` the resources that the caller may not read.

    What the others touch is on disk on return. Raises `ProtocolError`,
    `StateUnconfirmedError`.
    """
    wanted = request.params.get("notifications")
    if not isinstance(wanted, dict) or "resourceSubscriptions" not in wanted:
        return request
    uris = wanted["resourceSubscriptions"]
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        problem = Error(INVALID_PARAMS, "`resourceSubscriptions` must be a list of strings")
        raise ProtocolError(400, problem)
    allowed = await _allowed(gateway, uris, facts, snapshot)
    kept = [uri for uri in uris if uri in allowed]
    notifications = {**wanted, "resourceSubscriptions": kept}
    return Request(
        request.id, request.method, {**request.params, "notifications": notifications}
    )


async def _allowed(
    gateway: Gateway, uris: Sequence[str], facts: CallFacts, snapshot: Snapshot
) -> set[str]:
    """Decide about one after the other: what one touches may close the next."""
    touched: frozenset[str] | None = None
    found = set()
    for uri, decision in _decided(facts, dict.fromkeys(uris), snapshot):
        reading = replace(facts, method="resources/read", kind="resource", name=uri)
        concern = concern_of(reading, snapshot)
        if concern is None:
            certain = isinstance(decision, Allowed)
            if certain or isinstance(decide(reading, snapshot), Allowed):
                found.add(uri)
            continue
        if touched is None:  # asked for once: who listens may name thousands
            windows = snapshot.concerns.windows
            touched = await gateway.touches.of(facts.principal, windows, facts.now)
        if await _may_use(gateway, replace(reading, touched=touched), snapshot, concern):
            touched |= concern.opens.keys()
            found.add(uri)
    return found


def _decided(
    facts: CallFacts, uris: Collection[str], snapshot: Snapshot
) -> Iterator[tuple[str, Decision]]:
    """Give those that are not denied whatever was touched before."""
    who, connector, now = facts.principal, facts.connector, facts.now
    batches = decide_many(who, connector, "resource", uris, now=now, snapshot=snapshot)
    for batch in batches:
        yield from (it for it in batch if not isinstance(it[1], Denied))


async def _may_use(
    gateway: Gateway, reading: CallFacts, snapshot: Snapshot, concern: Concern
) -> bool:
    """Decide about one resource as about reading it, count it, and note what it touches."""
    if not isinstance(decide(reading, snapshot), Allowed):
        return False
    if await spent(gateway, reading, concern):
        return False
    await touch(gateway, reading, concern)
    return True
