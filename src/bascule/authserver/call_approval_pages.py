"""What the pages about calls that wait show, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.config.model import CallApprovalRule
from bascule.lock.invisible import visible
from bascule.storage.call_approvals import CallApproval
from bascule.storage.call_votes import REQUESTER
from bascule.web.arguments import Arguments, readable
from bascule.web.times import second


@dataclass(frozen=True, slots=True)
class CallApprovalRow:
    """One call in a list."""

    id: str
    who: str
    what: str
    until: str
    by_me: bool
    """The agent of who looks asks for it."""


@dataclass(frozen=True, slots=True)
class CallApprovalsPage:
    """`call_approvals.html`."""

    name: str
    rows: tuple[CallApprovalRow, ...]


@dataclass(frozen=True, slots=True)
class CallApprovalPage:
    """`call_approval.html`."""

    id: str
    title: str
    advice: str
    """What has become of it, or what who looks can do."""
    name: str
    """Who looks."""
    user: str
    """For whom the agent calls; empty when it acts by itself."""
    agent: str
    connector: str
    tool: str
    asked: str
    until: str
    """Empty once it is decided."""
    consents: tuple[str, ...]
    """What each rule has of what it needs."""
    arguments: Arguments | None
    """None where they are not needed any more."""
    digest: str
    may_approve: bool
    may_deny: bool
    by_me: bool


def approval_row(approval: CallApproval, *, by_me: bool) -> CallApprovalRow:
    """Describe a call in a list."""
    asked = approval.request
    return CallApprovalRow(
        id=approval.id,
        who=_who(approval),
        what=visible(f"{asked.connector}/{asked.tool}"),
        until=second(approval.expires_at),
        by_me=by_me,
    )


def approval_page(
    approval: CallApproval,
    arguments: Mapping[str, Any],
    *,
    user: str,
    may_decide: bool,
    asked: bool,
    rules: Mapping[str, CallApprovalRule],
    outdated: bool,
) -> CallApprovalPage:
    """Say how a call stands, and what `user` can do about it.

    `outdated`: it was asked under other rules than those in force.
    """
    pending = approval.state == "pending"
    has_spoken = any(it.approver == user for it in approval.votes)
    may_approve = pending and may_decide and not has_spoken and not outdated
    request = approval.request
    title, advice = _words(approval, rules, may_approve, has_spoken, outdated)
    return CallApprovalPage(
        id=approval.id,
        title=title,
        advice=advice,
        name=user.removeprefix("user:"),
        user=visible((request.user or "").removeprefix("user:")),
        agent=visible(request.agent),
        connector=visible(request.connector),
        tool=visible(request.tool),
        asked=second(approval.asked_at),
        until=second(approval.expires_at) if pending else "",
        consents=_consents(approval, rules) if pending else (),
        arguments=readable(arguments) if pending else None,
        digest=request.arguments_digest,
        may_approve=may_approve,
        may_deny=pending and (may_decide or asked) and not has_spoken,
        by_me=asked,
    )


def decision_record(approval: CallApproval, rules: frozenset[str]) -> dict[str, str]:
    """Say what a decision was about, as the log keeps it: no values of arguments."""
    asked = approval.request
    return {
        "approval": approval.id,
        "for": asked.user or "",
        "tool": asked.tool,
        "arguments": asked.arguments_digest,
        "definition": asked.definition,
        "binding": asked.binding,
        "rules": " ".join(sorted(rules)),
    }


def _who(approval: CallApproval) -> str:
    asked = approval.request
    by = "by itself" if asked.user is None else f"for {asked.user.removeprefix('user:')}"
    return visible(f"{asked.agent} {by}")


def _words(
    approval: CallApproval,
    rules: Mapping[str, CallApprovalRule],
    may_approve: bool,
    has_spoken: bool,
    outdated: bool,
) -> tuple[str, str]:
    """Give title and advice."""
    what = visible(approval.request.tool)
    match approval.state:
        case "pending" if may_approve:
            return (
                f"Approve this call of {what}?",
                "An agent waits. What you approve is this one call, once, with exactly the "
                "arguments below.",
            )
        case "pending" if outdated:
            return (
                "The rules have changed since",
                "The agent has to ask again, under the rules that are in force now.",
            )
        case "pending" if has_spoken:
            return "You have approved it", "It waits for others, who must approve it too."
        case "pending":
            return "Somebody else must decide", _whom_to_ask(approval, rules)
        case "approved":
            return (
                "This call is approved",
                f"The agent can make it now, once, until {second(approval.expires_at)}.",
            )
        case "denied":
            return "This call was denied", _denied_by(approval)
        case "used":
            return "This call was made", "It was approved once, and made once."
        case _:
            return (
                "It is too late",
                "Nobody has decided in time, the call was not made in time, or somebody's "
                "access has ended meanwhile. The agent can ask again.",
            )


def _whom_to_ask(approval: CallApproval, rules: Mapping[str, CallApprovalRule]) -> str:
    known = [rules[it] for it in approval.request.rules if it in rules]
    who = sorted({it for rule in known for it in rule.approvers})
    named = ", ".join(map(visible, who)) or "an administrator of this server"
    return f"Give the address of this page to who may decide: {named}."


def _denied_by(approval: CallApproval) -> str:
    who = next((it.approver for it in approval.votes if it.decision == "deny"), REQUESTER)
    if who == REQUESTER:
        return "The agent has taken it back."
    return f"By {visible(who.removeprefix('user:'))}. The agent will not make it."


def _consents(
    approval: CallApproval, rules: Mapping[str, CallApprovalRule]
) -> tuple[str, ...]:
    """Say for each rule how many have consented, and who."""
    found = []
    for name in approval.request.rules:
        by = [it.approver for it in approval.votes if it.stands and name in it.rules]
        needed = rules[name].quorum if name in rules else "?"
        who = ", ".join(visible(it.removeprefix("user:")) for it in by)
        found.append(f"{name}: {len(by)} of {needed}" + (f" ({who})" if by else ""))
    return tuple(found)
