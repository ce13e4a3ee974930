"""`bascule approvals`: calls of agents that wait for a human.

Whoever may write the data directory decides here without a login, as the operator that they
are; the log says which account of the operating system it was.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import click

from bascule.app.state import os_user
from bascule.authserver.call_approval_pages import decision_record
from bascule.cli.context import CommandContext
from bascule.cli.output import emit, emit_rows
from bascule.cli.revoke import require_text
from bascule.cli.user import as_json_option
from bascule.clock import system_clock
from bascule.config.call_approval_rules import rules_in_force
from bascule.errors import BasculeError
from bascule.lock.invisible import visible
from bascule.storage import call_approvals
from bascule.storage.call_approvals import CallApproval
from bascule.storage.call_votes import Decision
from bascule.storage.sealed_arguments import arguments_key, bound_arguments
from bascule.web.arguments import readable
from bascule.web.times import second

COLUMNS = ("id", "state", "user", "agent", "connector", "tool", "rules", "expires_at")
reason_option = click.option("--reason", help="Why; goes into the log.")


@click.group(invoke_without_command=True)
@as_json_option
@click.pass_context
def approvals(ctx: click.Context, as_json: bool) -> None:
    """List calls that wait for a human, look at one, and decide.

    Without a command: list what waits.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_approvals, everything=False, as_json=as_json)


@approvals.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Also what is over, for a day.")
@as_json_option
@click.pass_obj
def list_approvals(context: CommandContext, everything: bool, as_json: bool) -> None:
    """List what waits, newest first."""
    read = call_approvals.every if everything else call_approvals.pending
    rows = [_row(it) for it in context.store().read(partial(read, now=system_clock()))]
    if not as_json:
        rows = [{**it, "expires_at": second(it["expires_at"])} for it in rows]
    emit_rows(rows, columns=COLUMNS, as_json=as_json)


@approvals.command()
@click.argument("approval_id", metavar="ID")
@as_json_option
@click.pass_obj
def show(context: CommandContext, approval_id: str, as_json: bool) -> None:
    """Show one call with all its arguments."""
    found = _find(context, approval_id)
    arguments = _arguments(context, found)
    emit(
        {**_row(found), **decision_part(found), "arguments": arguments},
        text="\n".join(_lines(found, arguments)),
        as_json=as_json,
    )


@approvals.command()
@click.argument("approval_id", metavar="ID")
@reason_option
@as_json_option
@click.pass_obj
def approve(
    context: CommandContext, approval_id: str, reason: str | None, as_json: bool
) -> None:
    """Approve one call, once; `approvals show ID` says what it is."""
    found = _pending(context, approval_id)
    arguments = _arguments(context, found)
    if sys.stdin.isatty() and not as_json:
        click.echo("\n".join(_lines(found, arguments)))
        click.confirm("Approve this one call?", abort=True)
    _decide(context, found, "approve", reason, as_json)


@approvals.command()
@click.argument("approval_id", metavar="ID")
@reason_option
@as_json_option
@click.pass_obj
def deny(
    context: CommandContext, approval_id: str, reason: str | None, as_json: bool
) -> None:
    """Deny one call."""
    _decide(context, _pending(context, approval_id), "deny", reason, as_json)


def decision_part(found: CallApproval) -> dict[str, Any]:
    """Give what was said, and what binds it."""
    asked = found.request
    return {
        "arguments_digest": asked.arguments_digest,
        "definition": asked.definition,
        "policy_digest": asked.policy_digest,
        "votes": [
            {"approver": it.approver, "decision": it.decision, "rules": list(it.rules)}
            for it in found.votes
        ],
    }


def _row(found: CallApproval) -> dict[str, Any]:
    asked = found.request
    return {
        "id": found.id,
        "state": found.state,
        "user": asked.user,
        "agent": asked.agent,
        "connector": asked.connector,
        "tool": asked.tool,
        "rules": list(asked.rules),
        "approvers": list(found.approvers),
        "asked_at": found.asked_at,
        "expires_at": found.expires_at,
    }


def _find(context: CommandContext, approval_id: str) -> CallApproval:
    find = partial(call_approvals.find, approval_id=approval_id, now=system_clock())
    found = context.store().read(find) if call_approvals.is_id(approval_id) else None
    if found is None:
        raise BasculeError(
            f"there is no call approval `{visible(approval_id)}`: `bascule approvals` "
            "lists what waits"
        )
    return found


def _pending(context: CommandContext, approval_id: str) -> CallApproval:
    found = _find(context, approval_id)
    if found.state != "pending":
        raise BasculeError(
            f"call approval `{found.id}` waits no more, it is {found.state}: the agent can "
            "ask again"
        )
    return found


def _arguments(context: CommandContext, found: CallApproval) -> dict[str, Any] | None:
    """Give the arguments while they are kept. Raises `SealedArgumentsError`."""
    if found.sealed_arguments is None:
        return None
    return bound_arguments(arguments_key(context.place().sealing_key()), found)


def _decide(
    context: CommandContext,
    found: CallApproval,
    decision: Decision,
    reason: str | None,
    as_json: bool,
) -> None:
    """Record a decision, then let it count. The operator stands in every rule."""
    if reason is not None:
        require_text(reason, "--reason")
    rules = frozenset(found.request.rules)
    # Who denies need not mend a configuration first.
    known = rules_in_force(context.config()) if decision == "approve" else {}
    said = {} if reason is None else {"reason": reason}
    context.record_admin(
        f"call_approval.{decision}",
        {**decision_record(found, rules), **said},
        agent=found.request.agent,
        connector=found.request.connector,
    )
    work = partial(
        call_approvals.vote,
        approval_id=found.id,
        approver=f"os:{os_user()}",
        decision=decision,
        rules=rules,
        quorums={name: known[name].quorum for name in rules if name in known},
        now=system_clock(),
    )
    after = context.store().run(work)
    if after is None:
        raise BasculeError(
            f"call approval `{found.id}` waits no more, or you have decided already"
        )
    waits = "; it waits for others too" if after.state == "pending" else ""
    emit(_row(after), text=f"{after.state} {after.id}{waits}", as_json=as_json)


def _lines(found: CallApproval, arguments: dict[str, Any] | None) -> Iterator[str]:
    """Write one call for people."""
    asked = found.request
    yield f"call       {visible(asked.connector)}/{visible(asked.tool)}"
    yield f"agent      {visible(asked.agent)}"
    yield f"user       {visible(asked.user or '-')}"
    yield f"state      {found.state}, until {second(found.expires_at)}"
    yield f"rules      {' '.join(asked.rules)}"
    for vote in found.votes:
        yield f"{vote.decision:10} {visible(vote.approver)}"
    yield f"digest     {asked.arguments_digest} of the arguments"
    if arguments is None:
        return
    shown = readable(arguments)
    yield f"arguments  {len(shown.values)} values, {shown.characters} characters"
    if shown.hidden:
        yield f"           {shown.hidden} of them cannot be seen, or pass for others"
    for value in shown.values:
        first, *more = value.value.split("\n")
        yield f"  {value.place}: {first}"
        yield from (f"    {line}" for line in more)
