"""`bascule posture`: which controls of the five promises are met."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click
import msgspec

from bascule.cli.context import CommandContext
from bascule.cli.output import cell, emit
from bascule.cli.progress import Line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bascule.app.posture.assurance import Requirement
    from bascule.app.posture.control import Control

NOT_MET = 1
"""Exit code: a control is not met."""
_MOST_NAMED = 20
"""Sentences for one control on a terminal; `--json` has all."""
_COLOURS = {"met": "green", "not_met": "red", "not_assessed": "yellow"}


@click.command()
@click.option("--scan", is_flag=True, help="Probe every port of this host, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def posture(ctx: click.Context, *, scan: bool, as_json: bool) -> None:
    """Say of each promise which controls are met; exit 1 when one is not.

    Hashes what is locked and what is logged, and asks the server, if it runs, as a client
    would; with --scan, whatever else listens here. What no probe looked at is
    `not_assessed`, and never met. The level is the highest of CoSAI's four that the
    evidence supports.
    """
    from bascule.app.posture.assess import controls
    from bascule.app.posture.assurance import next_steps, requirements, supported
    from bascule.app.posture.control import Promise
    from bascule.cli.posture_probes import gather

    context: CommandContext = ctx.obj
    with Line() as line:
        found = list(controls(gather(context, line, scan=scan)))
    demands, steps = requirements(found), list(next_steps(found))
    level = supported(demands)
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
    value = {
        "ok": ok,
        "level": level,
        "promises": promises,
        "assurance": msgspec.to_builtins(demands),
        "next": steps,
    }
    emit(value, text="\n".join(_text(found, demands, level, steps)), as_json=as_json)
    ctx.exit(0 if ok else NOT_MET)


def _text(
    found: Sequence[Control],
    demands: Sequence[Requirement],
    level: str | None,
    steps: Sequence[str],
) -> Iterator[str]:
    for it in found:
        yield from _lines(it)
    yield ""
    yield f"assurance level that this supports (CoSAI): {level or 'none'}"
    above = next((each.level for each in demands if each.state != "met"), None)
    for demand in demands:
        if demand.level == above and demand.state != "met":
            yield f"    {above} also needs: {demand.requirement} ({demand.state})"
    if steps:
        yield ""
        yield "what to do next:"
        yield from (f"  {number}. {step}" for number, step in enumerate(steps, 1))


def _lines(it: Control) -> Iterator[str]:
    state = click.style(f"{it.state:<12}", fg=_COLOURS[it.state])
    name = f"{it.promise}/{it.id}"
    yield f"{state}  {name:<19}  {cell(it.title)}"
    for sentence in it.evidence[:_MOST_NAMED]:
        yield f"    {cell(sentence)}"
    more = len(it.evidence) - _MOST_NAMED
    if more > 0:
        yield f"    and {more} more"
    if it.fix:
        yield f"    -> {it.fix}"
