"""Step 6 of a request of 2026-07-28: what it asks for, and what its client shows for it."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from bascule.decision.facts import CallFacts
from bascule.gateway import link_answers
from bascule.gateway.approval import compared_modern, watch_modern
from bascule.gateway.approval_states import Shown, open_state
from bascule.gateway.definitions import Watch
from bascule.gateway.gateway import RevokedError
from bascule.gateway.linked import ConnectFirstError
from bascule.gateway.outgoing import handle_binding
from bascule.gateway.turn import Turn
from bascule.protocol.message import Request


class Asked(Struct, frozen=True, gc=False):
    """What is decided on."""

    request: Request
    """Without what its client says to us alone."""
    facts: CallFacts
    watch: Watch | None
    """Compares it with what was approved; None where nothing is compared."""
    shown: Shown | None
    """What the client shows of a call approval."""
    unlinked: ConnectFirstError | None = None
    """What the user has to do before it can be compared."""


async def asked_by(turn: Turn, request: Request) -> tuple[Turn, Asked]:
    """Put together what a request asks for. Raises what `refusal` knows.

    Where its client waited for its user meanwhile, the turn is that of now.
    """
    shown: Shown | None = None
    if "requestState" in request.params:
        binding = handle_binding(turn.caller.principal, turn.connector, request.method)
        request, shown = open_state(turn.gateway.sealer, request, binding, turn.now)
    request, came_back = link_answers.without_answer(request)
    turn = await _waited(turn, shown, came_back=came_back)
    facts = turn.facts_of(request)
    gateway, upstream, snapshot = turn.gateway, turn.upstream, turn.snapshot
    watch = watch_modern(gateway, upstream, request, facts, snapshot)
    if watch is None or upstream is None:
        return turn, Asked(request, facts, watch, shown)
    # What the server serves under that name, asked anew when that is not known.
    compared = await compared_modern(gateway, upstream, watch, request, facts, snapshot)
    return turn, Asked(request, compared.facts, watch, shown, compared.unlinked)


async def _waited(turn: Turn, shown: Shown | None, *, came_back: bool) -> Turn:
    """Wait for a user on the page of an approval, or of their account elsewhere.

    `came_back`: the client says that its user went to the latter. Raises `RevokedError`.
    """
    gateway, upstream = turn.gateway, turn.upstream
    approvals = None if shown is None or not shown.opened else gateway.approvals
    credential = upstream.credential if came_back and upstream is not None else None
    if approvals is None and credential is None:
        return turn
    if approvals is not None and shown is not None:
        await approvals.wait(shown.id, gateway.clock)
    if credential is not None:
        await link_answers.wait(credential, turn.caller.principal)
    # Meanwhile everything else may have changed too.
    now = gateway.clock()
    if not gateway.callers.still_valid(turn.caller, now):
        raise RevokedError
    upstream = gateway.upstreams.get(turn.connector)
    return replace(turn, snapshot=gateway.snapshot, upstream=upstream, now=now)
