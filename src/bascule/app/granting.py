"""What may be granted: checked when somebody asks, before anybody decides."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from bascule.clock import UnixTime
from bascule.config.model import Config
from bascule.config.rules import holders
from bascule.decision.decide import decide
from bascule.decision.entries import Entry, EntryError, ToolsetName, parse_entry
from bascule.decision.facts import CallFacts, Denied, Principal, Reason
from bascule.decision.granted import Granted
from bascule.decision.snapshot import Gates, Grants, Snapshot, with_grants
from bascule.errors import BasculeError
from bascule.identity.resource import baseline_scope
from bascule.storage.access_grants import AccessGrant, State
from bascule.storage.access_requests import Wanted

MAX_ENTRIES = 32
MAX_CHARACTERS = 500
"""Of one entry."""


class GrantError(BasculeError):
    """What was asked for cannot be granted."""


def connector_of(config: Config, entries: Sequence[str], gates: Gates) -> str:
    """Check what a grant would give, and name the connector that all of it is of.

    Raises `GrantError`.
    """
    if not 0 < len(entries) <= MAX_ENTRIES or len(set(entries)) < len(entries):
        raise GrantError(f"a grant names 1 to {MAX_ENTRIES} different entries")
    read = [_read(config, text) for text in entries]
    connectors = sorted({it.connector for it in read})
    if len(connectors) > 1:
        raise GrantError(
            f"a grant is for one connector, not for {' and '.join(connectors)}: "
            "make one for each"
        )
    for it in read:
        _refuse_unapproved(it, gates)
    return connectors[0]


def _read(config: Config, text: str) -> Entry | ToolsetName:
    if len(text) > MAX_CHARACTERS or not text.isprintable():
        raise GrantError(f"an entry is printable, of {MAX_CHARACTERS} characters at most")
    try:
        entry = parse_entry(text, where="--tool")
    except EntryError as exc:
        raise GrantError(str(exc)) from exc
    if entry.connector not in config.connectors:
        known = ", ".join(sorted(config.connectors)) or "none yet"
        raise GrantError(f"there is no connector `{entry.connector}` (known: {known})")
    if isinstance(entry, ToolsetName) and text not in config.toolsets:
        raise GrantError(f"there is no toolset `{text}`: `[toolsets]` makes one")
    return entry


def _refuse_unapproved(entry: Entry | ToolsetName, gates: Gates) -> None:
    """Refuse a tool or prompt that the approved surface does not have."""
    gate = gates.get(entry.connector)
    if gate is None or gate.missing is not None or isinstance(entry, ToolsetName):
        return
    kind = {"tool": "tools", "prompt": "prompts"}.get(entry.kind or "")
    pinned = next((names for of, names in gate.pins.items() if of == kind), None)
    if pinned is not None and not entry.is_glob and entry.pattern not in pinned:
        raise GrantError(f"`{entry.text}` is not in what was approved of the connector")


def above_ceiling(
    wanted: Wanted, agent: str, snapshot: Snapshot, now: UnixTime
) -> Iterator[str]:
    """Give the tools by name that an agent may not be used for, whoever is granted them."""
    scopes = frozenset({baseline_scope(wanted.connector)})
    who = Principal(wanted.user, agent, scopes=scopes)
    granted = Granted("asked", wanted.user, agent, wanted.entries, UnixTime(now + 1))
    with_it = with_grants(snapshot, (*snapshot.grants, granted))
    for text in wanted.entries:
        entry = parse_entry(text, where="--tool")
        if isinstance(entry, ToolsetName) or entry.kind != "tool" or entry.is_glob:
            continue
        facts = CallFacts(who, entry.connector, "tools/call", "tool", entry.pattern, now)
        decision = decide(facts, with_it)
        if isinstance(decision, Denied) and decision.reason is Reason.ABOVE_CEILING:
            yield text


def refuse_unshared(config: Config, wanted: Wanted, grants: Grants) -> None:
    """Refuse to let one more user act under a credential that nobody called shared.

    Raises `GrantError`.
    """
    asked = Granted("asked", wanted.user, None, wanted.entries, UnixTime(0))
    if wanted.connector in _unshared(config, (*grants, asked)):
        raise GrantError(
            f"others may use `{wanted.connector}` under the same credential: say "
            f"`connectors.{wanted.connector}.credential.shared = true` if that is meant"
        )


def require_shared(config: Config, grants: Grants) -> None:
    """Refuse a configuration under which grants would do that. Raises `GrantError`."""
    for name in _unshared(config, grants):
        raise GrantError(
            f"grants let several users use `{name}` under one credential: end them "
            f"(`bascule grant list`), or say `connectors.{name}.credential.shared = true`"
        )


def _unshared(config: Config, grants: Grants) -> Iterator[str]:
    """Name the connectors at which grants make several users one person upstream.

    Roles alone are refused for that when the configuration is read.
    """
    for name, connector in config.connectors.items():
        credential = connector.credential
        if credential.is_one_for_all and not credential.shared:
            granted = set(_granted(name, grants))
            if granted and len(granted | set(holders(config, name))) > 1:
                yield name


def _granted(connector: str, grants: Grants) -> Iterator[str]:
    """Give the users to whom something of a connector is granted."""
    for granted in grants:
        own = (it.startswith((f"{connector}/", f"{connector}:")) for it in granted.entries)
        if granted.user is not None and any(own):
            yield granted.user


def require_state(
    found: AccessGrant | None, grant_id: str, states: Collection[State], now: UnixTime
) -> AccessGrant:
    """Give a grant that is in one of these states. Raises `GrantError`."""
    if found is None:
        raise GrantError(f"there is no grant `{grant_id}`: `bascule grant list` shows all")
    state = found.state(now)
    if state not in states:
        raise GrantError(f"`{grant_id}` is {state}, not {' or '.join(states)}")
    return found
