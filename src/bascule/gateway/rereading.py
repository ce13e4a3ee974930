"""Reading again what a server serves: Bascule asks for itself, once for all who wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any

import msgspec
from msgspec import Raw

from bascule.clock import monotonic
from bascule.decision.facts import Principal
from bascule.decision.gate import DefinitionKind, Gate
from bascule.gateway.credentials import Known, Presented, shown_to, with_credential
from bascule.gateway.definitions import Definitions, View
from bascule.gateway.exchange import Headers, header_block
from bascule.gateway.gateway import Upstream
from bascule.gateway.hosted_headers import identity_headers
from bascule.gateway.legacy_relay import check_status
from bascule.gateway.message_headers import OWN_REQUEST, POSTED
from bascule.gateway.sessions import Held
from bascule.gateway.single import BAD_ANSWERS, single_answer
from bascule.gateway.steps import Run, Step
from bascule.gateway.turn import Turn, session_headers
from bascule.gateway.upstream import Response, UpstreamError
from bascule.lock.definition import MAX_DEFINITIONS, NAME_KEY
from bascule.net.fetch import USER_AGENT
from bascule.protocol import modern
from bascule.protocol.message import METHOD_NOT_FOUND, parse_error, write_request

log = logging.getLogger("bascule")

READ_SECONDS = 10.0
"""Longest time for all pages of one list."""
MAX_PAGES = 100
LISTS: Mapping[DefinitionKind, str] = {
    "tools": "tools/list",
    "prompts": "prompts/list",
    "resourceTemplates": "resources/templates/list",
}

_ids = count(1)
"""A session may have several readings at a time, and its client's calls."""
_NAME, _, _VERSION = USER_AGENT.partition("/")
_fields = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])
_text = msgspec.json.Decoder(str)

Ask = Callable[[str, str, dict[str, Any]], Awaitable[Response]]
"""Sends one request by id, method and parameters. Raises `UpstreamError`, or
`ProtocolError` for what the client must be told."""


class _TooLateError(Exception):
    """Time is over; whatever is waited for is cut."""


async def read_again(
    definitions: Definitions,
    view: View,
    gate: Gate,
    kind: DefinitionKind,
    ask: Ask,
    limit: int,
    *,
    hosted: bool,
) -> None:
    """Read a list, or wait for the reading that is going on.

    `limit`: bytes of one answer. Raises `UpstreamError` or `ProtocolError`.
    """
    reading = view.readings.get(kind)
    if reading is None or reading.over or reading.entry != gate.entry:
        begun = Reading(definitions, view, kind, gate, ask, limit, hosted=hosted)
        view.readings[kind] = reading = begun
        begun.start()
    await reading.done()


class Reading:
    """One reading of one list, for all who wait for it."""

    def __init__(
        self,
        definitions: Definitions,
        view: View,
        kind: DefinitionKind,
        gate: Gate,
        ask: Ask,
        limit: int,
        *,
        hosted: bool,
    ) -> None:
        self.entry = gate.entry
        self.over = False
        self._definitions = definitions
        self._view = view
        self._kind = kind
        self._gate = gate
        self._ask = ask
        self._limit = limit
        self._hosted = hosted
        self._waiting: list[Step[None]] = []
        self._run: Run | None = None
        self._problem: Exception | None = None

    def start(self) -> None:
        """Begin."""
        timer = asyncio.get_running_loop().call_later(READ_SECONDS, self._too_late)
        self._run = Run(self._read(timer), self)

    def _too_late(self) -> None:
        if self._run is not None:
            self._run.throw(_TooLateError())

    def done(self) -> Step[None]:
        """Wait for its end. Fails with `UpstreamError` or `ProtocolError`."""
        step: Step[None] = Step()
        self._waiting.append(step)
        if self.over:
            self.ended()
        return step

    async def _read(self, timer: asyncio.TimerHandle) -> None:
        try:
            asked = monotonic()
            items, edition = await read_list(self._ask, self._kind, self._limit)
            names = _names(items, self._kind)
            digests = await self._definitions.digests(self._kind, self._gate, names, items)
            self._view.learn(
                self._kind,
                self._gate.entry,
                digests,
                asked=asked,
                whole=True,
                edition=edition if self._hosted else b"",
            )
        except (UpstreamError, modern.ProtocolError) as exc:
            self._problem = exc
        except _TooLateError:
            self._problem = UpstreamError("the server took too long to list")
        finally:
            timer.cancel()

    def crashed(self, problem: Exception) -> None:
        """A bug ended it: nobody is let through."""
        log.error("definitions could not be read on a bug", exc_info=problem)
        self._problem = UpstreamError("the server's definitions cannot be read")

    def ended(self) -> None:
        """Let those who wait go on."""
        self.over = True
        waiting, self._waiting = self._waiting, []
        for step in waiting:
            if self._problem is None:
                step.resolve(None)
            else:
                step.fail(self._problem)


