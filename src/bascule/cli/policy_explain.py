"""`bascule policy explain`: which policies decided a call, and which nearly did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.cli.context import CommandContext
from bascule.cli.output import emit

if TYPE_CHECKING:
    from bascule.decision.entries import TargetKind

DENIED = 1
"""Exit code."""


@click.command()
@click.argument(
    "facts", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--user", help="Who; without it the agent acts by itself.")
@click.option("--group", "groups", multiple=True, help="Of the user; else the account's.")
@click.option("--agent", default="bascule-cli", help="Client id.", show_default=True)
@click.option("--scope", "scopes", multiple=True, help="Of the token; else the built-in.")
@click.option("--tool", metavar="CONNECTOR/NAME")
@click.option("--prompt", metavar="CONNECTOR/NAME")
@click.option("--resource", metavar="CONNECTOR/URI")
@click.option("--arguments", metavar="JSON", help="Of the call; else they are not known.")
@click.option("--at", metavar="TIME", help="When, as 2026-11-24T10:00:00Z; else now.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def explain(
    ctx: click.Context,
    facts: Path | None,
    user: str | None,
    groups: tuple[str, ...],
    agent: str,
    scopes: tuple[str, ...],
    tool: str | None,
    prompt: str | None,
    resource: str | None,
    arguments: str | None,
    at: str | None,
    *,
    as_json: bool,
) -> None:
    """Decide the call that FACTS or the options describe, and say why; exit 1 when denied.

    For the user, the agent and the token: the policies that decide, and those that miss one
    thing, with what that is.
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
    if len(named) + (facts is not None) != 1:
        raise click.UsageError("give FACTS, --tool, --prompt or --resource, one of them")
    if facts is not None:
        asked = read_facts(facts)
    else:
        ((kind, use),) = named
        options = CallOptions(user, groups, agent, scopes, kind, use, arguments, at)
        asked = facts_of_options(context, options)
    config = context.config()
    snapshot = context.snapshot(config)
    found = explain_call(as_served(asked, snapshot), snapshot, config)
    told = explanation.as_json(found)
    emit(told, text=explanation.page(found), as_json=as_json)
    ctx.exit(DENIED if told["decision"] == "deny" else 0)
