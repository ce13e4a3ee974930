"""`bascule config` and `bascule schema`: the configuration, and the shapes of output."""

from __future__ import annotations

from collections.abc import Iterable

import click
import msgspec

from bascule.cli.context import CommandContext
from bascule.cli.output import emit
from bascule.cli.schemas import SCHEMAS, schema_of
from bascule.config.json_schema import json_schema
from bascule.config.load import ConfigError, Problem
from bascule.config.paths import below
from bascule.config.reference import reference_page
from bascule.config.rules import exposure_problems

FOUND = 1
"""Exit code: the configuration is not valid."""


@click.group()
def config() -> None:
    """Check and describe `bascule.toml`."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def check(ctx: click.Context, *, as_json: bool) -> None:
    """Say all that is wrong with the configuration, and what it would expose."""
    context: CommandContext = ctx.obj
    problems = _problems(context)
    warnings = () if problems else _warnings(context)
    lines = [f"{it.path or context.config_path}: {it.message}" for it in problems]
    hints = [f"warning: {it.path}: {it.message}" for it in warnings]
    emit(
        {"ok": not problems, "problems": _rows(problems), "warnings": _rows(warnings)},
        text="\n".join([*hints, *(lines or ["no problems"])]),
        as_json=as_json,
    )
    ctx.exit(FOUND if problems else 0)


def _rows(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [{"path": it.path, "message": it.message} for it in problems]


def _warnings(context: CommandContext) -> tuple[Problem, ...]:
    """Say which commands are not there; they may be where and when `up` runs."""
    from bascule.app.stdio import entries_beside, missing_programs

    locked = entries_beside(context.config_path)
    return tuple(
        Problem(f"{below('connectors', name)}.command", sentence)
        for name, sentence in missing_programs(context.config(), locked)
    )


def _problems(context: CommandContext) -> tuple[Problem, ...]:
    try:
        found = context.config()
    except ConfigError as exc:
        return exc.problems
    return tuple(Problem("server", sentence) for sentence in exposure_problems(found))


@config.command(name="schema")
@click.option("--markdown", is_flag=True, help="Print the reference page instead.")
def config_schema(*, markdown: bool) -> None:
    """Print the JSON Schema of `bascule.toml`."""
    click.echo(reference_page() if markdown else _pretty(json_schema()), nl=not markdown)


@click.command()
@click.argument("name", nargs=-1, metavar="[NAME]...")
def schema(name: tuple[str, ...]) -> None:
    """Print the JSON Schema of what the command NAME prints with `--json`.

    Commands that print JSON lines: the schema of one line. Without NAME: all names.
    """
    if not name:
        click.echo("\n".join(SCHEMAS))
        return
    found = schema_of("-".join(name))
    if found is None:
        raise click.BadParameter(f"there is no such schema; known are {', '.join(SCHEMAS)}")
    click.echo(_pretty(found))


def _pretty(document: object) -> str:
    return msgspec.json.format(msgspec.json.encode(document)).decode()
