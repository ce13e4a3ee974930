"""What is compared with the approval of a connector before a request goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from bascule.config.model import Connector
from bascule.decision.decide import decide
from bascule.decision.facts import (
    UNLINKED,
    UNREADABLE,
    CallFacts,
    Denied,
    Principal,
    Reason,
)
from bascule.decision.gate import DefinitionKind, Gate, pinned_kind
from bascule.decision.snapshot import Snapshot
from bascule.gateway.deciding import decided, on_disk
from bascule.gateway.definitions import Key, Watch
from bascule.gateway.gateway import Gateway, UnapprovedError, Upstream
from bascule.gateway.linked import ConnectFirstError
from bascule.gateway.outgoing import carried_capabilities
from bascule.gateway.rereading import Ask, ask_legacy, ask_modern, read_again
from bascule.gateway.sessions import Held
from bascule.gateway.turn import Turn
from bascule.gateway.upstream import UpstreamError
from bascule.protocol import legacy, modern
from bascule.protocol.message import Request

CHANGED = 412
"""Status of a hosted server that was started anew, or whose lists have changed, since what
it serves was read; it has done nothing then."""
READINGS = 2
"""Of a list that the server says to have changed while it was read."""


class Compared(NamedTuple):
    """What is known of a request's definition."""

    facts: CallFacts
    unlinked: ConnectFirstError | None = None
    """Why it could not be read: once the refusal is on disk, its user is told so."""


class ChangedError(UpstreamError):
    """The definition is not the one that was decided on; nothing was called."""

    outcome = "refused"


async def require_approval(turn: Turn, method: str) -> None:
    """Refuse what goes to a connector that serves nothing, whatever it is.

    Raises `UnapprovedError` once the record of it is on disk.
    """
    gate = turn.snapshot.gates.get(turn.connector)
    if gate is None or gate.shuts(turn.now) is None:
        return
    if turn.snapshot.is_outside(turn.connector, turn.exchange.peer):
        return  # there it does not exist, approved or not: the decision says so
    named = turn.exchange.header(b"mcp-protocol-version")
    proto = legacy.LATEST if named is None else named.decode("latin-1")
    facts = turn.facts_about(method)
    made = await decided(turn, Request("", method, {}), facts, proto=proto)
    await on_disk(turn.gateway, made.entry)
    if isinstance(made.decision, Denied):
        raise UnapprovedError(turn.connector, made.decision.reason, made.entry.code)


def watch_modern(
    gateway: Gateway,
    upstream: Upstream | None,
    request: Request,
    facts: CallFacts,
    snapshot: Snapshot,
) -> Watch | None:
    """Give what compares a request of 2026-07-28; None where nothing is compared.

    What such a request is shown depends on its capabilities, and on its user where each
    has a process of their own.
    """
    gate = snapshot.gates.get(facts.connector)
    if gate is None or upstream is None:
        return None
    capabilities = _capabilities(request, upstream.connector)
    of_user = viewer(upstream.connector, facts.principal)
    key = (modern.VERSION, of_user, _digest(capabilities))
    return _watch(gateway, upstream, facts.connector, gate, key)


def watch_legacy(turn: Turn, held: Held | None) -> Watch | None:
    """Give what compares a request in a session; None where nothing is compared.

    What is listed depends on the session, but for a process that all sessions share.
    """
    gate = turn.snapshot.gates.get(turn.connector)
    upstream = turn.upstream
    if gate is None or upstream is None:
        return None
    of_user = viewer(upstream.connector, turn.caller.principal)
    key: Key = ("session", of_user if held is None else held.session.tag)
    if held is not None and upstream.connector.command is not None:
        key = (held.session.version, of_user, *held.session.asks)
    return _watch(turn.gateway, upstream, turn.connector, gate, key)


def _watch(
    gateway: Gateway, upstream: Upstream, connector: str, gate: Gate, key: Key
) -> Watch:
    definitions = upstream.definitions
    view = definitions.view(key)
    return Watch(connector, gate, definitions, view, gateway.journal, texts=gateway.texts)


async def compared_modern(
    gateway: Gateway,
    upstream: Upstream,
    watch: Watch,
    request: Request,
    facts: CallFacts,
    snapshot: Snapshot,
) -> Compared:
    """Add to the facts what the server serves now under the name that is asked for.

    Raises `ProtocolError` when the server turns out not to speak the revision.
    """
    kind = pinned_kind(facts.method, facts.kind, facts.name)
    if kind is None:
        return Compared(facts)
    if _must_be_read(watch, kind, facts, snapshot):
        if upstream.eras.refuses_modern:
            upstream.eras.check_modern()
        capabilities = _capabilities(request, upstream.connector)
        ask = ask_modern(upstream, facts.principal, capabilities)
        return await _read(watch, kind, facts, ask, gateway, upstream)
    return Compared(_with(facts, watch.view.digest(kind, facts.name)))


