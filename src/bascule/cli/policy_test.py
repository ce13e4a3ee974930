"""`bascule policy test`: cases beside the policies, with what they expect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.cli.context import CommandContext
from bascule.cli.explanation import lines
from bascule.cli.github import annotation, as_github_option
from bascule.cli.output import cell, emit

if TYPE_CHECKING:
    from bascule.app.policy_tests import Tried
    from bascule.decision.trying import Outcome, Share

FOUND = 1
"""Exit code: something is not as expected."""
_MOST_NAMED = 20


@click.command()
@click.argument(
    "files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--min-coverage",
    "least",
    type=click.IntRange(0, 100),
    default=0,
    metavar="PERCENT",
    help="Fail when fewer of the policies, or of the locked tools, are tested.",
)
@as_github_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def test(
    ctx: click.Context,
    files: tuple[Path, ...],
    *,
    least: int,
    as_github: bool,
    as_json: bool,
) -> None:
    """Try out the cases of `policies/tests/*.toml`, or of FILES; exit 1 when one fails.

    Nothing but the configuration and the files beside it counts: every connector is taken
    to be approved as it is locked, and groups are those that a case names.
    """
    from bascule.app.policy_tests import case_files, run_tests
    from bascule.clock import system_clock

    context: CommandContext = ctx.obj
    tested = run_tests(
        context.config_path,
        context.config(),
        context.policy_files(),
        files or case_files(context.config_path),
        now=system_clock(),
    )
    covered = min(tested.policies.percent, tested.tools.percent) >= least
    emit(
        _report(tested, covered=covered),
        text="\n".join(_lines(tested, least, as_github=as_github)),
        as_json=as_json,
    )
    ctx.exit(0 if tested.ok and covered else FOUND)


def _report(tested: Tried, *, covered: bool) -> dict[str, object]:
    return {
        "ok": tested.ok and covered,
        "cases": len(tested.outcomes),
        "failed": sum(not it.ok for it in tested.outcomes),
        "problems": [
            {"file": it.file, "line": it.line, "message": it.message}
            for it in tested.problems
        ],
        "results": [
            {
                "file": it.file,
                "line": it.line,
                "name": it.name,
                "use": it.use,
                "ok": it.ok,
                "expect": it.expect,
                "decision": it.decision,
                "reason": it.reason,
                "policies": it.policies,
                "problem": it.problem,
            }
            for it in tested.outcomes
        ],
        "coverage": {"policies": _share(tested.policies), "tools": _share(tested.tools)},
    }


def _share(share: Share) -> dict[str, object]:
    return {
        "tested": share.tested,
        "total": share.total,
        "percent": share.percent,
        "missing": share.missing,
    }


def _lines(tested: Tried, least: int, *, as_github: bool) -> Iterator[str]:
    failed = [it for it in tested.outcomes if not it.ok]
    for problem in tested.problems:
        yield _problem(problem.file, problem.line, problem.message, as_github=as_github)
    for outcome, explained in zip(failed, tested.explanations, strict=True):
        message = _failure(outcome)
        yield _problem(outcome.file, outcome.line, message, as_github=as_github)
        yield from (cell(f"    {line}") for line in lines(explained))
    for what, share in (("policies", tested.policies), ("tools", tested.tools)):
        if share.missing:
            more = len(share.missing) - _MOST_NAMED
            names = "  ".join(map(cell, share.missing[:_MOST_NAMED]))
            yield f"{what} in no case: {names}{f'  and {more} more' if more > 0 else ''}"
    enough = f" (at least {least} % of each is wanted)" if least else ""
    yield (
        f"{len(tested.outcomes)} tried, {len(failed)} failed; policies tested: "
        f"{_of(tested.policies)}, tools: {_of(tested.tools)}{enough}"
    )


def _problem(file: str, line: int, message: str, *, as_github: bool) -> str:
    if as_github:
        return annotation(file, line, "error", message)
    return click.style(cell(f"{file}:{line}: {message}"), fg="red")


def _failure(it: Outcome) -> str:
    name = f"{it.name}: " if it.name else ""
    return f"{name}{it.use}: {it.problem} ({' '.join((it.reason, *it.policies))})"


def _of(share: Share) -> str:
    return f"{share.tested} of {share.total}"
