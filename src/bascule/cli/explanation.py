"""An explanation of a decision, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click
import msgspec
from msgspec import Struct

from bascule.cli.output import cell
from bascule.decision.explain import Asked, Explanation, reason_of
from bascule.decision.facts import Allowed, Decision, Denied, Maybe

if TYPE_CHECKING:
    from bascule.app.recorded import Recorded

_MOST_NEARLY = 8
"""Policies that are named of one question; how many more there are is said."""
_ANSWERS: Mapping[str, str] = {
    "yes": "yes",
    "no": "no, nothing permits it",
    "forbidden": "no, it is forbidden",
    "depends": "that depends on the call",
    "with_approval": "yes, once somebody approves the call",
    "failed": "no, a policy failed",
}
_COLOURS: Mapping[str, str] = {"allow": "green", "deny": "red", "maybe": "yellow"}


class Decided(Struct):
    """What `bascule decide` prints."""

    decision: str
    reason: str
    policies: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    record: int | None = None
    """Place in the log of the decision that was looked up."""

    @property
    def line(self) -> str:
        """Say it on one line."""
        head = f"{self.decision}: {self.reason}"
        return cell(" ".join((head, *self.policies, *self.scopes)))


def decided(decision: Decision) -> Decided:
    """Give a decision as it is printed."""
    reason, policies = reason_of(decision), decision.policies
    match decision:
        case Allowed():
            return Decided("allow", reason, policies)
        case Maybe():
            return Decided("maybe", reason, policies)
        case Denied(scopes=scopes):
            return Decided("deny", reason, policies, scopes)


def as_json(found: Explanation) -> dict[str, Any]:
    """Give an explanation as others parse it."""
    told = decided(found.decision)
    return {
        "decision": told.decision,
        "reason": told.reason,
        "policies": told.policies,
        "scopes": told.scopes,
        "summary": found.summary,
        "asked": msgspec.to_builtins(found.asked),
        "missing": found.missing,
    }


def page(found: Explanation) -> str:
    """Say it to people: the decision, each question, and what is missing."""
    told = decided(found.decision)
    colour = _COLOURS[told.decision]
    return "\n".join((click.style(told.line, fg=colour), *map(cell, lines(found))))


def lines(found: Explanation) -> Iterator[str]:
    """Say why: the reason in words, each question, and what is missing."""
    yield found.summary
    for asked in found.asked:
        yield from _question(asked)
    if found.missing:
        yield f"missing: {'; '.join(found.missing)}"


def _question(asked: Asked) -> Iterator[str]:
    by = f": {', '.join(asked.policies)}" if asked.policies else ""
    yield f"  {asked.who}: {_ANSWERS[asked.answer]}{by}"
    for it in asked.nearly[:_MOST_NEARLY]:
        yield f"      nearly {it.policy}: {it.missing}"
    more = len(asked.nearly) - _MOST_NEARLY
    if more > 0:
        yield f"      and {more} more"


def record_json(recorded: Recorded) -> dict[str, Any]:
    """Give what was decided when the call was made."""
    return {
        "seq": recorded.seq,
        "decision": "allow" if recorded.outcome == "allow" else "deny",
        "reason": recorded.reason,
        "policies": recorded.policies,
        "missing": recorded.missing,
    }


def record_line(recorded: Recorded) -> str:
    """Say what was decided then, and what is not known of it now."""
    told = record_json(recorded)
    head = f"record {recorded.seq}: {told['decision']}: {recorded.reason}"
    unknown = [recorded.missing] if recorded.missing else []
    if recorded.facts.arguments is None:
        unknown.append("the values of its arguments were not kept")
    note = f" ({'; '.join(unknown)})" if unknown else ""
    return cell(f"{' '.join((head, *recorded.policies))}{note}; by what is in force now:")
