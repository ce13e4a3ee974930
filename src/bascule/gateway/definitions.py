"""What a server was last seen to serve: learnt from each list that passes, and by asking.

A server may show different things to different clients, so what is known is kept in views:
one for all who must be shown the same. A view that is old, or whose server said that its
list has changed, says nothing until the list was read again.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Protocol

import msgspec
from msgspec import Raw, Struct, field

from bascule.clock import monotonic
from bascule.decision.facts import Reason
from bascule.decision.gate import DefinitionKind, Gate
from bascule.gateway.drifted_texts import DriftedTexts
from bascule.gateway.exchange import Headers, header_block
from bascule.gateway.steps import Step, next_turn
from bascule.lock.invisible import visible
from bascule.lock.known import Known
from bascule.lock.model import LockError
from bascule.lock.surface import instructions_digest, server_digest
from bascule.scan.text.served import Judged, Kind

log = logging.getLogger("bascule")

FRESH_SECONDS = 60.0
"""A list that was read longer ago is read again before a call."""
MAX_VIEWS = 1024
"""Of one connector; the one that was not used for longest makes room."""
MAX_TOLD = 256
"""Deviations that are recorded of one approved entry, for each reason."""
TURN_BYTES = 32 << 10
"""Hashed in one go; then others get their turn."""
UNPINNABLE = ""
"""In the place of a digest: two parsers could read it differently, or it is there twice."""

CHANGED: Mapping[str, DefinitionKind] = {
    "notifications/tools/list_changed": "tools",
    "notifications/prompts/list_changed": "prompts",
    "notifications/resources/list_changed": "resourceTemplates",
}

Key = tuple[str, ...]
_fields = msgspec.json.Decoder(dict[str, Raw])
_text = msgspec.json.Decoder(str)
_SAID_BY_SERVER = ("capabilities", "serverInfo", "_meta")


class Deviations(Protocol):
    """Where deviations from what was approved are recorded."""

    def deviates(
        self, connector: str, kind: str, name: str, reason: Reason, have: str, mode: str
    ) -> None:
        """Take one."""

    def suspects(self, connector: str, kind: str, name: str, found: Judged) -> None:
        """Take what one of them says."""


class Ongoing(Protocol):
    """A reading that is going on, see `rereading`."""

    entry: str
    over: bool

    def done(self) -> Step[None]:
        """Wait for its end."""


class View:
    """What one audience was shown, as digests of the definitions whose names are pinned."""

    __slots__ = ("_digests", "_editions", "_entry", "_read", "_shown", "readings")

    def __init__(self) -> None:
        self.readings: dict[DefinitionKind, Ongoing] = {}
        """The last one of each kind, which may be over."""
        self._entry = ""
        self._digests: dict[DefinitionKind, dict[str, str]] = {}
        self._read: dict[DefinitionKind, float] = {}
        self._editions: dict[DefinitionKind, bytes] = {}
        self._shown: dict[DefinitionKind, dict[str, str]] = {}
        """What clients were shown last of what is not as approved."""

    def read_since(self, kind: DefinitionKind, entry: str, moment: float) -> bool:
        """Tell whether the whole list was asked for after a moment (monotonic)."""
        return entry == self._entry and self._read.get(kind, 0.0) > moment

    def digest(self, kind: DefinitionKind, name: str) -> str | None:
        """Give the digest of what is served under a pinned name; None for nothing."""
        return self._digests.get(kind, _NOTHING).get(name)

    def condition(self, kind: DefinitionKind) -> Headers:
        """Give the header by which a hosted server takes a request for these alone.

        Nothing for a server at a URL: its `ETag`, if any, says nothing of definitions.
        """
        edition = self._editions.get(kind, b"")
        return header_block((b"If-Match", edition)) if edition else b""

    def learn(
        self,
        kind: DefinitionKind,
        entry: str,
        digests: Mapping[str, str],
        *,
        asked: float,
        whole: bool,
        deviating: Collection[str] | None = None,
        edition: bytes = b"",
    ) -> None:
        """Take what a list showed that was asked for at a moment.

        One page of several says nothing of the names that are not on it. `deviating` are
        names in a client's list that are not as approved; None for a reading of our own,
        which takes nothing of that back: a server can tell the two apart. `edition`: of a
        hosted server, see `condition`.
        """
        if entry != self._entry:
            self._entry, self._digests, self._read, self._shown = entry, {}, {}, {}
        if asked < self._read.get(kind, 0.0):
            return
        shown = self._shown.get(kind, _NOTHING)
        if deviating is None:
            digests = {**digests, **shown}
        elif shown or deviating:
            others = {it: shown[it] for it in shown if it not in digests}
            fresh = {it: digests[it] for it in deviating if it in digests}
            self._shown[kind] = others | fresh
        if whole:
            self._digests[kind] = dict(digests)
            self._read[kind] = asked
            self._editions[kind] = edition
        else:
            self._digests.setdefault(kind, {}).update(digests)


_NOTHING: Mapping[str, str] = {}


class Definitions:
    """All that is known of what one connector's server serves, in one process."""

    def __init__(self) -> None:
        self._known = Known()
        self._views: OrderedDict[Key, View] = OrderedDict()
        self._changed: dict[DefinitionKind, float] = {}
        self._told: tuple[str, dict[Reason, set[tuple[str, str, str]]]] = ("", {})

    def view(self, key: Key) -> View:
        """Give the view of those who are shown the same."""
        view = self._views.get(key)
        if view is None:
            if len(self._views) >= MAX_VIEWS:
                self._views.popitem(last=False)
            view = self._views[key] = View()
        return view

    def is_known(self, view: View, kind: DefinitionKind, entry: str) -> bool:
        """Tell whether a view says what is served now."""
        moment = monotonic() - FRESH_SECONDS
        if kind in self._changed:
            moment = max(moment, self._changed[kind])
        return view.read_since(kind, entry, moment)

    def said_to_change(self, method: str) -> None:
        """Take a notification; what a server says to have changed is not known any more."""
        kind = CHANGED.get(method)
        if kind is not None:
            self.forget(kind)

    def forget(self, kind: DefinitionKind) -> None:
        """Know no list of a kind any more."""
        self._changed[kind] = monotonic()

    async def digests(
        self,
        kind: DefinitionKind,
        gate: Gate,
        names: Sequence[str],
        items: Sequence[Raw],
    ) -> dict[str, str]:
        """Hash the definitions of a list whose names are pinned.

        Others cannot be approved whatever they say, so that a server which lists ever new
        ones costs nothing.
        """
        pinned = gate.pins.get(kind, {})
        found: dict[str, str] = {}
        hashed = 0
        for name, item in zip(names, items, strict=True):
            if name not in pinned:
                continue
            if name in found:
                found[name] = UNPINNABLE
                continue
            if hashed > TURN_BYTES:
                hashed = 0
                await next_turn()
            hashed += len(memoryview(item))
            found[name] = self._known.digests_of((item,), kind).get(name) or UNPINNABLE
        return found

    def is_news(self, gate: Gate, reason: Reason, what: tuple[str, str, str]) -> bool:
        """Tell whether a deviation was not told yet for this entry, and note that it is."""
        entry, told = self._told
        if entry != gate.entry:
            self._told = gate.entry, (told := {})
        known = told.setdefault(reason, set())
        if what in known or len(known) >= MAX_TOLD:
            return False
        known.add(what)
        return True


