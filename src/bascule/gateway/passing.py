"""What goes upstream without being a request: a client's answers, notifications, an end."""

from __future__ import annotations

from bascule.decision.decide import decide
from bascule.decision.facts import Denied
from bascule.gateway import answers, refusal
from bascule.gateway.deciding import decided, noted, on_disk
from bascule.gateway.legacy_relay import check_status
from bascule.gateway.sessions import Held, not_found
from bascule.gateway.turn import Turn, session_headers
from bascule.gateway.upstream import UpstreamError
from bascule.protocol.message import INVALID_REQUEST, Error, Request


async def pass_on(turn: Turn, held: Held, type: str, method: str, body: bytes) -> None:
    """Send on what wants no answer, once its record is on disk."""
    await _recorded(turn, held, type, method)
    try:
        response = await turn.post(body, session_headers(held), method)
        check_status(turn, held, response, 202, 204)
        if response.streams:
            response.abandon()
    except UpstreamError as exc:
        refusal.upstream_failed(turn.exchange, None, exc)
    else:
        answers.accepted(turn.exchange)


async def end(turn: Turn, held: Held) -> None:
    """End a session, at the upstream first; one that ends none says so with 405."""
    await _recorded(turn, held, "session.end", "DELETE")
    if held.session.upstream_id is not None:
        try:
            response = await turn.end(session_headers(held))
            check_status(turn, held, response, 202, 204, 405)
        except UpstreamError as exc:
            refusal.upstream_failed(turn.exchange, None, exc)
            return
        if response.status == 405:
            problem = Error(INVALID_REQUEST, "this server does not end sessions when asked")
            answers.wrong_verb(turn.exchange, problem, b"GET, POST")
            return
    turn.gateway.sessions.end(held)
    turn.exchange.respond(204, b"", b"")


async def _recorded(turn: Turn, held: Held, type: str, method: str) -> None:
    """Wait until it is on disk that this goes upstream. Raises `LogUnavailableError`."""
    # Open like every notification; what matters is that there is such a connector.
    asked = turn.facts_about(f"notifications/{type}")
    peer, proto = turn.exchange.peer, held.session.version
    if isinstance(decide(asked, turn.snapshot), Denied):
        # Its connector went with a reload, or it is not for clients from there.
        facts = turn.facts_about(method)
        refused = await decided(turn, Request("", method, {}), facts, proto=proto)
        await on_disk(turn.gateway, refused.entry)
        raise not_found()
    once = turn.work.use_proof()
    durable = turn.gateway.journal.passing(
        type, turn.caller, method, peer=peer, proto=proto, once=once
    )
    await noted(durable, once)
