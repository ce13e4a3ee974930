"""One question again with one thing changed: a leg, held against the one that was answered.

A leg tells something only where the unchanged question, its positive control, had its
answer. What else comes is not attributable: a busy server refuses too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bascule.protocol import legacy
from bascule.scan import eras
from bascule.scan.eras import Outcome
from bascule.scan.event_talk import event_talk
from bascule.scan.exchange import WireError
from bascule.scan.finding import Finding
from bascule.scan.greet import confirms
from bascule.scan.place import Answered
from bascule.scan.probed import Identity
from bascule.scan.report import Gap
from bascule.scan.rule import Rule
from bascule.scan.target import shown
from bascule.scan.wire import Wire

Verdict = list[Finding | Gap]

REFUSED = frozenset({403, 421})
"""Statuses that say: not from there (MCP transports, security; RFC 9110 §15.5.20)."""

NEEDS_TOKEN = "it asks for a token first, and that refusal says nothing of this"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Leg:
    """What came of it."""

    outcome: Literal["accepted", "refused", "unclear"]
    """`refused` only where the answer says so; all else that is no success is unclear."""
    seen: str
    """The answer in words."""
    answered: Answered | None = None


async def greet(wire: Wire, identity: Identity, headers: Mapping[str, str]) -> Leg:
    """Greet again with other headers, and leave no session behind."""
    try:
        if _is_stream(identity):
            return await _open_stream(wire, identity, headers)
        question = identity.greeting.with_headers(headers)
        outcome = await eras.ask(wire, identity.place, question)
        if outcome.result is not None and question.method == legacy.INITIALIZE:
            session = eras.session_headers(outcome)
            await eras.end_session(wire, identity.place, identity.path, session)
    except WireError as exc:
        return Leg("unclear", f"no answer: {exc}")
    era = identity.era
    return leg_of(outcome, accepted=era is not None and confirms(era, outcome))


def leg_of(outcome: Outcome, *, accepted: bool, refusals: frozenset[int] = REFUSED) -> Leg:
    """Read an answer; that it is a success is for who asked to tell."""
    code = "" if outcome.code is None else f" with error {outcome.code}"
    seen = f"status {outcome.answered.status}{code}"
    if accepted:
        return Leg("accepted", seen, outcome.answered)
    refused = outcome.answered.status in refusals
    return Leg("refused" if refused else "unclear", seen, outcome.answered)


def _is_stream(identity: Identity) -> bool:
    """Tell whether it is a stream of 2024-11-05 that answered, or was refused."""
    tried = identity.greeting.params.get("protocolVersion")
    return identity.era == "sse" or (identity.era is None and tried == "2024-11-05")


async def _open_stream(wire: Wire, identity: Identity, headers: Mapping[str, str]) -> Leg:
    """Open the stream of 2024-11-05 and wait until it names where messages go."""
    async with event_talk(wire, identity.place, identity.path, headers) as talk:
        return leg_of(Outcome(talk.head), accepted=bool(talk.endpoint))


def had_answer(identity: Identity) -> bool:
    """Tell whether the greeting had its answer as it was: the positive control."""
    return identity.era is not None


async def answers_as_before(wire: Wire, identity: Identity) -> bool:
    """Ask the unchanged question again: only then refusals are about what was changed."""
    leg = await greet(wire, identity, {})
    if had_answer(identity):
        return leg.outcome == "accepted"
    return leg.answered is not None and leg.answered.status == identity.baseline.status


def named(identity: Identity) -> str:
    """Give how reports call the server: its URL, without what may be a key in it."""
    return shown(identity.url)


def gap(identity: Identity, rule: Rule, why: str, *, what: str = "") -> Gap:
    """Say that a rule was not judged, or what of it."""
    return Gap(target=named(identity), what=what or rule.id, why=why)
