"""What a hosted server says, on its way to the gateway: whole, or as a stream."""

from __future__ import annotations

from bascule.errors import BasculeError
from bascule.gateway import answers
from bascule.gateway.exchange import ClientGoneError, Exchange, Headers, header_block
from bascule.gateway.hosted_sessions import Session, SessionError
from bascule.launch.calls import Call, Reply
from bascule.launch.peer import Peer
from bascule.protocol.message import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    UNSUPPORTED_VERSION,
    Error,
    Request,
)
from bascule.protocol.sse import event

_BAD_REQUESTS = frozenset(
    {
        INVALID_PARAMS,
        INVALID_REQUEST,
        HEADER_MISMATCH,
        MISSING_CAPABILITY,
        UNSUPPORTED_VERSION,
    }
)


async def begin_call(peer: Peer, request: Request) -> Call:
    """Send a request to the server once it reads. Raises `CallError`."""
    await peer.room()
    return peer.call(request.id, request.method, request.params)


class OtherEditionError(BasculeError):
    """The server's definitions are not the ones that a request was compared with."""


def edition_of(exchange: Exchange, peer: Peer) -> Headers:
    """Give the header that names the definitions in force (RFC 9110 §8.8.3).

    Raises `OtherEditionError` for a request that was made for others (§13.1.1): the process
    was started anew, or has said that a list has changed.
    """
    wanted, edition = exchange.header(b"if-match"), peer.edition.encode()
    if wanted is not None and wanted != edition:
        raise OtherEditionError("the server's definitions may have changed")
    return header_block((b"ETag", edition))


async def pass_on(
    exchange: Exchange, call: Call, edition: Headers, *, modern_era: bool
) -> Reply:
    """Pass on what comes back; gives the response.

    `edition`: header that names the definitions that were in force when it was asked.
    Of a modern client that goes away the request is cancelled, of an older one it is not
    (MCP 2026-07-28 and 2025-11-25, transports).
    """
    try:
        reply = await call.next()
        if not reply.last:
            return await _stream(exchange, call, reply, edition)
        status = _status(reply) if modern_era else 200
        exchange.respond(status, answers.JSON + edition, reply.data)
        return reply
    except ClientGoneError:
        if modern_era:
            call.cancel("the client is gone")
        else:
            call.go_deaf()
        raise


async def _stream(exchange: Exchange, call: Call, first: Reply, edition: Headers) -> Reply:
    """Pass on what comes before the response, and that, as a stream."""
    exchange.start_stream(200, answers.EVENTS + edition)
    reply = first
    while True:
        exchange.send_chunk(event(reply.data))
        if reply.last:
            exchange.end_stream()
            return reply
        await exchange.drained()
        reply = await call.next()


def _status(reply: Reply) -> int:
    """Give the HTTP status of a response (MCP 2026-07-28, transports)."""
    if not isinstance(reply.error, Error):
        return 200
    if reply.error.code == METHOD_NOT_FOUND:
        return 404
    return 400 if reply.error.code in _BAD_REQUESTS else 200


async def pass_stream(exchange: Exchange, session: Session) -> None:
    """Open a session's own stream."""
    stream = session.stream
    if stream.open:
        raise SessionError(409, "the session has a stream already")
    exchange.start_stream(200, answers.EVENTS)
    stream.open = True
    try:
        while (message := await stream.next()) is not None:
            exchange.send_chunk(event(message))
            await exchange.drained()
    finally:
        stream.open = False
    exchange.end_stream()
