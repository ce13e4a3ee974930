"""`bascule policy explain`: which policies decided a call, and which nearly did."""

from __future__ import annotations

from dataclasses import replace as replaced
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.cli.context import CommandContext
from bascule.cli.output import emit

if TYPE_CHECKING:
    from bascule.app.recorded import Recorded
    from bascule.decision.entries import TargetKind

DENIED = 1
"""Exit code."""


@click.command()
@click.argument(
    "facts", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--code", help="The call of a record: the code of a refusal, or its place.")
@click.option("--user", help="Who; without it the agent acts by itself.")
@click.option("--group", "groups", multiple=True, help="Of the user; else the account's.")
@click.option("--agent", default="bascule-cli", help="Client id.", show_default=True)
@click.option("--scope", "scopes", multiple=True, help="Of the token; else the built-in.")
@click.option("--tool", metavar="CONNECTOR/NAME")
@click.option("--prompt", metavar="CONNECTOR/NAME")
@click.option("--resource", metavar="CONNECTOR/URI")
@click.option("--arguments", metavar="JSON", help="Of the call; else they are not known.")
@click.option("--touched", multiple=True, metavar="LABEL", help="Touched before.")
@click.option("--at", metavar="TIME", help="When, as 2026-11-24T10:00:00Z; else now.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def explain(
    ctx: click.Context,
    facts: Path | None,
    code: str | None,
    user: str | None,
    groups: tuple[str, ...],
    agent: str,
    scopes: tuple[str, ...],
    tool: str | None,
    prompt: str | None,
    resource: str | None,
    arguments: str | None,
    touched: tuple[str, ...],
    at: str | None,
    *,
    as_json: bool,
) -> None:
    """Decide the call that FACTS or the options describe, and say why; exit 1 when denied.

    For the user, the agent and the token: the policies that decide, and those that miss one
    thing, with what that is. A recorded call is decided anew by the policies in force now.
    """
    from bascule.cli import explanation
    from bascule.cli.facts import CallOptions, as_served, facts_of_options, read_facts
    from bascule.decision.explain import explain as explain_call

    context: CommandContext = ctx.obj
    given: dict[TargetKind, str | None] = {
        "tool": tool,
        "prompt": prompt,
        "resource": resource,
    }
    named = [(kind, use) for kind, use in given.items() if use is not None]
    if len(named) + (facts is not None) + (code is not None) != 1:
        ways = "FACTS, --tool, --prompt, --resource or --code"
        raise click.UsageError(f"give {ways}, one of them")
    recorded = None if code is None else _recorded(context, code)
    if recorded is not None:
        asked = recorded.facts
    elif facts is not None:
        asked = read_facts(facts)
    else:
        ((kind, use),) = named
        options = CallOptions(
            user, groups, agent, scopes, kind, use, arguments, touched, at
        )
        asked = facts_of_options(context, options)
    config = context.config()
    snapshot = context.snapshot(config)
    # Arguments that were kept of a call of somebody else count, and are not shown.
    served, mine = as_served(asked, snapshot), recorded is None
    found = explain_call(served, snapshot, config, values=mine)
    told, page = explanation.as_json(found), explanation.page(found)
    if recorded is not None:
        told["record"] = explanation.record_json(recorded)
        page = f"{explanation.record_line(recorded)}\n{page}"
    emit(told, text=page, as_json=as_json)
    ctx.exit(DENIED if told["decision"] == "deny" else 0)


def _recorded(context: CommandContext, code: str) -> Recorded:
    """Read the call of a record, with its arguments where they were kept."""
    from msgspec.structs import replace

    from bascule.app.recorded import kept_arguments, recorded_call
    from bascule.audit.record import decode
    from bascule.cli.audit_records import find_record, log_files
    from bascule.errors import BasculeError

    seq, leaf = find_record(log_files(context), code)
    found = recorded_call(seq, decode(leaf))
    if found is None:
        raise BasculeError(f"record {seq} is of no call that a right is needed for")
    if found.facts.arguments is None:
        arguments = kept_arguments(context.place())(seq)
        return replaced(found, facts=replace(found.facts, arguments=arguments))
    return found
