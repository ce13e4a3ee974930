"""Which eras an upstream speaks, learnt from what it answers to requests of our own.

Nothing is asked while all goes well. Only when an upstream refuses what a client sent, and
the reason may be the era, is it asked in both, without anything of the client's: so no
client can make an upstream seem other than it is.

A request of an era that the upstream does not speak is refused in two places, `no_modern`
and `no_legacy`. Translation between the eras would begin there.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from bascule.clock import monotonic
from bascule.gateway import answers
from bascule.gateway.credentials import Known, Presented, proven
from bascule.gateway.exchange import Headers, header_block
from bascule.gateway.message_headers import OWN_REQUEST, POSTED
from bascule.gateway.single import BAD_ANSWERS, single_answer
from bascule.gateway.steps import Step
from bascule.gateway.upstream import Response, UpstreamError, UpstreamPool, request_head
from bascule.net.fetch import USER_AGENT
from bascule.protocol import legacy, modern
from bascule.protocol.message import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    UNSUPPORTED_VERSION,
    Error,
    parse_answer,
    parse_error,
    write_request,
)
from bascule.protocol.modern import ProtocolError

FRESH_SECONDS = 5.0
"""An upstream that refuses again is not asked again within this time."""
BELIEVED_SECONDS = 60.0
"""So long a request of 2026-07-28 is refused without asking; then it is tried."""
MAX_ANSWER_BYTES = 1 << 20
MAX_VERSIONS = 8
_REVISION = re.compile(r"\d{4}-\d{2}-\d{2}")
_fields = msgspec.json.Decoder(dict[str, Any])
_MODERN_CODES = frozenset({HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION})
_SUSPECT = frozenset({200, 400, 404, 405, 406})
"""HTTP statuses with which a server may refuse an era (MCP 2026-07-28, compatibility)."""
_OF_BOTH = frozenset({INVALID_PARAMS, METHOD_NOT_FOUND})
_NAME, _, _VERSION = USER_AGENT.partition("/")
_OWN = {"name": _NAME, "version": _VERSION}


class Spoken(Struct, frozen=True):
    """The revisions that an upstream says it speaks; empty for an era it refused."""

    modern: tuple[str, ...] = ()
    legacy: tuple[str, ...] = ()


class Eras:
    """What is known of one upstream."""

    def __init__(self, *, fresh_seconds: float = FRESH_SECONDS) -> None:
        self.refuses_modern = False
        """Looked at for each modern request; see `check_modern`."""
        self._fresh_seconds = fresh_seconds
        self._spoken = Spoken()
        self._learnt: float | None = None
        self._waiting: list[Step[None]] | None = None

    async def learn(self, pool: UpstreamPool, known: Known) -> Spoken:
        """Give what the upstream speaks, asking it unless that was done just now.

        `known`: what it is shown with each request. Raises `UpstreamError` when it
        cannot be asked.
        """
        while not self._younger_than(self._fresh_seconds):
            if self._waiting is not None:
                step: Step[None] = Step()
                self._waiting.append(step)
                await step
                continue
            self._waiting = []
            try:
                self._spoken = Spoken(
                    await _ask_modern(pool, known), await _ask_legacy(pool, known)
                )
                self._learnt = monotonic()
            finally:
                waiting, self._waiting = self._waiting, None
                for step in waiting:
                    step.resolve(None)
        return self._spoken

    def check_modern(self) -> None:
        """Refuse a modern request while the upstream is known to speak none of it.

        Raises `ProtocolError`.
        """
        if self._younger_than(BELIEVED_SECONDS):
            raise no_modern(self._spoken)
        self.refuses_modern = False

    def _younger_than(self, seconds: float) -> bool:
        return self._learnt is not None and monotonic() - self._learnt < seconds

    async def explain(
        self, pool: UpstreamPool, known: Known, response: Response, method: str
    ) -> None:
        """Find out whether a modern request failed because of its era.

        Raises `ProtocolError` if so: an answer from which a client of both eras goes on to
        `initialize`, as it would without us.
        """
        fine = response.status == 200 and method != "server/discover"
        if fine or response.status not in _SUSPECT or response.streams:
            return
        if is_modern_answer(response.status, response.body, method):
            return
        spoken = await self.learn(pool, known)
        if spoken.legacy and modern.VERSION not in spoken.modern:
            self.refuses_modern = True
            raise no_modern(spoken)


def is_modern_answer(status: int, body: bytes, method: str) -> bool:
    """Tell whether an upstream's answer is one of 2026-07-28, good or bad."""
    try:
        answer = parse_answer(body)
        problem = parse_error(answer.error) if isinstance(answer.error, Raw) else None
    except BAD_ANSWERS:
        return False
    if problem is None:
        return status == 200
    if method == "server/discover":
        return problem.code in _MODERN_CODES  # every server of that revision has it
    return status == 200 or problem.code in _MODERN_CODES | _OF_BOTH