async def read_list(ask: Ask, kind: DefinitionKind, limit: int) -> tuple[list[Raw], bytes]:
    """Read all pages of a list; give also the edition that its first page is of.

    Raises `UpstreamError` or `ProtocolError`.
    """
    items: list[Raw] = []
    edition: bytes | None = None
    params: dict[str, Any] = {}
    for _ in range(MAX_PAGES):
        message_id = f"bascule-{next(_ids)}"
        response = await ask(message_id, LISTS[kind], params)
        edition = response.edition if edition is None else edition
        fields = await _result(response, message_id, limit)
        try:
            items += _items.decode(fields.get(kind, b"[]"))
            cursor = fields.get("nextCursor")
            params = {} if cursor is None else {"cursor": _text.decode(cursor)}
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise UpstreamError("the server's list has the wrong shape") from exc
        if len(items) > MAX_DEFINITIONS:
            raise UpstreamError("the server lists too much")
        if not params:
            return items, edition
    raise UpstreamError("the server's list has no end")


def _names(items: Sequence[Raw], kind: DefinitionKind) -> list[str]:
    key = NAME_KEY[kind]
    try:
        return [_text.decode(_fields.decode(item)[key]) for item in items]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as exc:
        raise UpstreamError("the server lists what has no name") from exc


async def _result(response: Response, message_id: str, limit: int) -> dict[str, Raw]:
    """Take the result out of an answer; that of a server without such lists is empty."""
    try:
        answer = await single_answer(response, message_id, limit)
        if isinstance(answer.error, Raw):
            problem = parse_error(answer.error)
            if problem.code == METHOD_NOT_FOUND:
                return {}
            raise UpstreamError(f"the server refuses to list (code {problem.code})")
        if response.status != 200 or not isinstance(answer.result, Raw):
            raise UpstreamError("the server does not list what it serves")
        return _fields.decode(answer.result)
    except (*BAD_ANSWERS, UnicodeDecodeError, RecursionError) as exc:
        raise UpstreamError(str(exc)) from exc


def ask_modern(
    upstream: Upstream, principal: Principal, capabilities: Mapping[str, Any]
) -> Ask:
    """Make what asks a server at 2026-07-28, as a client with such capabilities.

    Who has a process of their own is named.
    """
    per_user = upstream.connector.per_user
    whose = identity_headers(upstream.connector, principal) if per_user else b""
    meta = {
        modern.PROTOCOL_VERSION: modern.VERSION,
        modern.CLIENT_CAPABILITIES: capabilities,
        modern.CLIENT_INFO: {"name": _NAME, "version": _VERSION},
    }

    async def ask(message_id: str, method: str, params: dict[str, Any]) -> Response:
        body = write_request(message_id, method, {**params, modern.META: meta})
        headers = header_block(
            (b"MCP-Protocol-Version", modern.VERSION.encode()),
            (b"Mcp-Method", method.encode()),
        )
        response = await _send(upstream, principal, whose + headers, body, method)
        if response.status != 200:
            known = Known(await shown_to(upstream.credential, principal), whose)
            await upstream.eras.explain(upstream.pool, known, response, method)
        return response

    return ask


def ask_legacy(turn: Turn, held: Held) -> Ask:
    """Make what asks a server in a session, where alone it says what that is shown."""

    async def ask(message_id: str, method: str, params: dict[str, Any]) -> Response:
        principal = turn.caller.principal  # a session is its user's
        whose = identity_headers(turn.there.connector, principal)
        headers = session_headers(held) + whose
        body = write_request(message_id, method, params)
        response = await _send(turn.there, principal, headers, body, method)
        check_status(turn, held, response, 400)
        return response

    return ask


async def _send(
    upstream: Upstream, principal: Principal, headers: Headers, body: bytes, method: str
) -> Response:
    sized = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    head = upstream.pool.request_head + headers + POSTED + OWN_REQUEST

    def send(presented: Presented) -> Awaitable[Response]:
        return upstream.pool.send(head + presented.lines("POST") + sized)

    return await with_credential(upstream.credential, principal, send, method)
