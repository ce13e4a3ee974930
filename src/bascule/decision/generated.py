"""Policies that are made from entries, in Cedar's JSON policy format: never pasted text."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Literal

from bascule.clock import UnixTime
from bascule.decision.entries import RESERVED, Entry, ToolsetName
from bascule.decision.model import ACT_ALONE, TYPES, Uid, uid, uid_json
from bascule.decision.policy import Est, Policy, policy_of

USE: Est = {"op": "in", "entity": uid_json(uid("Action", "use"))}
ALONE: Est = {"op": "==", "entity": uid_json(uid("Action", ACT_ALONE))}


def head_is(kind: str, within: Uid) -> Est:
    """Constrain to entities of a kind that are in another."""
    return {"op": "is", "entity_type": f"Mcp::{kind}", "in": {"entity": uid_json(within)}}


def head_eq(kind: str, name: str) -> Est:
    """Constrain to one entity."""
    return {"op": "==", "entity": uid_json(uid(kind, name))}


def before(moment: UnixTime) -> Est:
    """Say that a call is made before a moment."""
    when = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    literal = {"datetime": [{"Value": when.isoformat().replace("+00:00", "Z")}]}
    return {"<": {"left": _context("now"), "right": literal}}


def through(agent: str) -> Est:
    """Say that a call is made through one agent."""
    literal = {"Value": {"__entity": uid_json(uid("Agent", agent))}}
    return {"==": {"left": _context("agent"), "right": literal}}


def _context(attribute: str) -> Est:
    return {".": {"left": {"Var": "context"}, "attr": attribute}}


def permit(
    label: str, who: Est, action: Est, entry: Entry | ToolsetName | None, *when: Est
) -> Policy:
    """Write a permit with `label` as its `@id`; no entry permits everything."""
    return _policy("permit", label, who, action, entry, when)


def forbid(
    label: str,
    who: Est,
    action: Est,
    entry: Entry | ToolsetName | None,
    *when: Est,
    obligation: str | None = None,
) -> Policy:
    """Write a forbid; with an `obligation` it is lifted where that is met."""
    return _policy("forbid", label, who, action, entry, when, obligation)


def _policy(
    effect: Literal["permit", "forbid"],
    label: str,
    who: Est,
    action: Est,
    entry: Entry | ToolsetName | None,
    when: Sequence[Est],
    obligation: str | None = None,
) -> Policy:
    """Write a policy; `when` are bodies of conditions besides the entry."""
    glob = entry if isinstance(entry, Entry) and entry.kind and entry.is_glob else None
    annotations = {"id": label}
    if obligation is not None:
        annotations["obligation"] = obligation
    est = {
        "effect": effect,
        "principal": who,
        "action": action,
        "resource": {"op": "All"} if entry is None else _resource(entry),
        "conditions": [
            *([] if glob is None else _conditions(glob)),
            *({"kind": "when", "body": body} for body in when),
        ],
        "annotations": annotations,
    }
    return policy_of(label, est, glob, beside_glob=when)


def _resource(entry: Entry | ToolsetName) -> Est:
    if isinstance(entry, ToolsetName):
        return {"op": "in", "entity": uid_json(uid("Toolset", entry.text))}
    server = uid("Server", entry.connector)
    if entry.kind is None:
        return {"op": "in", "entity": uid_json(server)}
    if entry.is_glob:
        return head_is(TYPES[entry.kind], server)
    return head_eq(TYPES[entry.kind], f"{entry.connector}/{entry.pattern}")


def _conditions(glob: Entry) -> list[Est]:
    attribute = "uri" if glob.kind == "resource" else "name"
    conditions = [{"kind": "when", "body": _like(attribute, glob.pattern)}]
    if glob.kind == "tool":
        conditions += [
            {"kind": "unless", "body": _like("name", f"{prefix}*")} for prefix in RESERVED
        ]
    return conditions


def _like(attribute: str, pattern: str) -> Est:
    pieces: list[Any] = []
    for n, literal in enumerate(pattern.split("*")):
        pieces += ["Wildcard"] if n else []
        pieces += [{"Literal": character} for character in literal]
    left = {".": {"left": {"Var": "resource"}, "attr": attribute}}
    return {"like": {"left": left, "pattern": pieces}}
