"""The way of one call: `handle_call` is the list of its steps and nothing else."""

from __future__ import annotations

from bascule.decision.facts import Denied, Reason
from bascule.gateway import answers, approval_answers, link_answers, refusal
from bascule.gateway.arrival import arrived, received
from bascule.gateway.asked import Asked, asked_by
from bascule.gateway.deciding import Decided, decided, on_disk
from bascule.gateway.forward import forward
from bascule.gateway.gateway import Gateway, Work
from bascule.gateway.legacy_call import with_message
from bascule.gateway.linked import ConnectFirstError
from bascule.gateway.listening import VERBS, without_message
from bascule.gateway.turn import Turn
from bascule.protocol import modern
from bascule.protocol.message import Message, Request


async def handle_call(gateway: Gateway, work: Work, connector: str) -> None:
    """Carry one MCP request from a client's bytes to the upstream and back."""
    exchange = work.exchange
    message: Message | None = None
    try:
        # 1. to 4. Where it comes from, whom it is for, and a token for just that.
        turn = await arrived(gateway, work, connector)
        # 5. The message, and its agreement with the headers that repeat it.
        if exchange.method in VERBS:
            await without_message(turn)
            return
        message, headers = await received(turn)
        if not modern.is_modern(message, headers):
            await with_message(turn, message)
            return
        modern.check(message, headers)
        if not isinstance(message, Request):
            answers.accepted(exchange)
            return
        try:
            # 6. + 7. Facts, and the decision.
            turn, asked = await asked_by(turn, message)
            made = await decided(turn, asked.request, asked.facts, shown=asked.shown)
            # 8. On disk before anything follows from it.
            await on_disk(gateway, made.entry)
            # 9. Denied: the request ends here.
            if isinstance(made.decision, Denied):
                await _refuse(turn, asked, made, made.decision)
                return
            # 10. to 13. Upstream and back; then how it ended.
            await forward(turn, asked, made)
        except ConnectFirstError as exc:
            # Who may be gone, or revoked, by the time that there is a link.
            await link_answers.answer(exchange, message, exc)
    except ConnectFirstError as exc:
        refusal.upstream_failed(exchange, None, exc)
    except refusal.EXPECTED as exc:
        refusal.answer(gateway, exchange, message, connector, exc)


async def _refuse(turn: Turn, asked: Asked, made: Decided, denied: Denied) -> None:
    gateway, exchange, facts = turn.gateway, turn.exchange, asked.facts
    request, code = made.request, made.entry.code
    if asked.unlinked is not None and denied.reason is Reason.ACCOUNT_NEEDED:
        raise asked.unlinked
    if made.approval is not None:
        if made.approval.found == "pending":
            await link_answers.require_account(turn.upstream, facts.principal)
        approval_answers.answer(gateway, exchange, request, facts, made.approval, code)
    else:
        refusal.denied(gateway, exchange, request, facts, denied, code)
