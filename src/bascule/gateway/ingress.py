"""What a request's head must say before anything of it is believed."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from bascule.config.model import Server
from bascule.gateway.http1 import Exchange

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


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


def origin_problem(exchange: Exchange, allowed: Allowed) -> tuple[int, str] | None:
    """Give status and sentence for a `Host` or `Origin` that is not ours, else None."""
    host = exchange.header(b"host")
    if host is None or host.lower() not in allowed.hosts:
        return (
            421,
            "host is not served here; the setting `server.allowed_hosts` would allow it",
        )
    origin = exchange.header(b"origin")
    if origin is not None and origin not in allowed.origins:
        return 403, "origin is refused; the setting `server.allowed_origins` would allow it"
    return None


def media_problem(exchange: Exchange) -> tuple[int, str] | None:
    """Give status and sentence for media types that MCP does not use, else None.

    A content type that browsers send without asking first is thereby refused too.
    """
    content_type = (exchange.header(b"content-type") or b"").partition(b";")
    if content_type[0].strip().lower() != b"application/json":
        return 415, "`Content-Type` must be application/json"
    if content_type[2].replace(b" ", b"").lower() not in {b"", b"charset=utf-8"}:
        return 415, "`Content-Type` must be application/json in UTF-8"
    accept = exchange.header(b"accept") or b""
    ranges = {part.partition(b";")[0].strip().lower() for part in accept.split(b",")}
    if b"*/*" in ranges:
        return None
    json_ok = ranges & {b"application/json", b"application/*"}
    events_ok = ranges & {b"text/event-stream", b"text/*"}
    if not (json_ok and events_ok):
        return 406, "`Accept` must list application/json and text/event-stream"
    return None
