"""Headers that repeat arguments (`Mcp-Param-…`, MCP 2026-07-28, custom headers).

A server that believes the header must not read another argument there than the one that
was decided on. Where the tool's definition is approved, these headers are compared with
what came, and written anew from what goes on; others are left out. Where it is not, they go
as they came, unless arguments decide on the call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

import msgspec

from bascule.decision.facts import CallFacts
from bascule.decision.snapshot import Snapshot
from bascule.errors import BasculeError
from bascule.gateway.exchange import Exchange, Headers, header_block
from bascule.protocol import header_value
from bascule.protocol.message import HEADER_MISMATCH, Error
from bascule.protocol.modern import ProtocolError

PREFIX = b"mcp-param-"
KEYWORD = "x-mcp-header"
_token = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
"""Name of a header field (RFC 9110 §5.6.2)."""
_DEEPEST = 16

Repeated = tuple[tuple[bytes, tuple[str, ...]], ...]
"""Header in lower case, and the place of the argument that it repeats."""


def param_headers(
    exchange: Exchange,
    facts: CallFacts,
    arguments: object,
    snapshot: Snapshot,
    *,
    approved: bool,
) -> Headers:
    """Write the headers that repeat arguments, for the upstream.

    `arguments`: those that go on; those that came are in the facts. `approved`: somebody
    consented to these arguments alone, so nothing else goes on. Raises `ProtocolError`
    where a header does not say what came.
    """
    came = b""
    certain = approved or _decides(facts, snapshot)
    if not certain and PREFIX in b"".join(exchange.headers):
        pairs = [it for it in exchange.headers.items() if it[0].startswith(PREFIX)]
        came = header_block(*pairs)
    gate = snapshot.gates.get(facts.connector)
    if gate is None or facts.kind != "tool" or facts.definition is None:
        return came
    pin = gate.tools.get(facts.name, {}).get(facts.definition)
    if pin is None:
        return came
    repeated = _repeated(pin.schema)
    if not repeated:
        return b""
    check(facts.arguments, exchange.headers, repeated)
    values = ((header, _argument(arguments, place)) for header, place in repeated)
    return header_block(
        *((header, _written(value)) for header, value in values if value is not None)
    )


def _decides(facts: CallFacts, snapshot: Snapshot) -> bool:
    """Tell whether arguments decide on a call: then no header says others unseen."""
    if facts.kind != "tool":
        return False
    if facts.principal.details is not None:
        return True
    plan = snapshot.arguments.known(facts.connector, facts.name, None)
    if plan is None:
        target = snapshot.target(facts.connector, "tool", facts.name)
        plan = snapshot.arguments.plan(target, None)
    return bool(plan.wanted)


@lru_cache(2048)
def _repeated(schema: bytes) -> Repeated:
    if KEYWORD.encode() not in schema:
        return ()
    return tuple(repeated_by(msgspec.json.decode(schema), ()))


def repeated_by(
    schema: object, place: tuple[str, ...]
) -> Iterator[tuple[bytes, tuple[str, ...]]]:
    """Find the headers that a tool's input schema asks for."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or len(place) > _DEEPEST:
        return
    for name, part in properties.items():
        if not isinstance(part, dict):
            continue
        header = part.get(KEYWORD)
        fits = part.get("type") in ("string", "integer", "boolean")
        if fits and isinstance(header, str) and _token.fullmatch(header):
            yield f"mcp-param-{header.lower()}".encode(), (*place, name)
        yield from repeated_by(part, (*place, name))


def check(arguments: object, headers: Mapping[bytes, bytes], repeated: Repeated) -> None:
    """Compare headers with the arguments that they repeat. Raises `ProtocolError`."""
    for header, place in repeated:
        if not _agree(_argument(arguments, place), headers.get(header)):
            name = header.decode("ascii")
            problem = Error(HEADER_MISMATCH, f"`{name}` must be the argument of the body")
            raise ProtocolError(400, problem)


def _argument(arguments: object, place: tuple[str, ...]) -> object:
    value = arguments
    for name in place:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _written(value: object) -> bytes:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return header_value.encode(text)


def _agree(argument: object, header: bytes | None) -> bool:
    if argument is None or header is None:
        return argument is None and header is None
    try:
        text = header_value.decode(header)
        match argument:
            case bool():
                return text == str(argument).lower()
            case int():
                return int(text) == argument
            case _:
                return text == argument
    except (BasculeError, ValueError):
        return False
