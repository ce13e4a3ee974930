"""What the details of a token leave of a right: one more line of the conjunction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from bascule.decision.entries import TargetKind, glob_matches
from bascule.decision.facts import Allowed, Decision, Denied, Maybe, Reason
from bascule.identity.authorization_details import Details, ToolCalls, canonical


def narrowed(
    decision: Decision,
    details: Details | None,
    kind: TargetKind,
    name: str,
    arguments: Mapping[str, Any] | None,
    scopes: Iterable[str],
) -> Decision:
    """Leave of a decision what the token's details cover (RFC 9396).

    `arguments`: as they would go upstream; None when they are not known. Only a decision
    that would allow is changed, so that a refusal by rights comes first.
    """
    if details is None or isinstance(decision, Denied):
        return decision
    meant = [it for it in details if kind == "tool" and _names(it, name)]
    if any(not it.constraints for it in meant):
        return decision
    if meant and arguments is None:
        if isinstance(decision, Allowed):
            return Maybe(decision.policies, finding=decision.finding)
        return replace(decision, proved=False, always=False)
    if arguments is not None and any(_fits(it, arguments) for it in meant):
        return decision
    return Denied(
        Reason.BEYOND_DETAILS,
        scopes=tuple(sorted(set(scopes))),
        unsettled=isinstance(decision, Maybe),
    )


def _names(calls: ToolCalls, name: str) -> bool:
    return any(glob_matches(pattern, name) for pattern in calls.tools)


def _fits(calls: ToolCalls, arguments: Mapping[str, Any]) -> bool:
    """Whether each argument is there and equal: numbers by value, texts by letters."""
    return all(
        name in arguments and canonical(arguments[name]) == text
        for name, text in calls.constraints
    )
