"""`[call_approvals]`, as policies that forbid calls until they are approved.

    approval:RULE/ENTRY         each call of what the entry covers
    approval:RULE/destructive   each call of a tool that is destructive

They speak of tokens alone: a token is asked about in every call, once.
"""

from __future__ import annotations

from collections.abc import Iterator

from bascule.config.model import CallApprovalRule, Config
from bascule.decision.compile import Compiled, entries
from bascule.decision.entries import Entry, ToolsetName
from bascule.decision.generated import forbid
from bascule.decision.model import USE_ACTIONS, uid, uid_json
from bascule.decision.policy import Est

_TOKENS: Est = {"op": "is", "entity_type": "Mcp::Token"}
_CALLS: Est = {"op": "==", "entity": uid_json(uid("Action", USE_ACTIONS["tool"]))}
_IS_DESTRUCTIVE: Est = {".": {"left": {"Var": "resource"}, "attr": "destructive"}}


def compile_call_approvals(config: Config, compiled: Compiled) -> None:
    """Add the policies of the table, and what is wrong with it."""
    for name, rule in config.call_approvals.items():
        obligation, label = f"approve:{name}", f"approval:{name}"
        where = ("call_approvals", name, "tools")
        for place, entry in entries(config, where, rule.tools, compiled):
            if not _may_be_tool(entry):
                compiled.error(place, f"`{entry.text}` is no tool; only calls are approved")
                continue
            policy = forbid(
                f"{label}/{entry.text}", _TOKENS, _CALLS, entry, obligation=obligation
            )
            compiled.add(policy, place)
        if rule.destructive:
            policy = forbid(
                f"{label}/destructive",
                _TOKENS,
                _CALLS,
                None,
                _IS_DESTRUCTIVE,
                obligation=obligation,
            )
            compiled.add(policy, ("call_approvals", name, "destructive"))


def _may_be_tool(entry: Entry | ToolsetName) -> bool:
    return isinstance(entry, ToolsetName) or entry.kind in {None, "tool"}


def loosened(before: Config, after: Config) -> Iterator[str]:
    """Say which calls are easier to have approved than before, or need it no more."""
    for name, old in before.call_approvals.items():
        new = after.call_approvals.get(name, CallApprovalRule())
        covered = set(_expanded(after, new))
        for entry in _expanded(before, old):
            if entry not in covered:
                yield f"rule `{name}` asks for no approval of `{entry}`"
        if old.destructive and not new.destructive:
            yield f"rule `{name}` asks for no approval of destructive tools"
        if new.quorum < old.quorum:
            yield f"rule `{name}` is content with {new.quorum} of {old.quorum} approvals"
        if new.self_approval and not old.self_approval:
            yield f"rule `{name}` lets users approve their own calls"
        there = name in after.call_approvals
        if there and _is_for_admins(new) and not _is_for_admins(old):
            yield f"administrators may approve calls by rule `{name}`"
        for who in new.approvers:
            if who not in old.approvers:
                yield f"`{who}` may approve calls by rule `{name}`"


def _is_for_admins(rule: CallApprovalRule) -> bool:
    return not rule.approvers and not rule.self_approval


def _expanded(config: Config, rule: CallApprovalRule) -> Iterator[str]:
    """Give a rule's entries with toolsets replaced by their members."""
    for entry in rule.tools:
        yield from config.toolsets.get(entry, (entry,))
