"""`bascule policy who-can`: every user, through every agent, for every tool."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
import msgspec

from bascule.cli.context import CommandContext
from bascule.cli.output import emit_rows
from bascule.cli.progress import Line
from bascule.cli.user import as_json_option
from bascule.errors import BasculeError

if TYPE_CHECKING:
    from bascule.app.tools import KnownTools
    from bascule.app.who_can import Right
    from bascule.config.model import Config

T = TypeVar("T")
_COLUMNS = ("user", "agent", "connector", "tool", "decision", "because")


@click.command("who-can")
@click.option("--user", "users", multiple=True, help="Only this user; repeatable.")
@click.option("--agent", "agents", multiple=True, help="Only this agent; repeatable.")
@click.option("--connector", "connectors", multiple=True, help="Only of this; repeatable.")
@click.option("--tool", "names", multiple=True, help="Only this tool; repeatable.")
@click.option(
    "--all", "everything", is_flag=True, help="In the table, also what is denied."
)
@click.option(
    "--no-fetch", is_flag=True, help="Ask no server for tools that are not known."
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write a page of one file instead.",
)
@as_json_option
@click.pass_obj
def who_can(
    context: CommandContext,
    users: tuple[str, ...],
    agents: tuple[str, ...],
    connectors: tuple[str, ...],
    names: tuple[str, ...],
    everything: bool,
    no_fetch: bool,
    page: Path | None,
    as_json: bool,
) -> None:
    """Say for each user, agent and tool whether a call would be allowed.

    The arguments of a call are not known here: where they count, the answer is `maybe`.
    Tools are those of the lock; a connector that is served without one is asked for them.
    A row without a user is of the agent by itself.
    """
    from bascule.app.catalogue import known_agents, known_users
    from bascule.app.who_can import rights
    from bascule.clock import system_clock

    config = context.config()
    snapshot = context.snapshot(config)
    policies = snapshot.policies.by_id.values()
    known = _known_tools(context, config, connectors, fetch=not no_fetch)
    whose = frozenset(it if it.startswith("user:") else f"user:{it}" for it in users)
    everybody = [*known_users(context.store(), config, policies), None]
    found = rights(
        _chosen(everybody, whose, lambda it: None if it is None else it.name),
        _chosen(
            known_agents(context.store(), config, policies), agents, lambda it: it.client_id
        ),
        {name: _chosen(it, names, str) for name, it in known.tools.items()},
        snapshot,
        now=system_clock(),
    )
    if page is not None:
        _write(page, context, found)
    else:
        shown = (it for it in found if as_json or everything or it.decision != "deny")
        rows = (msgspec.to_builtins(it) for it in shown)
        emit_rows(rows, columns=_COLUMNS, as_json=as_json)
    if known.unknown:
        missing = "".join(f"\n  `{name}`: {why}" for name, why in known.unknown.items())
        raise BasculeError(f"the table is not whole, these tools are not known:{missing}")


def _chosen(
    every: Iterable[T], wanted: Collection[str], name: Callable[[T], str | None]
) -> list[T]:
    return [it for it in every if not wanted or name(it) in wanted]


def _known_tools(
    context: CommandContext, config: Config, wanted: tuple[str, ...], *, fetch: bool
) -> KnownTools:
    from bascule.app.tools import known_tools

    for name in wanted:
        if name not in config.connectors:
            raise click.UsageError(f"there is no connector `{name}`")
    with Line() as line:
        known = known_tools(
            context.config_path,
            config,
            wanted or tuple(config.connectors),
            context.place,
            fetch=fetch,
            say=line.say,
        )
    for name in known.unserved:
        hint = f"`bascule lock {name}` finds out what it has"
        click.echo(f"nothing of `{name}` is served: {hint}", err=True)
    return known


def _write(page: Path, context: CommandContext, found: Iterable[Right]) -> None:
    from bascule.app.who_can_page import who_can_page
    from bascule.clock import system_clock

    when = datetime.datetime.fromtimestamp(system_clock(), datetime.UTC)
    made = f"{context.config_path.absolute()}, {when:%Y-%m-%d %H:%M} UTC"
    try:
        page.write_text(who_can_page(found, made=made), encoding="utf-8")
    except OSError as exc:
        raise BasculeError(f"cannot write `{page}`: {exc.strerror}") from exc
