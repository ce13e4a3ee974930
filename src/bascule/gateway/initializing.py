"""The answer to `initialize`: a session for the client, or why there is none."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Raw

from bascule.config.model import Connector
from bascule.gateway import answers
from bascule.gateway.approval import watch_legacy
from bascule.gateway.eras import no_legacy
from bascule.gateway.exchange import header_block
from bascule.gateway.legacy_results import pass_initialized
from bascule.gateway.outgoing import without_progress
from bascule.gateway.relay import Outcome
from bascule.gateway.results import CARRIED_CAPABILITIES
from bascule.gateway.sessions import begun, usable_upstream_id
from bascule.gateway.single import BAD_ANSWERS, single_answer
from bascule.gateway.turn import Turn
from bascule.gateway.upstream import Response, UpstreamError
from bascule.protocol import legacy
from bascule.protocol.message import (
    Answer,
    Request,
    parse_error,
    write_error,
    write_request,
    write_result,
)


async def begin(turn: Turn, request: Request, version: str) -> Outcome:
    """Begin a session at the upstream, and one for the client. Raises `UpstreamError`."""
    capabilities = request.params["capabilities"]
    may_ask = turn.there.connector.may_ask
    offered = {
        **without_progress(request.params),
        "protocolVersion": version,
        "capabilities": legacy.carried_capabilities(capabilities, may_ask),
    }
    tag = turn.gateway.sessions.new_tag()
    upstream_id = legacy.upstream_id(tag, request.method, request.id)
    data = write_request(upstream_id, request.method, offered)
    response = await turn.post(data, b"", request.method)
    try:
        answer = await _answer(turn, response, upstream_id, version)
        if isinstance(answer.error, Raw):
            return _refused(turn, request, response, answer.error)
        if response.status != 200 or not isinstance(answer.result, Raw):
            raise UpstreamError("upstream did not take `initialize`")
        watch, carried = watch_legacy(turn, None), _carried(turn.there.connector)
        agreed, result = pass_initialized(answer.result, watch, carried)
    except BAD_ANSWERS as exc:
        raise UpstreamError(str(exc)) from exc
    if not usable_upstream_id(response.session_id):
        raise UpstreamError("upstream sent a session id that MCP does not allow")
    asks = legacy.declared_asks(capabilities)
    session = begun(
        tag,
        agreed,
        response.session_id,
        turn.server,
        asks,
        turn.caller.token,
        turn.now,
    )
    sealed = turn.gateway.sessions.seal(session, turn.caller.principal, turn.connector)
    body = write_result(request.id, result)
    head = answers.JSON + header_block((b"Mcp-Session-Id", sealed.encode("ascii")))
    turn.exchange.respond(200, head, body)
    return Outcome("ok", len(body), response.status)


def _carried(connector: Connector) -> Collection[str]:
    """Give the server's capabilities that clients hear of.

    A process that several clients share has no level of logging for each of them.
    """
    if connector.command is not None and not connector.per_user:
        return CARRIED_CAPABILITIES - {"logging"}
    return CARRIED_CAPABILITIES


async def _answer(turn: Turn, response: Response, upstream_id: str, asked: str) -> Answer:
    """Wait for the answer.

    Raises `ProtocolError` when the upstream refuses because it speaks 2026-07-28 alone.
    """
    limit = turn.gateway.limits.response_bytes
    try:
        answer = await single_answer(response, upstream_id, limit)
        if isinstance(answer.result, Raw) and response.status == 200:
            return answer
        problem: Exception | None = None
    except (UpstreamError, *BAD_ANSWERS) as exc:
        problem = exc
    there = turn.there
    spoken = await there.eras.learn(there.pool, await turn.known())
    if spoken.modern and not spoken.legacy:
        raise no_legacy(spoken, asked) from problem
    if problem is not None:
        raise problem
    return answer


def _refused(turn: Turn, request: Request, response: Response, raw: Raw) -> Outcome:
    problem = parse_error(raw)
    body = write_error(request.id, problem)
    status = 400 if response.status == 400 else 200
    turn.exchange.respond(status, answers.JSON, body)
    return Outcome("error", len(body), response.status, error_code=problem.code)
