"""Sessions of the revisions before 2026-07-28; ends with their support.

A session's id is a sealed handle that holds all there is to know of it: so any process
serves it, also after a restart, and nobody else can use it. See decision 12.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

import msgspec
from msgspec import Struct

from bascule.clock import Entropy, UnixTime
from bascule.decision.facts import Principal
from bascule.gateway.callers import Caller, Callers
from bascule.gateway.handles import InvalidHandleError, Sealer
from bascule.identity.access_token import AccessToken
from bascule.protocol.message import INVALID_REQUEST, Error, encode
from bascule.protocol.modern import ProtocolError

SESSION_SECONDS = 24 * 3600
"""A session lives no longer; its client begins another."""
MAX_UPSTREAM_ID_BYTES = 1024
MAX_ENDED = 10_000
MAX_KNOWN = 10_000
_TAG_BYTES = 9
_USE = "Mcp-Session-Id"


class Origin(Struct, frozen=True, array_like=True):
    """The token that began a session, as far as a revocation could name it."""

    jti: str
    issued_at: int
    issue_number: int | None
    grant: str | None


class Session(Struct, frozen=True, array_like=True):
    """What a session's id holds."""

    tag: str
    """Random; tells its JSON-RPC ids from those of other sessions."""
    version: str
    """Revision that client and server have agreed on."""
    upstream_id: str | None
    """The server's own session id; None where it keeps no sessions."""
    server: str
    """Which server that is, see `server_of`: no other one gets to see the id."""
    asks: tuple[str, ...]
    """Capabilities that the client declared for what a server may ask."""
    origin: Origin
    expires: int


@dataclass(slots=True, eq=False)
class Held:
    """A session in the hands of its caller."""

    session: Session
    connector: str
    owner: tuple[str, ...]
    """User, agent, connector and tag: what handles of this session are bound to."""
    generation: int = -1
    """Generation of the directory that last confirmed it."""


_session = msgspec.json.Decoder(Session)


class Sessions:
    """Begins, finds and ends the sessions of one process."""

    def __init__(self, sealer: Sealer, entropy: Entropy) -> None:
        self._sealer = sealer
        self._entropy = entropy
        self._known: OrderedDict[bytes, Held] = OrderedDict()
        """By the digest of the sealed id: opened before."""
        self._ended: OrderedDict[str, None] = OrderedDict()
        """Tags of what ended here, should the upstream not remember."""

    def new_tag(self) -> str:
        """Give a tag that no other session has."""
        return self._entropy(_TAG_BYTES).hex()

    def seal(self, session: Session, principal: Principal, connector: str) -> str:
        """Give the id under which its client holds a session."""
        return self._sealer.seal(
            encode(session).decode(),
            bound_to=(*_binding(principal, connector), _USE),
            expires=UnixTime(session.expires),
        )

    def find(
        self, sealed: bytes | None, caller: Caller, callers: Callers, now: UnixTime
    ) -> Held:
        """Give the session that a request belongs to.

        Raises `ProtocolError`: 400 without an id, 404 for one that is unknown, expired,
        ended, revoked or another's, without a difference between these.
        """
        if sealed is None:
            problem = Error(
                INVALID_REQUEST, f"`{_USE}` is missing; send `initialize` first"
            )
            raise ProtocolError(400, problem)
        digest = hashlib.sha256(sealed).digest()
        held = self._known.get(digest)
        if held is None:
            held = self._open(sealed, digest, caller, now)
        binding = _binding(caller.principal, caller.connector)
        mine = held.owner[: len(binding)] == binding and held.session.expires > now
        if not mine or held.session.tag in self._ended or is_revoked(held, callers):
            raise not_found()
        return held

    def _open(self, sealed: bytes, digest: bytes, caller: Caller, now: UnixTime) -> Held:
        binding = _binding(caller.principal, caller.connector)
        try:
            text = sealed.decode("latin-1")
            inner = self._sealer.open(text, bound_to=(*binding, _USE), now=now)
            session = _session.decode(inner)
        except (InvalidHandleError, msgspec.ValidationError) as exc:
            # One that another version of Bascule wrote is not valid either.
            raise not_found() from exc
        held = Held(session, caller.connector, (*binding, session.tag))
        if len(self._known) >= MAX_KNOWN:
            self._known.popitem(last=False)
        self._known[digest] = held
        return held

    def end(self, held: Held) -> None:
        """Answer for this session from now on as for an unknown one."""
        if len(self._ended) >= MAX_ENDED:
            self._ended.popitem(last=False)
        self._ended[held.session.tag] = None


def begun(
    tag: str,
    version: str,
    upstream_id: bytes,
    server: str,
    asks: tuple[str, ...],
    token: AccessToken,
    now: UnixTime,
) -> Session:
    """Make the session that an `initialize` has begun."""
    return Session(
        tag=tag,
        version=version,
        upstream_id=upstream_id.decode("ascii") or None,
        server=server,
        asks=asks,
        origin=Origin(token.jti, token.issued_at, token.issue_number, token.grant),
        expires=now + SESSION_SECONDS,
    )


@lru_cache(1024)
def server_of(url: str | None, command: tuple[str, ...] | None) -> str:
    """Give a short digest of where a connector's server is."""
    return hashlib.sha256(encode([url, command])).hexdigest()[:16]


def is_revoked(held: Held, callers: Callers) -> bool:
    """Tell whether a revocation since then ends the session.

    It ends with the token that began it, even when its caller has a newer one.
    """
    if held.generation == callers.generation:
        return False
    origin = held.session.origin
    token = AccessToken(
        user=held.owner[0] or None,
        agent=held.owner[1],
        jti=origin.jti,
        scopes=frozenset(),
        issued_at=UnixTime(origin.issued_at),
        expires_at=UnixTime(held.session.expires),
        issue_number=origin.issue_number,
        grant=origin.grant,
    )
    if callers.revokes(token, held.connector):
        return True
    held.generation = callers.generation
    return False


def not_found() -> ProtocolError:
    """Say that there is no such session; the client begins another (MCP, sessions)."""
    return ProtocolError(404, Error(INVALID_REQUEST, "session not found"))


def usable_upstream_id(value: bytes) -> bool:
    """Tell whether a server's session id is one that MCP allows: visible ASCII."""
    return len(value) <= MAX_UPSTREAM_ID_BYTES and all(0x21 <= it <= 0x7E for it in value)


def _binding(principal: Principal, connector: str) -> tuple[str, str, str]:
    return principal.user or "", principal.agent, connector
