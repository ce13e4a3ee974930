"""The way of one call: `handle_call` is the list of its steps and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from bascule.decision.facts import CallFacts, Denied, Principal
from bascule.decision.snapshot import Snapshot
from bascule.gateway import answers, approval_answers, link_answers, refusal
from bascule.gateway.approval import (
    CHANGED,
    compared_modern,
    condition_of,
    forget,
    require_same,
    watch_modern,
)
from bascule.gateway.approval_states import Shown, open_state
from bascule.gateway.credentials import Presented, with_credential
from bascule.gateway.deciding import Decided, Forwarding, decided, may_read, on_disk
from bascule.gateway.definitions import Watch
from bascule.gateway.exchange import Headers
from bascule.gateway.facts import facts_of
from bascule.gateway.flows import concern_of, touch
from bascule.gateway.gateway import Gateway, RevokedError, Upstream, Work
from bascule.gateway.hosted_headers import identity_headers
from bascule.gateway.ingress import check_media, check_origin, mirror_headers
from bascule.gateway.introspection import UnknownTokenError
from bascule.gateway.legacy_call import with_message
from bascule.gateway.linked import ConnectFirstError
from bascule.gateway.listening import VERBS, without_message
from bascule.gateway.outgoing import Outgoing, handle_binding, outgoing
from bascule.gateway.param_headers import param_headers
from bascule.gateway.possession import prove, require_content
from bascule.gateway.relay import relay
from bascule.gateway.results import Passage
from bascule.gateway.subscriptions import without_forbidden_subscriptions
from bascule.gateway.turn import Turn, edition_of, known_by
from bascule.gateway.upstream import Response
from bascule.identity.resource import resource_identifier
from bascule.protocol import modern
from bascule.protocol.message import Message, Request, parse, write_request


async def handle_call(gateway: Gateway, work: Work, connector: str) -> None:
    """Carry one MCP request from a client's bytes to the upstream and back."""
    exchange = work.exchange
    message: Message | None = None
    try:
        # 1. One snapshot and one reading of the clock for all that follows.
        snapshot, upstreams, now = gateway.snapshot, gateway.upstreams, gateway.clock()
        # 2. Whom it is for and where it comes from, before anything else is believed.
        check_origin(exchange, gateway.allowed)
        # 3. + 4. The protected resource, and a token for just that.
        resource = resource_identifier(gateway.public_url, connector)
        token = exchange.header(b"authorization")
        try:
            caller = gateway.callers.authenticate(token, connector, resource, now)
        except UnknownTokenError as exc:
            await exc.learn()
            caller = gateway.callers.authenticate(token, connector, resource, now)
        upstream = upstreams.get(connector)
        work.proof = prove(
            exchange,
            caller,
            resource,
            now,
            demands=gateway.demands,
            demanded=None if upstream is None else upstream.connector.require,
        )
        gateway.admit(work, caller)
        # 5. The message, and its agreement with the headers that repeat it.
        if exchange.method in VERBS:
            await without_message(Turn(gateway, work, caller, snapshot, upstream, now))
            return
        check_media(exchange)
        body = await exchange.body()
        require_content(work.proof, body)
        message = parse(body, max_depth=gateway.limits.depth)
        headers = mirror_headers(exchange)
        if not modern.is_modern(message, headers):
            turn = Turn(gateway, work, caller, snapshot, upstream, now)
            await with_message(turn, message)
            return
        modern.check(message, headers)
        if not isinstance(message, Request):
            answers.accepted(exchange)
            return
        # 6. + 7. Facts, and the decision.
        shown: Shown | None = None
        if "requestState" in message.params:
            binding = handle_binding(caller.principal, connector, message.method)
            message, shown = open_state(gateway.sealer, message, binding, now)
        if shown is not None and shown.opened and gateway.approvals is not None:
            await gateway.approvals.wait(shown.id, gateway.clock)
            # Meanwhile everything else may have changed too.
            snapshot, upstreams = gateway.snapshot, gateway.upstreams
            now = gateway.clock()
            if not gateway.callers.still_valid(caller, now):
                raise RevokedError
        message, came_back = link_answers.without_answer(message)
        facts = facts_of(message, caller.principal, connector, now, exchange.peer)
        upstream = upstreams.get(connector)
        watch = watch_modern(gateway, upstream, message, facts, snapshot)
        if watch is not None and upstream is not None:
            # What the server serves under that name, asked anew when that is not known.
            facts = await compared_modern(
                gateway, upstream, watch, message, facts, snapshot
            )
        made = await decided(
            gateway,
            caller,
            message,
            facts,
            snapshot,
            peer=exchange.peer,
            shown=shown,
            once=work.use_proof(),
        )
        decision, entry, message = made.decision, made.entry, made.request
        # 8. On disk before anything follows from it.
        await on_disk(gateway, entry)
        # 9. Denied: the request ends here.
        if isinstance(decision, Denied):
            if made.approval is not None:
                approval_answers.answer(
                    gateway, exchange, message, facts, made.approval, entry.code
                )
            else:
                refusal.denied(gateway, exchange, message, facts, decision, entry.code)
            return
        if came_back:
            await link_answers.wait(upstreams[connector].credential, facts.principal)
        # 10. to 13. Upstream and back; then how it ended.
        await forward(gateway, work, made, facts, snapshot, upstreams[connector], watch)
    except ConnectFirstError as exc:
        if isinstance(message, Request):
            link_answers.answer(exchange, message, exc)
        else:
            refusal.upstream_failed(exchange, None, exc)
    except refusal.EXPECTED as exc:
        refusal.answer(gateway, exchange, message, connector, exc)


