"""Steps 10 to 13 of a request of 2026-07-28: upstream and back, and how it ended."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from bascule.gateway.approval import (
    CHANGED,
    compared_modern,
    condition_of,
    forget,
    require_same,
)
from bascule.gateway.asked import Asked
from bascule.gateway.credentials import Presented, with_credential
from bascule.gateway.deciding import Decided, Forwarding, may_read
from bascule.gateway.exchange import Headers
from bascule.gateway.flows import concern_of, touch
from bascule.gateway.hosted_headers import identity_headers
from bascule.gateway.outgoing import Outgoing, handle_binding, outgoing
from bascule.gateway.param_headers import param_headers
from bascule.gateway.relay import relay
from bascule.gateway.subscriptions import without_forbidden_subscriptions
from bascule.gateway.turn import Turn, edition_of, known_by
from bascule.gateway.upstream import Response
from bascule.protocol.message import Request, write_request

LISTEN = "subscriptions/listen"


async def forward(turn: Turn, asked: Asked, made: Decided) -> None:
    """Send an allowed request upstream, relay the answer, record how it ended."""
    gateway, exchange, facts = turn.gateway, turn.exchange, asked.facts
    with Forwarding(gateway, exchange, made.entry, made.request.id) as it:
        concern = concern_of(facts, turn.snapshot)
        if concern is not None:
            it.at_end = await touch(gateway, facts, concern)
        if turn.there.eras.refuses_modern:
            turn.there.eras.check_modern()
        request = made.request
        if request.method == LISTEN:
            request = await without_forbidden_subscriptions(
                gateway, request, facts, turn.snapshot
            )
        sent = _outgoing(turn, asked, made, request)
        # 10. + 11. The connector's own credential, and the message as it was parsed.
        response = await _answered(turn, asked, made, sent)
        # 12. Back to the client; 13. how it ended is recorded whichever way that goes.
        passage = turn.passage(
            request.method,
            asked.watch,
            from_start="cursor" not in sent.params,
            edition=edition_of(turn.there, response),
            approval=made.approval,
        )
        reads = partial(may_read, gateway, facts.principal, facts.connector, facts.address)
        it.outcome = await relay(response, exchange, sent, passage, reads)


def _outgoing(turn: Turn, asked: Asked, made: Decided, request: Request) -> Outgoing:
    """Make the upstream's request of what was parsed. Raises `ProtocolError`."""
    facts = asked.facts
    return outgoing(
        request,
        turn.there.connector,
        message_id=next(turn.gateway.ids),
        binding=handle_binding(facts.principal, facts.connector, request.method),
        sealer=turn.gateway.sealer,
        now=facts.now,
        param_headers=param_headers(
            turn.exchange,
            facts,
            request.params.get("arguments"),
            turn.snapshot,
            approved=made.approval is not None,
        ),
    )


async def _answered(turn: Turn, asked: Asked, made: Decided, sent: Outgoing) -> Response:
    """Send a request with the connector's own credential; give the upstream's answer.

    Raises `UpstreamError`, and `ProtocolError` when the server turns out not to speak the
    revision.
    """
    upstream, facts, watch = turn.there, asked.facts, asked.watch

    def send(presented: Presented) -> Awaitable[Response]:
        data = _write(turn, sent, presented, condition_of(watch, facts))
        return upstream.pool.send(data, listening=sent.method == LISTEN)

    credential, about = upstream.credential, f"{sent.method} {facts.name}"
    response = await with_credential(credential, facts.principal, send, about)
    if response.status == CHANGED and watch is not None and forget(watch, facts):
        # A hosted server was started anew: what was decided on must still be so.
        found = await compared_modern(
            turn.gateway, upstream, watch, made.request, facts, turn.snapshot
        )
        require_same(watch, facts, found.facts, approved=made.approval is not None)
        response = await with_credential(credential, facts.principal, send, about)
    if response.status != 200 or sent.method == "server/discover":
        known = await known_by(upstream, facts.principal)
        await upstream.eras.explain(upstream.pool, known, response, sent.method)
    return response


def _write(turn: Turn, sent: Outgoing, presented: Presented, condition: Headers) -> bytes:
    """Write the upstream's HTTP request."""
    body = write_request(sent.message_id, sent.method, sent.params)
    return b"%b%b%b%b%bContent-Length: %d\r\n\r\n%b" % (
        turn.there.pool.request_head,
        sent.headers,
        condition,
        presented.lines("POST"),
        identity_headers(turn.there.connector, turn.caller.principal),
        len(body),
        body,
    )
