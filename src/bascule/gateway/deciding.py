"""Steps 6 to 8 and 13 of every request: the decision, its record on disk, how it ended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bascule.audit.writer import LogUnavailableError
from bascule.decision.decide import decide
from bascule.decision.facts import CallFacts, Decision
from bascule.decision.snapshot import Snapshot
from bascule.gateway import refusal
from bascule.gateway.arguments import commit_arguments
from bascule.gateway.callers import Caller
from bascule.gateway.gateway import Gateway, RevokedError
from bascule.gateway.http1 import ClientGoneError, Exchange
from bascule.gateway.journal import Entry
from bascule.gateway.relay import Outcome
from bascule.gateway.upstream import UpstreamError
from bascule.protocol import modern
from bascule.protocol.message import MessageId, Request


def decided(
    gateway: Gateway,
    caller: Caller,
    request: Request,
    facts: CallFacts,
    snapshot: Snapshot,
    *,
    peer: str,
    proto: str = modern.VERSION,
) -> tuple[Decision, Entry]:
    """Decide, and hand in the record that says so. Raises `LogUnavailableError`."""
    decision = decide(facts, snapshot)
    args, opening = commit_arguments(
        request, keep_values=gateway.keeps_values(facts.connector)
    )
    entry = gateway.journal.decided(
        caller,
        facts,
        decision,
        peer=peer,
        policy_digest=snapshot.digest,
        args=args,
        opening=opening,
        proto=proto,
    )
    return decision, entry


async def on_disk(gateway: Gateway, entry: Entry) -> None:
    """Wait for the record of a decision. Raises `LogUnavailableError`.

    An allowed call that ends here has a record that must not stay open.
    """
    try:
        durable = await entry.durable
    except (ClientGoneError, RevokedError) as exc:
        if not entry.code:
            gateway.journal.completed(entry, Outcome(refusal.OUTCOMES[type(exc)]))
        raise
    if not durable:
        raise LogUnavailableError("the record could not be written")


class Forwarding:
    """A request on its way upstream; `outcome` is set by whoever relays the answer."""

    __slots__ = ("outcome",)

    def __init__(self) -> None:
        self.outcome = Outcome("internal_error")


@contextlib.contextmanager
def forwarding(
    gateway: Gateway, exchange: Exchange, entry: Entry, client_id: MessageId | None
) -> Iterator[Forwarding]:
    """Record how a forwarded request ends, and answer for an upstream that does not."""
    it = Forwarding()
    try:
        yield it
    except (ClientGoneError, RevokedError, modern.ProtocolError) as exc:
        it.outcome = Outcome(refusal.OUTCOMES[type(exc)])
        raise
    except UpstreamError as exc:
        it.outcome = Outcome(exc.outcome)
        refusal.upstream_failed(exchange, client_id, exc)
    finally:
        gateway.journal.completed(entry, it.outcome)
