"""One HTTP request whose caller is known."""

from __future__ import annotations

from collections.abc import Awaitable

from msgspec import Struct

from bascule.clock import UnixTime
from bascule.decision.facts import CallFacts, Principal
from bascule.decision.snapshot import Snapshot
from bascule.gateway.call_approvals import Approval
from bascule.gateway.callers import Caller
from bascule.gateway.credentials import Known, Presented, proven, shown_to, with_credential
from bascule.gateway.definitions import Watch
from bascule.gateway.exchange import Exchange, Headers, header_block
from bascule.gateway.facts import facts_of
from bascule.gateway.gateway import Gateway, Upstream, Work
from bascule.gateway.hosted_headers import identity_headers
from bascule.gateway.message_headers import LISTENING, POSTED
from bascule.gateway.outgoing import handle_binding
from bascule.gateway.results import Passage
from bascule.gateway.sessions import Held, not_found, server_of
from bascule.gateway.upstream import Response, request_head
from bascule.protocol.message import Request


class Turn(Struct, frozen=True):
    """All that the handling of one request goes by."""

    gateway: Gateway
    work: Work
    caller: Caller
    snapshot: Snapshot
    upstream: Upstream | None
    """None when there is no such connector (any more)."""
    now: UnixTime

    @property
    def exchange(self) -> Exchange:
        """The client's side."""
        return self.work.exchange

    @property
    def connector(self) -> str:
        """Name of the connector."""
        return self.caller.connector

    @property
    def there(self) -> Upstream:
        """The server's side. Raises `ProtocolError` when it is no longer configured."""
        if self.upstream is None:
            raise not_found()
        return self.upstream

    @property
    def server(self) -> str:
        """Which server a session is at. Raises `ProtocolError` when there is none."""
        connector = self.there.connector
        return server_of(connector.url, connector.command)

    def facts_of(self, request: Request) -> CallFacts:
        """Say what is asked. Raises `ProtocolError`."""
        return facts_of(
            request, self.caller.principal, self.connector, self.now, self.exchange.peer
        )

    def facts_about(self, method: str) -> CallFacts:
        """Say that something goes on which names nothing."""
        return CallFacts(
            self.caller.principal,
            self.connector,
            method,
            "none",
            "",
            self.now,
            address=self.exchange.peer,
        )

    def find_session(self) -> Held:
        """Give the session of this request. Raises `ProtocolError`.

        A session at a server that the connector no longer leads to is none.
        """
        held = self.gateway.sessions.find(
            self.exchange.header(b"mcp-session-id"),
            self.caller,
            self.gateway.callers,
            self.now,
        )
        if held.session.server != self.server:
            raise not_found()
        self.work.held = held
        return held

    def passage(
        self,
        method: str,
        watch: Watch | None = None,
        *,
        from_start: bool = False,
        edition: bytes = b"",
        approval: Approval | None = None,
    ) -> Passage:
        """Give for whom and under what a result of a method passes."""
        principal = self.caller.principal
        return Passage(
            method=method,
            principal=principal,
            connector_name=self.connector,
            connector=self.there.connector,
            snapshot=self.snapshot,
            sealer=self.gateway.sealer,
            binding=handle_binding(principal, self.connector, method),
            now=self.now,
            max_event_bytes=self.gateway.limits.response_bytes,
            lists=self.there.lists,
            watch=watch,
            from_start=from_start,
            edition=edition,
            approval=approval,
        )

    async def known(self) -> Known:
        """Give what the server is shown: its credential, and to a hosted one who calls.

        Raises `CredentialError`.
        """
        return await known_by(self.there, self.caller.principal)

    async def post(self, body: bytes, session: Headers, operation: str) -> Response:
        """Send one message to the server; `operation` names it. Raises `UpstreamError`."""
        pool, principal = self.there.pool, self.caller.principal

        def send(presented: Presented) -> Awaitable[Response]:
            head = b"%b%b%b%b%bContent-Length: %d\r\n\r\n" % (
                pool.request_head,
                POSTED,
                session,
                presented.lines("POST"),
                identity_headers(self.there.connector, principal),
                len(body),
            )
            return pool.send(head + body)

        return await with_credential(self.there.credential, principal, send, operation)

    async def listen(self, session: Headers) -> Response:
        """Open the stream on which the server speaks unasked. Raises `UpstreamError`."""
        pool = self.there.pool
        head = request_head(pool.endpoint.url, "GET") + LISTENING + session
        known = await self.known()

        def send(presented: Presented) -> Awaitable[Response]:
            data = b"%b%b%b\r\n" % (head, presented.lines("GET"), known.whose)
            return pool.send(data, listening=True)

        return await proven(known.presented, send)

    async def end(self, session: Headers) -> Response:
        """End the session at the server. Raises `UpstreamError`."""
        pool = self.there.pool
        head = request_head(pool.endpoint.url, "DELETE")
        shown = (await self.known()).lines("DELETE")
        return await pool.send(b"%b%b%b\r\n" % (head, session, shown))


def edition_of(upstream: Upstream, response: Response) -> bytes:
    """Give which definitions a hosted server answered by; nothing of others."""
    return b"" if upstream.connector.command is None else response.edition


async def known_by(upstream: Upstream, principal: Principal) -> Known:
    """Give what says to a server who sends: never the client's token.

    Raises `CredentialError`.
    """
    shown = await shown_to(upstream.credential, principal)
    return Known(shown, identity_headers(upstream.connector, principal))


def session_headers(held: Held, *more: tuple[bytes, bytes]) -> Headers:
    """Write the headers that say to a server which session a message belongs to."""
    session = held.session
    pairs = [(b"MCP-Protocol-Version", session.version.encode())]
    if session.upstream_id is not None:
        pairs.append((b"Mcp-Session-Id", session.upstream_id.encode()))
    return header_block(*pairs, *more)
