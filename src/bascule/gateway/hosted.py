"""Hosted stdio servers as Streamable HTTP: the data path knows one kind of upstream.

It listens on a Unix socket of this OS user. Requests of MCP 2026-07-28 are stateless; older
revisions have sessions, whose `initialize` is answered from what the process said when it
was started.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from bascule.config.model import Limits
from bascule.errors import BasculeError
from bascule.gateway import answers, hosted_params
from bascule.gateway.exchange import ClientGoneError, Exchange, header_block
from bascule.gateway.hosted_headers import identity_of
from bascule.gateway.hosted_relay import (
    OtherEditionError,
    begin_call,
    edition_of,
    pass_on,
    pass_stream,
)
from bascule.gateway.hosted_sessions import Session, SessionError, Sessions
from bascule.gateway.ingress import mirror_headers
from bascule.gateway.steps import Run
from bascule.launch.calls import CallError
from bascule.launch.opening import EraRefusedError, handshake_revision
from bascule.launch.server import StdioServer
from bascule.launch.wanted import Wanted
from bascule.protocol import modern
from bascule.protocol.message import (
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Error,
    MalformedMessageError,
    Notification,
    Request,
    Response,
    parse,
    write_result,
)

log = logging.getLogger("bascule.stdio")

_CANCELLED = 499
_fields = msgspec.json.Decoder(dict[str, Raw])
_params = msgspec.json.Decoder(dict[str, Any])


class CancelledError(CallError):
    """The client does not want the answer any more."""


@dataclass(frozen=True, slots=True)
class Hosted:
    """One connector whose server runs here."""

    server: StdioServer
    per_user: bool
    mirrored: hosted_params.Mirrored = field(default_factory=dict, compare=False)
    """Arguments that headers repeat, of the tools that were listed."""


@dataclass(frozen=True, slots=True)
class _Caller:
    """Who asks for what, as far as the host is concerned."""

    hosted: Hosted
    user: str
    agent: str

    def wanted(
        self,
        revision: str,
        capabilities: Mapping[str, Any] | None = None,
        client_info: Mapping[str, Any] | None = None,
    ) -> Wanted:
        """Give the process that serves this caller.

        A process that users share is told of no client that it could ask: which one?
        """
        if not self.hosted.per_user:
            return Wanted("", revision)
        return Wanted(self.user, revision, capabilities or {}, client_info)


class HostedHandler:
    """Answers requests to hosted servers; the path is the connector's name."""

    def __init__(
        self, sessions: Sessions, limits: Limits, on_crash: Callable[[Exception], None]
    ) -> None:
        self.servers: Mapping[str, Hosted] = {}
        """By connector; replaced whole on reload."""
        self.work: set[_Answering] = set()
        self._sessions = sessions
        self._limits = limits
        self._on_crash = on_crash

    def handle(self, exchange: Exchange) -> None:
        """Start answering."""
        answering = _Answering(exchange, self.work, self._on_crash)
        answering.start(self)

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        hosted = self.servers.get(exchange.path[1:])
        identity = identity_of(exchange)
        if hosted is None:
            answers.plain(exchange, 404, "no such server is hosted")
        elif identity is None and hosted.per_user:
            answers.plain(exchange, 400, "the caller is not named")
        else:
            # Nobody in particular is the gateway itself, which asks what eras there are.
            await self._answer_caller(exchange, _Caller(hosted, *(identity or ("", ""))))

    async def _answer_caller(self, exchange: Exchange, caller: _Caller) -> None:
        message: Request | Notification | None = None
        try:
            if exchange.method == "POST":
                message = await self._read(exchange, caller)
                if message is not None:
                    await self._post(exchange, caller, message)
            elif exchange.method == "GET":
                await pass_stream(exchange, self._session(exchange, caller))
            elif exchange.method == "DELETE":
                self._sessions.end(self._session(exchange, caller))
                exchange.respond(204, b"", b"")
            else:
                answers.plain(exchange, 405, "use POST, GET or DELETE")
        except ClientGoneError:
            return
        except (BasculeError, msgspec.DecodeError) as exc:
            _answer_problem(exchange, message, caller, exc)

    # POST

    async def _read(
        self, exchange: Exchange, caller: _Caller
    ) -> Request | Notification | None:
        """Read what is posted; None when it was the answer to a request of the server."""
        message = parse(await exchange.body(), max_depth=self._limits.depth)
        if not isinstance(message, Response):
            return message
        session = self._session(exchange, caller)
        if isinstance(message.id, int) and (peer := session.asks.pop(message.id, None)):
            peer.answer(message.id, message.outcome)
        answers.accepted(exchange)
        return None

    async def _post(
        self, exchange: Exchange, caller: _Caller, message: Request | Notification
    ) -> None:
        mirrors = mirror_headers(exchange)
        if modern.is_modern(message, mirrors):
            modern.check(message, mirrors)
            if isinstance(message, Request):
                await _modern_request(exchange, caller, message)
            else:
                answers.accepted(exchange)
        elif isinstance(message, Request) and message.method == "initialize":
            await self._initialize(exchange, caller, message)
        else:
            session = self._session(exchange, caller)
            if isinstance(message, Request):
                await self._session_request(exchange, session, message)
            else:
                await _session_notification(session, message)
                answers.accepted(exchange)

    async def _initialize(
        self, exchange: Exchange, caller: _Caller, request: Request
    ) -> None:
        wanted = caller.wanted(
            handshake_revision(request.params.get("protocolVersion")),
            _table(request.params.get("capabilities")),
            _table(request.params.get("clientInfo")) or None,
        )
        server = caller.hosted.server
        peer = await server.peer(wanted)
        shared = not caller.hosted.per_user
        session = self._sessions.begin(
            server, caller.user, caller.agent, wanted, shared=shared
        )
        headers = answers.JSON + header_block((b"Mcp-Session-Id", session.id.encode()))
        exchange.respond(200, headers, write_result(request.id, peer.opening))

    def _session(self, exchange: Exchange, caller: _Caller) -> Session:
        """Give the session of a request. Raises `SessionError`."""
        named = exchange.header(b"mcp-session-id")
        if named is None:
            raise SessionError(400, "`Mcp-Session-Id` is missing: begin with `initialize`")
        found = self._sessions.find(
            named.decode("ascii"), caller.hosted.server, caller.user
        )
        if found is None:
            raise SessionError(404, "there is no such session")
        return found

    async def _session_request(
        self, exchange: Exchange, session: Session, request: Request
    ) -> None:
        if request.id in session.calls:
            raise MalformedMessageError(INVALID_REQUEST, "`id` is in use", request.id)
        if request.method == "logging/setLevel" and session.shared:
            # One client's wish would be all clients' level, and nobody would hear of it.
            problem = Error(METHOD_NOT_FOUND, "the server has no such method here")
            answers.error(exchange, 200, request.id, problem)
            return
        uri = str(request.params.get("uri"))
        if request.method == "resources/subscribe" and not self._sessions.may_subscribe(
            session, uri
        ):
            problem = Error(answers.TOO_MANY_REQUESTS, "too many subscriptions")
            answers.error(exchange, 200, request.id, problem)
            return
        if request.method == "resources/unsubscribe" and not self._sessions.unsubscribe(
            session, uri
        ):
            exchange.respond(200, answers.JSON, write_result(request.id, Raw(b"{}")))
            return
        peer = await session.server.peer(session.wanted)
        edition = edition_of(exchange, peer)
        call = await begin_call(peer, request)
        session.calls[request.id] = call
        call.on_end = lambda: session.calls.pop(request.id, None)
        reply = await pass_on(exchange, call, edition, modern_era=False)
        if request.method == "resources/subscribe" and reply.error is UNSET:
            self._sessions.subscribe(session, uri, peer)


