"""The answer to `initialize`: a session for the client, or why there is none."""

from __future__ import annotations

from msgspec import UNSET, Raw

from bascule.gateway import answers
from bascule.gateway.http1 import header_block
from bascule.gateway.legacy_relay import BAD_ANSWERS
from bascule.gateway.legacy_results import pass_initialized
from bascule.gateway.relay import ForeignAnswerError, Outcome
from bascule.gateway.sessions import begun, usable_upstream_id
from bascule.gateway.sse import EventReader
from bascule.gateway.turn import Turn
from bascule.gateway.upstream import Response, UpstreamError
from bascule.protocol import legacy
from bascule.protocol.message import (
    Answer,
    Request,
    parse_answer,
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
        **request.params,
        "protocolVersion": version,
        "capabilities": legacy.carried_capabilities(capabilities, may_ask),
    }
    tag = turn.gateway.sessions.new_tag()
    upstream_id = legacy.upstream_id(tag, request.method, request.id)
    response = await turn.post(write_request(upstream_id, request.method, offered), b"")
    try:
        answer = await _answer(turn, response, upstream_id)
        if isinstance(answer.error, Raw):
            return _refused(turn, request, response, answer.error)
        assert isinstance(answer.result, Raw)  # noqa: S101 - `parse_answer` has seen to it
        agreed, result = pass_initialized(answer.result)
    except BAD_ANSWERS as exc:
        raise UpstreamError(str(exc)) from exc
    if not usable_upstream_id(response.session_id):
        raise UpstreamError("upstream sent a session id that MCP does not allow")
    asks = legacy.declared_asks(capabilities)
    session = begun(tag, agreed, response.session_id, asks, turn.caller.token, turn.now)
    sealed = turn.gateway.sessions.seal(session, turn.caller.principal, turn.connector)
    body = write_result(request.id, result)
    head = answers.JSON + header_block((b"Mcp-Session-Id", sealed.encode("ascii")))
    turn.exchange.respond(200, head, body)
    return Outcome("ok", len(body), response.status)


async def _answer(turn: Turn, response: Response, upstream_id: str) -> Answer:
    """Wait for the one answer; what a stream says before it has no place yet."""
    if response.streams:
        return await _streamed(turn, response, upstream_id)
    if response.status not in {200, 400} or not response.content_type.startswith(
        b"application/json"
    ):
        raise UpstreamError("upstream did not take `initialize`")
    return _own(parse_answer(response.body), upstream_id)


async def _streamed(turn: Turn, response: Response, upstream_id: str) -> Answer:
    reader = EventReader(turn.gateway.limits.response_bytes)
    try:
        while (chunk := await response.chunk()) is not None:
            for data in reader.feed(chunk):
                answer = parse_answer(data)
                if answer.method is UNSET:
                    return _own(answer, upstream_id)
    finally:
        if not response.ended:
            response.abandon()
    raise UpstreamError("upstream ended the stream without an answer")


def _own(answer: Answer, upstream_id: str) -> Answer:
    no_id = answer.id is None and answer.error is not UNSET
    if answer.id != upstream_id and not no_id:
        raise ForeignAnswerError("upstream answered another request")
    return answer


def _refused(turn: Turn, request: Request, response: Response, raw: Raw) -> Outcome:
    problem = parse_error(raw)
    body = write_error(request.id, problem)
    status = 400 if response.status == 400 else 200
    turn.exchange.respond(status, answers.JSON, body)
    return Outcome("error", len(body), response.status, error_code=problem.code)
