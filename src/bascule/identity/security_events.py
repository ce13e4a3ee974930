"""Security events: what a provider tells of its users (RFC 8417, CAEP 1.0, RISC 1.0)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bascule.config.event_names import CAEP, OAUTH, RISC
from bascule.config.providers import Signals
from bascule.identity.notice import InvalidNoticeError, Notice
from bascule.identity.subject_identifier import Subject, subjects_of

TYPES = frozenset({"secevent+jwt"})
MAX_AGE_SECONDS = 7 * 86400
"""Transmitters try for days; so long is each `jti` remembered."""
MAX_EVENTS = 10
MAX_URI_CHARACTERS = 255

Effect = Literal["revoke", "ignore"]
_Holds = Callable[[Mapping[str, Any]], bool]


def _always(_: Mapping[str, Any]) -> bool:
    return True


def _unless(member: str, value: str) -> _Holds:
    """Make the condition that a member has another value: a missing one counts too."""
    return lambda event: event.get(member) != value


SESSION_REVOKED = f"{CAEP}session-revoked"
REVOKING: Mapping[str, _Holds] = {
    SESSION_REVOKED: _always,
    f"{CAEP}token-claims-change": _always,
    f"{CAEP}credential-change": _unless("change_type", "create"),
    f"{CAEP}assurance-level-change": _unless("change_direction", "increase"),
    f"{CAEP}device-compliance-change": _unless("current_status", "compliant"),
    f"{CAEP}risk-level-change": _unless("current_level", "LOW"),
    f"{RISC}account-credential-change-required": _always,
    f"{RISC}account-disabled": _always,
    f"{RISC}account-purged": _always,
    f"{RISC}credential-compromise": _always,
    f"{RISC}sessions-revoked": _always,
    f"{OAUTH}tokens-revoked": _always,
}
"""Events that end what was issued for whom they name, and when they do."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a token, and what it does here."""

    type: str
    """Its URI."""
    effect: Effect
    subjects: tuple[Subject, ...] = ()
    """Whom it names; somebody when it revokes."""


def events_of(notice: Notice, signals: Signals) -> list[Event]:
    """Read the events of a token. Raises `InvalidNoticeError`.

    An event that revokes and names nobody who is understood makes the whole token invalid:
    what cannot be done must not be confirmed.
    """
    found = notice.claims.get("events")
    if not isinstance(found, dict) or not 0 < len(found) <= MAX_EVENTS:
        raise InvalidNoticeError("it has no events, or too many")
    return [_event(uri, event, notice, signals) for uri, event in found.items()]


def _event(uri: str, event: object, notice: Notice, signals: Signals) -> Event:
    if not isinstance(event, dict):
        raise InvalidNoticeError("its events are no objects")
    if len(uri) > MAX_URI_CHARACTERS or not uri.isprintable():
        raise InvalidNoticeError("the name of an event is unusable")
    effect = _effect(uri, event, signals)
    if effect == "ignore":
        return Event(uri, effect)
    named = notice.claims.get("sub_id", event.get("subject"))
    subjects = subjects_of(named, notice)
    if uri != SESSION_REVOKED and all(it.kind == "session" for it in subjects):
        raise InvalidNoticeError("it is about a user and names a session alone")
    return Event(uri, effect, subjects)


def _effect(uri: str, event: Mapping[str, Any], signals: Signals) -> Effect:
    """Give what an event does: as configured, or as usual."""
    for name in (uri, uri.rpartition("/")[2]):
        if name in signals.events:
            return signals.events[name]
    holds = REVOKING.get(uri)
    return "revoke" if holds is not None and holds(event) else "ignore"
