"""`bascule posture`: which controls of the five promises are met."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click
import msgspec

from bascule.cli.context import CommandContext
from bascule.cli.output import cell, emit
from bascule.errors import BasculeError

if TYPE_CHECKING:
    from bascule.app.posture import Control, State
    from bascule.config.model import Config

NOT_MET = 1
"""Exit code: a control is not met."""
_MOST_NAMED = 20
"""Sentences for one control on a terminal; `--json` has all."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def posture(ctx: click.Context, *, as_json: bool) -> None:
    """Say of each promise which controls are met; exit 1 when one is not.

    What no probe of this version looks at is `not_assessed`, and never met.
    """
    from bascule.app.posture import Promise, controls

    context: CommandContext = ctx.obj
    config = context.config()
    found = list(controls(config, context.snapshot(config), _tests(context, config)))
    promises = [
        {
            "promise": promise,
            "controls": [
                {k: v for k, v in msgspec.to_builtins(it).items() if k != "promise"}
                for it in found
                if it.promise == promise
            ],
        }
        for promise in get_args(Promise)
    ]
    ok = not any(it.state == "not_met" for it in found)
    text = "\n".join(line for it in found for line in _lines(it))
    emit({"ok": ok, "level": None, "promises": promises}, text=text, as_json=as_json)
    ctx.exit(0 if ok else NOT_MET)


def _tests(context: CommandContext, config: Config) -> tuple[State, str]:
    from bascule.app.policy_tests import case_files, run_tests
    from bascule.clock import system_clock

    path = context.config_path
    cases = case_files(path)
    if not cases:
        return "not_met", "there are no cases in `policies/tests`"
    try:
        tried = run_tests(path, config, context.policy_files(), cases, now=system_clock())
    except BasculeError as exc:
        return "not_met", str(exc)
    failed = len(tried.problems) + sum(not it.ok for it in tried.outcomes)
    return ("met", "") if tried.ok else ("not_met", f"{failed} cases come out otherwise")


def _lines(it: Control) -> list[str]:
    said = [f"{it.state:<12}  {it.promise:<8}  {cell(it.title)}"]
    said += [f"    {cell(sentence)}" for sentence in it.evidence[:_MOST_NAMED]]
    more = len(it.evidence) - _MOST_NAMED
    said += [f"    and {more} more"] if more > 0 else []
    return said + ([f"    -> {it.fix}"] if it.fix else [])
