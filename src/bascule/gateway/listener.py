"""A bound port: its connections, its clean-up every second, its orderly end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Sequence

from bascule.clock import monotonic
from bascule.config.model import Limits
from bascule.errors import BasculeError
from bascule.gateway.exchange import Handler
from bascule.gateway.http1 import ServerConnection
from bascule.gateway.proxies import Proxies

BACKLOG = 2048


class AddressInUseError(BasculeError):
    """The address cannot be bound."""


def bind(listen: str) -> list[socket.socket]:
    """Bind HOST:PORT; `localhost` gives 127.0.0.1 and, where the host has IPv6, ::1.

    With port 0 both get the same free port. Raises `AddressInUseError`.
    """
    host, _, port_text = listen.rpartition(":")
    port = int(port_text)
    hosts = ["127.0.0.1", "::1"] if host == "localhost" else [host.strip("[]")]
    bound: list[socket.socket] = []
    for address in hosts:
        try:
            bound.append(_bind_one(address, port))
        except OSError as exc:
            if address == "::1":
                continue  # a host without IPv6
            raise AddressInUseError(
                f"cannot listen on `{listen}`: {exc.strerror}; stop what uses it or set "
                "another address in `[server]`"
            ) from exc
        port = bound[0].getsockname()[1]
    return bound


def _bind_one(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


class Listener:
    """Serves HTTP on bound sockets."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        handler: Handler,
        limits: Limits,
        *,
        tls: ssl.SSLContext | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self._sockets = sockets
        self._handler = handler
        self._limits = limits
        self._tls = tls
        self._proxies = proxies
        self._servers: list[asyncio.Server] = []
        self._draining = False
        self.connections: set[ServerConnection] = set()
        self._sources: Counter[str] = Counter()

    @property
    def port(self) -> int:
        """The port that was bound."""
        return int(self._sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Accept connections from now on."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            unix = sock.family == socket.AF_UNIX
            create = loop.create_unix_server if unix else loop.create_server
            # Until its handshake is done, a connection is in nobody's hands but asyncio's.
            seconds = None if self._tls is None else float(self._limits.header_seconds)
            server = await create(
                self._connection,
                sock=sock,
                backlog=BACKLOG,
                ssl=self._tls,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=seconds,
            )
            self._servers.append(server)

    def _connection(self) -> ServerConnection:
        return ServerConnection(
            self._handler, self._limits, self.connections, self._sources, self._proxies
        )

    def expire(self) -> None:
        """Enforce the time-outs of all connections; called about once a second."""
        now = monotonic()
        for connection in list(self.connections):
            connection.expire(now, draining=self._draining)

    def stop_accepting(self) -> None:
        """Close the port; what is being answered goes on."""
        self._draining = True
        for server in self._servers:
            server.close()
        self.expire()

    def abort(self) -> None:
        """Cut what is left."""
        for connection in list(self.connections):
            connection.abort()
