"""The way of one request in the revisions before 2026-07-28.

The steps are those of `handle_call`. What differs: a request belongs to a session, which
its client began with `initialize`; clients also answer what servers ask, and say things
that want no answer.
"""

from __future__ import annotations

from typing import Any

from bascule.decision.facts import CallFacts, Denied, Reason
from bascule.gateway import answers, approval_answers, link_answers, refusal
from bascule.gateway.approval import (
    CHANGED,
    compared_legacy,
    condition_of,
    forget,
    require_approval,
    require_same,
    watch_legacy,
)
from bascule.gateway.asks import ANSWERABLE, unstamped
from bascule.gateway.deciding import Decided, Forwarding, decided, on_disk
from bascule.gateway.flows import concern_of, touch
from bascule.gateway.initializing import begin
from bascule.gateway.legacy_relay import LegacyRelay, Sent, check_status
from bascule.gateway.linked import ConnectFirstError
from bascule.gateway.outgoing import open_handle
from bascule.gateway.passing import pass_on
from bascule.gateway.sessions import Held
from bascule.gateway.turn import Turn, session_headers
from bascule.protocol import legacy, modern
from bascule.protocol.message import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    Error,
    Message,
    Notification,
    Request,
    Response,
    write_notification,
    write_request,
    write_response,
)
from bascule.protocol.modern import ProtocolError


async def with_message(turn: Turn, message: Message) -> None:
    """Answer a POST. Raises what `refusal` knows."""
    legacy.check_version(turn.exchange.header(b"mcp-protocol-version"))
    method = "answer" if isinstance(message, Response) else message.method
    await require_approval(turn, method)
    try:
        match message:
            case Request(method=legacy.INITIALIZE):
                await _initialize(turn, message)
            case Request():
                held = turn.find_session()
                try:
                    await _call(turn, held, message)
                except ConnectFirstError as exc:
                    session, exchange = held.session, turn.exchange
                    await link_answers.answer_legacy(
                        exchange, message, exc, session.version, session.asks
                    )
            case Response():
                await _answer(turn, turn.find_session(), message)
            case Notification():
                await _notify(turn, turn.find_session(), message)
    except ProtocolError as exc:
        if exc.error.code != INVALID_PARAMS:
            raise
        # At these revisions an error of the call is none of HTTP.
        raise ProtocolError(200, exc.error) from exc


async def _initialize(turn: Turn, request: Request) -> None:
    """Begin a session at the upstream, and one for the client."""
    version = legacy.check_initialize(request)
    facts = turn.facts_of(request)
    allowed = await _allowed(turn, request, facts, version)
    if allowed is None:
        return
    try:
        with Forwarding(turn.gateway, turn.exchange, allowed.entry, request.id) as it:
            it.outcome = await begin(turn, request, version)
    except ConnectFirstError as exc:
        # What its client can be asked counts from the answer to this on.
        await link_answers.answer_legacy(turn.exchange, request, exc, version, ())


async def _call(turn: Turn, held: Held, request: Request) -> None:
    """Send an allowed request upstream and relay the answer."""
    legacy.check(request)
    facts = turn.facts_of(request)
    facts, unlinked = await compared_legacy(turn, held, facts)
    session = held.session
    allowed = await _allowed(turn, request, facts, session.version, session.asks, unlinked)
    if allowed is None:
        return
    request, approved = allowed.request, allowed.approval is not None
    with Forwarding(turn.gateway, turn.exchange, allowed.entry, request.id) as it:
        concern = concern_of(facts, turn.snapshot)
        if concern is not None:
            it.at_end = await touch(turn.gateway, facts, concern)
        upstream_id = legacy.upstream_id(session.tag, request.method, request.id)
        params = _upstream_params(turn, held, request)
        headers = session_headers(held)
        watch = watch_legacy(turn, held)
        data = write_request(upstream_id, request.method, params)
        about = f"{facts.method} {facts.name}"
        response = await turn.post(data, headers + condition_of(watch, facts), about)
        if response.status == CHANGED and forget(watch, facts):
            # A hosted server was started anew: what was decided on must still be so.
            found = (await compared_legacy(turn, held, facts)).facts
            require_same(watch, facts, found, approved=approved)
            response = await turn.post(data, headers + condition_of(watch, facts), about)
        check_status(turn, held, response, 400)
        sent = Sent(
            request.method,
            upstream_id,
            request.id,
            _progress_token(params),
            from_start="cursor" not in params,
        )
        relay = LegacyRelay(turn, held, headers, sent, watch)
        relayed = relay.stream if response.streams else relay.whole
        it.outcome = await relayed(response)