async def _modern_request(exchange: Exchange, caller: _Caller, request: Request) -> None:
    mirrored = caller.hosted.mirrored
    if request.method == "tools/call":
        hosted_params.check(request.params, exchange.headers, mirrored)
    peer = await caller.hosted.server.peer(caller.wanted(modern.VERSION))
    edition = edition_of(exchange, peer)
    call = await begin_call(peer, request)
    reply = await pass_on(exchange, call, edition, modern_era=True)
    if request.method == "tools/list" and isinstance(reply.result, Raw):
        hosted_params.learn(reply.result, mirrored)


async def _session_notification(session: Session, message: Notification) -> None:
    if message.method == "notifications/cancelled":
        request_id = message.params.get("requestId")
        call = session.calls.get(request_id) if isinstance(request_id, int | str) else None
        if call is not None:
            call.cancel("the client has cancelled it")
            call.fail(CancelledError("the request was cancelled"))
        return
    peer = session.server.running(session.wanted)
    # A shared process was initialised once, by the host, and knows no client.
    if message.method != "notifications/initialized" and not session.shared and peer:
        await peer.room()
        peer.notify(message.method, message.params)


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _answer_problem(
    exchange: Exchange,
    message: Request | Notification | None,
    caller: _Caller,
    problem: Exception,
) -> None:
    message_id = message.id if isinstance(message, Request) else None
    if exchange.streaming:
        # Cut: to the gateway that is a server that died, and it says so to the client.
        exchange.abort()
        return
    match problem:
        case SessionError(status=status):
            answers.error(exchange, status, message_id, Error(status, str(problem)))
        case OtherEditionError():
            answers.error(exchange, 412, message_id, Error(412, str(problem)))
        case EraRefusedError(error=error):
            answers.error(exchange, 400, message_id, error)
        case modern.ProtocolError(status=status, error=error):
            answers.error(exchange, status, message_id, error)
        case MalformedMessageError(code=code, message_id=found):
            answers.error(exchange, 400, found, Error(code, str(problem)))
        case CancelledError():
            answers.error(exchange, 200, message_id, Error(_CANCELLED, str(problem)))
        case _:
            log.error(
                "[%s] a request failed: %s", caller.hosted.server.command.connector, problem
            )
            answers.error(exchange, 502, message_id, Error(502, "the server failed"))


class _Answering:
    """A request that is being answered."""

    __slots__ = ("_crash", "_run", "_work", "exchange")

    def __init__(
        self,
        exchange: Exchange,
        work: set[_Answering],
        crash: Callable[[Exception], None],
    ) -> None:
        self.exchange = exchange
        self._work = work
        self._crash = crash
        self._run: Run | None = None

    def start(self, handler: HostedHandler) -> None:
        """Begin."""
        self._work.add(self)
        self.exchange.on_gone = self._gone
        self._run = Run(handler.answer(self.exchange), self)

    def _gone(self) -> None:
        if self._run is not None:
            self._run.throw(ClientGoneError())

    def crashed(self, problem: Exception) -> None:
        """A bug ended the answering."""
        self._crash(problem)
        if self.exchange.streaming:
            self.exchange.abort()
        elif not self.exchange.answered:
            answers.error(self.exchange, 500, None, Error(500, "internal error"))

    def ended(self) -> None:
        """The answering is over."""
        self._work.discard(self)