async def compared_legacy(turn: Turn, held: Held, facts: CallFacts) -> Compared:
    """Add the same for a request in a session.

    Raises `ProtocolError` when the server no longer knows the session.
    """
    kind = pinned_kind(facts.method, facts.kind, facts.name)
    watch = None if kind is None else watch_legacy(turn, held)
    if kind is None or watch is None:
        return Compared(facts)
    if _must_be_read(watch, kind, facts, turn.snapshot):
        ask = ask_legacy(turn, held)
        return await _read(watch, kind, facts, ask, turn.gateway, turn.there)
    return Compared(_with(facts, watch.view.digest(kind, facts.name)))


def condition_of(watch: Watch | None, facts: CallFacts) -> bytes:
    """Give the header by which a hosted server takes a call for what was compared alone."""
    if watch is None:
        return b""
    kind = pinned_kind(facts.method, facts.kind, facts.name)
    return b"" if kind is None else watch.view.condition(kind)


def forget(watch: Watch | None, facts: CallFacts) -> bool:
    """Take it that a hosted server has changed; False where nothing is compared.

    False also where it was sent no condition: then it may have done what it was asked to.
    """
    kind = pinned_kind(facts.method, facts.kind, facts.name)
    if watch is None or kind is None or not watch.view.condition(kind):
        return False
    watch.definitions.forget(kind)
    return True


def require_same(
    watch: Watch | None, before: CallFacts, after: CallFacts, *, approved: bool
) -> None:
    """Refuse to send what was decided for another definition, where the mode enforces.

    `approved`: somebody consented to just this call, and then no mode lets another pass.
    Raises `ChangedError`.
    """
    enforces = approved or (watch is not None and watch.gate.enforces)
    if enforces and after.definition != before.definition:
        raise ChangedError("what the server serves has changed: try again")


def _must_be_read(
    watch: Watch, kind: DefinitionKind, facts: CallFacts, snapshot: Snapshot
) -> bool:
    """Tell whether the list must be read again: only for who may use what is asked for."""
    if watch.definitions.is_known(watch.view, kind, watch.gate.entry):
        return False
    decision = decide(_with(facts, UNREADABLE), snapshot)
    found = decision.reason if isinstance(decision, Denied) else decision.finding
    return found is Reason.DEFINITIONS_UNREADABLE


async def _read(
    watch: Watch,
    kind: DefinitionKind,
    facts: CallFacts,
    ask: Ask,
    gateway: Gateway,
    upstream: Upstream,
) -> Compared:
    limit, hosted = gateway.limits.response_bytes, upstream.connector.command is not None
    definitions, view, gate = watch.definitions, watch.view, watch.gate
    for _ in range(READINGS):
        try:
            await read_again(definitions, view, gate, kind, ask, limit, hosted=hosted)
        except ConnectFirstError as exc:
            return Compared(_with(facts, UNLINKED), exc)
        except UpstreamError:
            break
        if definitions.is_known(view, kind, gate.entry):
            return Compared(_with(facts, view.digest(kind, facts.name)))
    return Compared(_with(facts, UNREADABLE))


def _with(facts: CallFacts, definition: str | None) -> CallFacts:
    return replace(facts, definition=definition)


def viewer(connector: Connector, principal: Principal) -> str:
    """Give for whom what the server serves is remembered; empty: for all alike.

    A server that knows its users, by processes of their own or by their tokens, may serve
    each something else: what one was shown must decide nothing for another.
    """
    if connector.per_user:
        return principal.user or f"agent:{principal.agent}"
    if connector.credential.knows_users:
        return f"{principal.user} {principal.agent}"
    return ""


def _capabilities(request: Request, connector: Connector) -> Mapping[str, Any]:
    capabilities = request.params[modern.META][modern.CLIENT_CAPABILITIES]
    return carried_capabilities(capabilities, connector) if capabilities else capabilities


def _digest(capabilities: Mapping[str, Any]) -> str:
    if not capabilities:
        return ""
    written = msgspec.json.encode(capabilities, order="sorted")
    return hashlib.sha256(written).hexdigest()