async def _answer(turn: Turn, held: Held, response: Response) -> None:
    """Pass on a client's answer; only what was asked in this session has a valid id."""
    asked, upstream_id = unstamped(turn.gateway.sealer, held, ANSWERABLE, response.id)
    body = write_response(upstream_id, response.outcome)
    await pass_on(turn, held, "answer", asked, body)


async def _notify(turn: Turn, held: Held, notification: Notification) -> None:
    """Pass on what clients say unasked; what is not known goes nowhere."""
    if notification.method not in legacy.CLIENT_NOTIFICATIONS:
        answers.accepted(turn.exchange)
        return
    params = _upstream_params(turn, held, notification)
    if notification.method == "notifications/cancelled":
        params["requestId"] = _cancelled_id(held, params.get("requestId"))
    elif notification.method == "notifications/progress":
        token = params.get(modern.PROGRESS_TOKEN)
        _, params[modern.PROGRESS_TOKEN] = unstamped(
            turn.gateway.sealer, held, (modern.PROGRESS_TOKEN,), token
        )
    body = write_notification(notification.method, params)
    await pass_on(turn, held, "notification", notification.method, body)


def _cancelled_id(held: Held, client_id: Any) -> str:
    """Give the upstream's id of the request that a client no longer wants.

    Lists have other ids and so cannot be cancelled; they are quick.
    """
    if not legacy.is_id(client_id):
        problem = Error(INVALID_REQUEST, "`params.requestId` must be an id")
        raise ProtocolError(400, problem)
    return legacy.upstream_id(held.session.tag, "", client_id)


async def _allowed(
    turn: Turn,
    request: Request,
    facts: CallFacts,
    version: str,
    asks: tuple[str, ...] = (),
    unlinked: ConnectFirstError | None = None,
) -> Decided | None:
    """Decide and record; a request that is denied is answered, and gives None.

    `asks`: what its client said that it can be asked. `unlinked` is raised when it is
    denied for that.
    """
    made = await decided(turn, request, facts, proto=version)
    await on_disk(turn.gateway, made.entry)
    decision, code = made.decision, made.entry.code
    if not isinstance(decision, Denied):
        return made
    if unlinked is not None and decision.reason is Reason.ACCOUNT_NEEDED:
        raise unlinked
    if made.approval is not None:
        if made.approval.found == "pending":
            await link_answers.require_account(turn.upstream, facts.principal)
        approval_answers.answer_legacy(
            turn, request, facts, made.approval, code, version, asks
        )
    else:
        refusal.denied(
            turn.gateway, turn.exchange, request, facts, decision, code, modern=False
        )
    return None


def _progress_token(params: dict[str, Any]) -> Any:
    meta = params.get(modern.META)
    return meta.get(modern.PROGRESS_TOKEN) if isinstance(meta, dict) else None


def _upstream_params(
    turn: Turn, held: Held, message: Request | Notification
) -> dict[str, Any]:
    """Put the upstream's tokens and handles in the place of the client's."""
    params = dict(message.params)
    token = _progress_token(params)
    if token is not None:
        params[modern.META] = meta = dict(params[modern.META])
        del meta[modern.PROGRESS_TOKEN]
        if legacy.is_id(token):
            upstream_token = legacy.upstream_id(held.session.tag, "", token)
            meta[modern.PROGRESS_TOKEN] = upstream_token
    if message.method in legacy.LISTS:
        binding = turn.passage(message.method).binding
        open_handle(params, message.method, binding, turn.gateway.sealer, turn.now)
    elif message.method == "tools/call":
        # A server whose `tasks` capability is not carried runs it as an ordinary call.
        params.pop("task", None)
    return params