class Watch(Struct, frozen=True):
    """One request whose answer is compared with what was approved."""

    connector: str
    gate: Gate
    definitions: Definitions
    view: View
    journal: Deviations
    asked: float = field(default_factory=monotonic)
    """When what is compared was asked for, at the latest (monotonic)."""
    texts: DriftedTexts | None = None
    """Who reads what was not approved; None where nobody does."""

    async def approved(
        self,
        kind: DefinitionKind,
        names: Sequence[str],
        items: Sequence[Raw],
        *,
        whole: bool,
        edition: bytes = b"",
    ) -> set[str]:
        """Learn from a list that passes; give the names that may stay in it.

        All may where the mode does not enforce.
        """
        digests = await self.definitions.digests(kind, self.gate, names, items)
        found = {it: self.gate.compare(kind, it, digests.get(it)) for it in names}
        deviating = {name for name, reason in found.items() if reason is not None}
        self.view.learn(
            kind,
            self.gate.entry,
            digests,
            asked=self.asked,
            whole=whole,
            deviating=deviating,
            edition=edition,
        )
        for name, item in zip(names, items, strict=True):
            if (reason := found[name]) is not None:
                self._tell(kind, name, reason, digests.get(name, UNPINNABLE), item)
        if not self.gate.enforces:
            return set(names)
        return found.keys() - deviating

    def greeting(self, fields: dict[str, Raw]) -> None:
        """Compare who a server says it is, in the result of its first request.

        Instructions that nobody approved are taken out where the mode enforces: they are
        for models to follow. A changed identity is recorded.
        """
        said = fields.get("instructions")
        if said is not None and (have := _digest_of_text(said)) not in (
            self.gate.instructions
        ):
            self._tell("instructions", "", Reason.DEFINITION_DRIFTED, have, said)
            if self.gate.enforces:
                del fields["instructions"]
        have = _digest_of_server(fields)
        if have not in self.gate.server:
            info = fields.get("serverInfo", Raw(b"null"))
            self._tell("server", "", Reason.DEFINITION_DRIFTED, have, info)

    def _tell(self, kind: Kind, name: str, reason: Reason, have: str, raw: Raw) -> None:
        if not self.definitions.is_news(self.gate, reason, (kind, name, have)):
            return
        self.journal.deviates(self.connector, kind, name, reason, have, self.gate.mode)
        if self.texts is not None:
            own = self.gate.pins.get("tools", {})
            tell = partial(self._suspect, kind, name)
            self.texts.read(kind, name, bytes(raw), own, tell)
        if self.gate.mode != "observe":
            log.warning(
                "connector `%s`: %s %s: `bascule diff %s` shows what was approved",
                self.connector,
                f"{kind} {name[:100]!r}" if name else f"its {kind}",
                reason.value.replace("_", " "),
                self.connector,
            )

    def _suspect(self, kind: Kind, name: str, found: Judged) -> None:
        self.journal.suspects(self.connector, kind, name, found)
        told = visible(found.told())
        log.warning("connector `%s` serves what nobody approved: %s", self.connector, told)


def _digest_of_text(raw: Raw) -> str:
    try:
        return instructions_digest(_text.decode(raw))
    except (msgspec.DecodeError, LockError):
        return UNPINNABLE


def _digest_of_server(fields: Mapping[str, Raw]) -> str:
    try:
        said = {
            it: msgspec.json.decode(fields[it]) for it in _SAID_BY_SERVER if it in fields
        }
        return server_digest(said)
    except (msgspec.DecodeError, RecursionError, LockError):
        return UNPINNABLE
