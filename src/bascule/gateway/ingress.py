"""What a request's head must say before anything of it is believed."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from bascule.config.model import Server
from bascule.errors import BasculeError
from bascule.gateway.exchange import Exchange
from bascule.protocol.modern import MirrorHeaders

_TAKES_JSON = frozenset({b"*/*", b"application/json", b"application/*"})
_TAKES_EVENTS = frozenset({b"*/*", b"text/event-stream", b"text/*"})
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class BadHeadError(BasculeError):
    """The request's head is not what MCP sends, or not meant for this server."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Allowed:
    """Values of `Host` and `Origin` that this server answers to (CWE-350, CWE-346)."""

    hosts: frozenset[bytes]
    origins: frozenset[bytes]


def allowed_for(server: Server) -> Allowed:
    """Derive the lists from `public_url`; the settings only add to them.

    A loopback `public_url` stands for all names of loopback, since clients write any.
    """
    url = urlsplit(server.public_url)
    names = {url.netloc.lower()}
    if url.hostname in {"localhost", "127.0.0.1", "::1"}:
        port = f":{url.port}" if url.port is not None else ""
        names |= {name + port for name in _LOOPBACK_NAMES}
    origins = {f"{url.scheme}://{name}" for name in names}
    return Allowed(
        frozenset(
            name.encode() for name in names | {h.lower() for h in server.allowed_hosts}
        ),
        frozenset(name.encode() for name in origins | set(server.allowed_origins)),
    )


def check_origin(exchange: Exchange, allowed: Allowed) -> None:
    """Refuse a `Host` or `Origin` that is not ours. Raises `BadHeadError`."""
    host = exchange.header(b"host")
    if host is None or host.lower() not in allowed.hosts:
        raise BadHeadError(
            421,
            "host is not served here; the setting `server.allowed_hosts` would allow it",
        )
    origin = exchange.header(b"origin")
    if origin is not None and origin not in allowed.origins:
        raise BadHeadError(
            403, "origin is refused; the setting `server.allowed_origins` would allow it"
        )


def check_media(exchange: Exchange) -> None:
    """Refuse methods and media types that MCP does not use. Raises `BadHeadError`.

    A content type that browsers send without asking first is thereby refused too.
    """
    if exchange.method != "POST":
        raise BadHeadError(405, "only POST is served here")
    content_type = exchange.header(b"content-type")
    if content_type != b"application/json":
        _check_content_type(content_type or b"")
    accept = exchange.header(b"accept") or b""
    if accept != b"application/json, text/event-stream":
        _check_accept(accept)


def check_listening(exchange: Exchange) -> None:
    """Refuse a GET that does not take an event stream. Raises `BadHeadError`."""
    if not _ranges(exchange.header(b"accept") or b"") & _TAKES_EVENTS:
        raise BadHeadError(406, "`Accept` must list text/event-stream")


def _check_content_type(value: bytes) -> None:
    media, _, parameters = value.partition(b";")
    if media.strip().lower() != b"application/json":
        raise BadHeadError(415, "`Content-Type` must be application/json")
    if parameters.replace(b" ", b"").lower() not in {b"", b"charset=utf-8"}:
        raise BadHeadError(415, "`Content-Type` must be application/json in UTF-8")


def _check_accept(value: bytes) -> None:
    ranges = _ranges(value)
    if not (ranges & _TAKES_JSON and ranges & _TAKES_EVENTS):
        raise BadHeadError(406, "`Accept` must list application/json and text/event-stream")


def _ranges(accept: bytes) -> set[bytes]:
    return {part.partition(b";")[0].strip().lower() for part in accept.split(b",")}


def mirror_headers(exchange: Exchange) -> MirrorHeaders:
    """Take the headers that repeat what the body says."""
    return MirrorHeaders(
        version=exchange.header(b"mcp-protocol-version"),
        method=exchange.header(b"mcp-method"),
        name=exchange.header(b"mcp-name"),
    )
