"""The one way to fetch a URL that came from outside, so that nobody aims us inwards.

Client metadata, keys of foreign issuers: somebody else chooses the URL, or what its name
resolves to, or what it answers (server-side request forgery, CWE-918). Therefore https
alone, every address of the name allowed, the connection to the very address that was
checked, no redirect, no cookie, no proxy from the environment, and limits on everything.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version

from bascule.config.addresses import web_address
from bascule.errors import BasculeError
from bascule.net.addresses import (
    ForbiddenAddressError,
    allowed_addresses,
    is_public,
    spells_loopback,
)
from bascule.net.answer import Answer
from bascule.net.resolver import Resolver, SystemResolver

USER_AGENT = f"bascule-probe/{version('bascule')}"
"""Says that a request is Bascule's own; no relayed request carries it."""

MAX_URL_BYTES = 2048
MAX_ATTEMPTS = 4
"""Addresses of one name that are tried."""
CONNECT_SECONDS = 2.0
"""For each address but the last, which may take what is left."""
READ_BYTES = 16 << 10


class FetchError(BasculeError):
    """Nothing usable came of a URL.

    The message never repeats what the other side answered. It does tell a private address
    from a silent one, so it is for the log; who named the URL learns that it failed.
    """


@cache
def system_trust() -> ssl.SSLContext:
    """Give the operating system's trust roots, read once."""
    return ssl.create_default_context()


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    """What may be fetched, and how much of it.

    Keep one for each use: lookups of names are limited for each policy by itself, so that
    names of strangers hold up nobody else.
    """

    media_types: frozenset[str] = frozenset({"application/json"})
    """Wanted types, in lower case without parameters; empty for an answer without one."""
    max_bytes: int = 64 << 10
    """Largest body."""
    seconds: float = 5.0
    """For everything, from the lookup of the name to the last byte."""
    private: tuple[str, ...] = ()
    """HOST:PORT pairs that may have private addresses."""
    loopback: bool = False
    """Allow loopback when it is spelt out in the URL, and http there: only for URLs that
    the operator wrote, or that came from there."""
    cleartext: bool = False
    """Allow http to any host: only where the operator says so for that very URL."""
    resolver: Resolver = field(default_factory=SystemResolver)
    allows: Callable[[str], bool] = is_public
    """Which addresses may be called, as literals."""
    trust: Callable[[], ssl.SSLContext] = system_trust


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole answer of a wanted type."""

    body: bytes
    media_type: str
    fresh_seconds: int | None
    """For how long it may be kept by its own word (`Cache-Control`); None without one."""

    def keep_seconds(self, *, least: int, most: int, otherwise: int) -> int:
        """Give for how long to keep it, within bounds of ours."""
        asked = otherwise if self.fresh_seconds is None else self.fresh_seconds
        return max(least, min(asked, most))


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL says of where to connect to, and what to ask for there."""

    secure: bool
    host: str
    port: int
    authority: str
    """For `Host`."""
    path: str
    """With the query."""


async def fetch(url: str, policy: FetchPolicy) -> Fetched:
    """Get what a URL answers under a policy. Raises `FetchError`, and nothing else."""
    async with connected(url, policy) as (target, reader, writer):
        answer = await _exchange(target, reader, writer, policy)
    return Fetched(answer.body, answer.media_type, answer.fresh_seconds)


@asynccontextmanager
async def connected(
    url: str, policy: FetchPolicy
) -> AsyncIterator[tuple[Target, asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to a URL's host under a policy, and cut the connection in the end.

    What happens meanwhile is under the policy's time, and raises `FetchError` too.
    """
    target = _target(url, policy)
    try:
        async with asyncio.timeout(policy.seconds):
            addresses = await allowed_addresses(
                target.host,
                target.port,
                private=policy.private,
                loopback=policy.loopback,
                allows=policy.allows,
                resolver=policy.resolver,
            )
            reader, writer = await _connect(target, addresses[:MAX_ATTEMPTS], policy)
            try:
                yield target, reader, writer
            finally:
                writer.transport.abort()
    except TimeoutError as exc:
        raise FetchError(f"it took longer than {policy.seconds:g} s") from exc
    except ForbiddenAddressError as exc:
        raise FetchError(str(exc)) from exc
    except ssl.SSLError as exc:
        raise FetchError("TLS failed: the certificate or its name is not trusted") from exc
    except (OSError, UnicodeError) as exc:
        raise FetchError("the host cannot be reached") from exc


def _target(url: str, policy: FetchPolicy) -> Target:
    """Read a URL. Raises `FetchError`."""
    parts = web_address(url) if len(url) <= MAX_URL_BYTES else None
    if parts is None or parts.hostname is None or parts.username is not None:
        raise FetchError("the URL must have a host, no user, and visible ASCII alone")
    secure = parts.scheme == "https"
    loopback = policy.loopback and spells_loopback(parts.hostname)
    if not (secure or loopback or policy.cleartext):
        raise FetchError("the URL must be https")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = parts.port or (443 if secure else 80)
    return Target(secure, parts.hostname, port, parts.netloc, path)


async def _connect(
    target: Target, addresses: list[str], policy: FetchPolicy
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that answers; raises what the last one gave."""
    for address in addresses[:-1]:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await _connect_one(target, address, policy)
        except (OSError, TimeoutError):
            continue
    return await _connect_one(target, addresses[-1], policy)


async def _connect_one(
    target: Target, address: str, policy: FetchPolicy
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to that address; the certificate must be for the name (RFC 9110 §4.3.4).

    An address literal is not looked up, so nobody answers differently a second time.
    """
    return await asyncio.open_connection(
        address,
        target.port,
        ssl=policy.trust() if target.secure else None,
        server_hostname=target.host if target.secure else None,
    )


async def _exchange(
    target: Target,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    policy: FetchPolicy,
) -> Answer:
    request = (
        f"GET {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n"
        f"User-Agent: {USER_AGENT}\r\n"
        f"Accept: {', '.join(sorted(policy.media_types - {''}))}\r\n"
        "Accept-Encoding: identity\r\nConnection: close\r\n\r\n"
    )
    writer.write(request.encode("ascii"))
    answer = Answer(max_bytes=policy.max_bytes, media_types=policy.media_types)
    while not (answer.complete or answer.problem):
        answer.feed(await reader.read(READ_BYTES))
    if answer.problem:
        raise FetchError(answer.problem)
    return answer
