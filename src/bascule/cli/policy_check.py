"""`bascule policy check`: what is wrong with the policies, without starting anything."""

from __future__ import annotations

from pathlib import Path

import click
from msgspec.structs import replace

from bascule.cli.context import CommandContext
from bascule.cli.github import annotation, as_github_option
from bascule.cli.output import cell, emit
from bascule.decision.lines import toml_line
from bascule.decision.lints import lints
from bascule.decision.problems import Problem
from bascule.decision.reach import unreachable_tools
from bascule.decision.snapshot import build_snapshot, policy_problems
from bascule.decision.typed_policies import argument_problems
from bascule.decision.unknown_names import unknown_names
from bascule.errors import BasculeError

FOUND = 1
"""Exit code: a policy is not valid."""


@click.command()
@click.option("--strict", is_flag=True, help="Let warnings fail too.")
@as_github_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def check(ctx: click.Context, *, strict: bool, as_github: bool, as_json: bool) -> None:
    """Find what is wrong with the policies, without starting anything."""
    context: CommandContext = ctx.obj
    found, unreachable = _problems(context)
    problems = [_located(it, context.config_path) for it in found]
    ok = not any(strict or problem.severity == "error" for problem in problems)
    rows = [
        {"file": it.file, "line": it.line, "severity": it.severity, "message": it.message}
        for it in problems
    ]
    line = _annotation if as_github else _line
    told = [*map(line, problems)] or ["no problems"]
    if unreachable:
        told.append(f"tools that nobody can use: {cell(unreachable)}")
    more = {"unreachable": unreachable} if unreachable else {}
    emit({"ok": ok, "problems": rows, **more}, text="\n".join(told), as_json=as_json)
    ctx.exit(0 if ok else FOUND)


def _problems(context: CommandContext) -> tuple[list[Problem], list[str]]:
    """Give what is wrong with the text, and then what is with what is approved.

    And the approved tools that nobody can use, which may well be meant.
    """
    config, files = context.config(), context.policy_files()
    found = policy_problems(config, files)
    if any(it.severity == "error" for it in found):
        return found, []
    try:
        snapshot = context.snapshot(config)
    except BasculeError as exc:  # the text can be checked anywhere, a pipeline for instance
        click.echo(f"warning: not compared with what is approved: {exc}", err=True)
        snapshot = build_snapshot(config, files)
    found += unknown_names(config, snapshot)
    found += argument_problems(snapshot)
    found += lints(config, snapshot)
    return found, unreachable_tools(snapshot)


def _line(it: Problem) -> str:
    return cell(f"{it.file}:{it.line}: {it.severity}: {it.message}")


def _annotation(it: Problem) -> str:
    return annotation(it.file, it.line, it.severity, it.message)


def _located(problem: Problem, config_path: Path) -> Problem:
    """Give a problem of the configuration its file and line."""
    if not problem.where:
        return problem
    text = config_path.read_text(encoding="utf-8") if config_path.exists() else ""
    return replace(problem, file=str(config_path), line=toml_line(text, problem.where))