def no_modern(spoken: Spoken) -> ProtocolError:
    """Say that a server speaks older revisions only, and which.

    The code is none that a client of both eras takes for a sign of 2026-07-28.
    """
    return _no_common(modern.VERSION, spoken.legacy, answers.WRONG_ERA)


def no_legacy(spoken: Spoken, requested: str) -> ProtocolError:
    """Say that a server refuses `initialize`, and which revisions it speaks."""
    return _no_common(requested, spoken.modern, UNSUPPORTED_VERSION)


def _no_common(requested: str, supported: tuple[str, ...], code: int) -> ProtocolError:
    said = f"this server speaks {', '.join(supported)}, the request is of {requested[:64]}"
    data = {"supported": list(supported), "requested": requested[:64]}
    return ProtocolError(400, Error(code, said, data))


async def _ask_modern(pool: UpstreamPool, known: Known) -> tuple[str, ...]:
    meta = {
        modern.PROTOCOL_VERSION: modern.VERSION,
        modern.CLIENT_CAPABILITIES: {},
        modern.CLIENT_INFO: _OWN,
    }
    headers = header_block(
        (b"MCP-Protocol-Version", modern.VERSION.encode()),
        (b"Mcp-Method", b"server/discover"),
    )
    body = write_request(1, "server/discover", {modern.META: meta})
    result, error, _ = await _post(pool, known, headers, body)
    if error is not None and error.code == UNSUPPORTED_VERSION:
        result = error.data if isinstance(error.data, dict) else {}
    named = result.get("supportedVersions", result.get("supported"))
    return tuple(it for it in _versions(named) if it not in legacy.SUPPORTED)


async def _ask_legacy(pool: UpstreamPool, known: Known) -> tuple[str, ...]:
    params = {
        "protocolVersion": legacy.LATEST,
        "capabilities": {},
        "clientInfo": _OWN,
    }
    body = write_request(1, legacy.INITIALIZE, params)
    result, _, session_id = await _post(pool, known, b"", body)
    versions = _versions([result.get("protocolVersion")])
    if session_id and versions:
        await _end(pool, known, session_id, versions[0])
    return versions


async def _post(
    pool: UpstreamPool, known: Known, headers: Headers, body: bytes
) -> tuple[dict[str, Any], Error | None, bytes]:
    """Ask one thing of our own; give result, error and session id, empty where absent."""
    sized = header_block((b"Content-Length", b"%d" % len(body)))
    head = pool.request_head + known.whose + headers + POSTED + OWN_REQUEST + sized

    def send(presented: Presented) -> Awaitable[Response]:
        return pool.send(b"%b%b\r\n%b" % (head, presented.lines("POST"), body))

    response = await proven(known.presented, send)
    try:
        answer = await single_answer(response, 1, MAX_ANSWER_BYTES)
        if isinstance(answer.error, Raw):
            return {}, parse_error(answer.error), b""
        if isinstance(answer.result, Raw) and response.status == 200:
            return _fields.decode(answer.result), None, response.session_id
    except (UpstreamError, *BAD_ANSWERS):
        pass
    return {}, None, b""  # no answer of that era


async def _end(pool: UpstreamPool, known: Known, session_id: bytes, version: str) -> None:
    """Leave no session of ours behind; whether the upstream ends it is its own affair."""
    session = header_block(
        (b"Mcp-Session-Id", session_id), (b"MCP-Protocol-Version", version.encode())
    )
    head = request_head(pool.endpoint.url, "DELETE")
    shown = known.lines("DELETE")
    response = await pool.send(b"%b%b%b%b\r\n" % (head, session, shown, OWN_REQUEST))
    if response.streams:
        response.abandon()


def _versions(named: Any) -> tuple[str, ...]:
    """Read revisions that an upstream names, within bounds."""
    if not isinstance(named, list):
        return ()
    found = [it for it in named if isinstance(it, str) and _REVISION.fullmatch(it)]
    return tuple(found[:MAX_VERSIONS])