async def forward(
    gateway: Gateway,
    work: Work,
    made: Decided,
    facts: CallFacts,
    snapshot: Snapshot,
    upstream: Upstream,
    watch: Watch | None,
) -> None:
    """Send an allowed request upstream, relay the answer, record how it ended."""
    request, principal, approval = made.request, facts.principal, made.approval
    binding = handle_binding(principal, facts.connector, request.method)
    with Forwarding(gateway, work.exchange, made.entry, request.id) as it:
        concern = concern_of(facts, snapshot)
        if concern is not None:
            it.at_end = await touch(gateway, facts, concern)
        if upstream.eras.refuses_modern:
            upstream.eras.check_modern()
        listening = request.method == "subscriptions/listen"
        if listening:
            request = await without_forbidden_subscriptions(
                gateway, request, facts, snapshot
            )
        sent = outgoing(
            request,
            upstream.connector,
            message_id=next(gateway.ids),
            binding=binding,
            sealer=gateway.sealer,
            now=facts.now,
            param_headers=param_headers(
                work.exchange,
                facts,
                request.params.get("arguments"),
                snapshot,
                approved=approval is not None,
            ),
        )

        # 10. + 11. The connector's own credential, and the message as it was parsed.
        def send(presented: Presented) -> Awaitable[Response]:
            condition = condition_of(watch, facts)
            data = write(upstream, sent, principal, presented, condition)
            return upstream.pool.send(data, listening=listening)

        response = await with_credential(upstream.credential, principal, send)
        if response.status == CHANGED and watch is not None and forget(watch, facts):
            # A hosted server was started anew: what was decided on must still be so.
            found = await compared_modern(
                gateway, upstream, watch, request, facts, snapshot
            )
            require_same(watch, facts, found, approved=approval is not None)
            response = await with_credential(upstream.credential, principal, send)
        if response.status != 200 or request.method == "server/discover":
            known = await known_by(upstream, principal)
            await upstream.eras.explain(upstream.pool, known, response, request.method)
        # 12. Back to the client; 13. how it ended is recorded whichever way that goes.
        passage = Passage(
            method=request.method,
            principal=principal,
            connector_name=facts.connector,
            connector=upstream.connector,
            snapshot=snapshot,
            sealer=gateway.sealer,
            binding=binding,
            now=facts.now,
            max_event_bytes=gateway.limits.response_bytes,
            lists=upstream.lists,
            watch=watch,
            from_start="cursor" not in sent.params,
            edition=edition_of(upstream, response),
            approval=approval,
        )
        reads = partial(may_read, gateway, principal, facts.connector, facts.address)
        it.outcome = await relay(response, work.exchange, sent, passage, reads)


def write(
    upstream: Upstream,
    sent: Outgoing,
    principal: Principal,
    presented: Presented,
    condition: Headers,
) -> bytes:
    """Write the upstream's HTTP request."""
    body = write_request(sent.message_id, sent.method, sent.params)
    return b"%b%b%b%b%bContent-Length: %d\r\n\r\n%b" % (
        upstream.pool.request_head,
        sent.headers,
        condition,
        presented.headers,
        identity_headers(upstream.connector, principal),
        len(body),
        body,
    )
