"""`bascule lock`: the exact bytes and definitions of connectors, to be reviewed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from bascule.cli.context import CommandContext
from bascule.cli.output import emit_rows
from bascule.cli.progress import Line

if TYPE_CHECKING:
    from bascule.app.lock_place import LockPlace
    from bascule.app.locking import Draft
    from bascule.config.model import Config

COOLDOWN = click.option(
    "--cooldown",
    "cooldown_days",
    type=click.IntRange(0, 365),
    help="Days that each version must be old, in place of 7 (14 for what it needs).",
)
WITH_ACCESS = click.option(
    "--with-access",
    is_flag=True,
    help="Ask servers what they serve with their secrets, files and hosts, though nobody "
    "approved them.",
)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@COOLDOWN
@click.option(
    "--allow-scripts",
    "scripts",
    multiple=True,
    metavar="PURL",
    help="Run the install scripts of this package, enclosed and without a network. Give "
    "all that are allowed, or an empty one for none; kept until given again.",
)
@WITH_ACCESS
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@click.pass_obj
def lock(
    context: CommandContext,
    *,
    names: tuple[str, ...],
    cooldown_days: int | None,
    scripts: tuple[str, ...],
    with_access: bool,
    as_json: bool,
) -> None:
    """Lock connectors: all, or those of the NAMEs.

    Resolves all packages with their hashes, installs them into the store, runs the server
    in its sandbox, and writes down what it serves. It gets no secret, no file and no host
    for that, since nobody has approved it. Packages that are locked stay as they are;
    `bascule update` looks for newer ones. Nothing is approved by this.
    """
    from bascule.app.locking import draft

    if scripts and len(names) != 1:
        raise click.UsageError("--allow-scripts needs the NAME of one connector")
    allowed = tuple(filter(None, scripts)) if scripts else None
    config = context.config()
    with (
        Line() as line,
        locking(context, config, line, cooldown_days, with_access=with_access) as place,
    ):
        place = replace(place, approved=approved_here(context, place))
        drafts = [
            draft(place, name, scripts=allowed) for name in names or config.connectors
        ]
        write_drafts(context, place, drafts)
    emit_rows(
        (row_of(it) for it in drafts),
        columns=("connector", "packages", "tools", "entry"),
        as_json=as_json,
    )
    for it in drafts:
        tell_warnings(it)


@contextmanager
def locking(
    context: CommandContext,
    config: Config,
    line: Line,
    cooldown_days: int | None = None,
    *,
    with_access: bool = False,
) -> Iterator[LockPlace]:
    """Give where connectors are locked; `line` hears of the progress."""
    from bascule.app.advisories import known_fixes
    from bascule.app.lock_place import LockPlace
    from bascule.app.locked_launch import record_reached
    from bascule.clock import system_clock
    from bascule.lock.cooldown import DAY_SECONDS, Cooldown

    seconds = None if cooldown_days is None else cooldown_days * DAY_SECONDS
    yield LockPlace(
        config=config,
        config_path=context.config_path.absolute(),
        data_dir=context.data_dir().absolute(),
        environment=os.environ,
        read_secret=context.place().secrets(config.vault),
        now=system_clock(),
        cooldown=Cooldown() if seconds is None else Cooldown(seconds, seconds),
        fixes=known_fixes(context.store()),
        with_access=with_access,
        report=partial(record_reached, context.place()),
        progress=line.say,
    )


def approved_here(context: CommandContext, place: LockPlace) -> frozenset[str]:
    """Give the connectors whose locked entry is approved. Raises `BasculeError`."""
    from bascule.app.approvals import standing
    from bascule.lock.lock_file import read_lock

    lock = read_lock(place.folder)
    verdicts = standing(
        context.place(), context.config_path, place.config, lock, now=place.now
    ).verdicts
    return frozenset(name for name, it in verdicts.items() if it.state == "approved")


def write_drafts(context: CommandContext, place: LockPlace, drafts: list[Draft]) -> None:
    """Put entries into the lock file; the log has the record of each before."""
    from bascule.app.locking import write

    for it in drafts:
        record_lock(context, place, it, "connector.lock")
    write(place, drafts)


def record_lock(context: CommandContext, place: LockPlace, draft: Draft, type: str) -> None:
    """Record that an entry was made, and by whom.

    There may be a rule that who made it may not approve it.
    """
    from bascule.app.authors import author_here
    from bascule.lock.model import entry_digest
    from bascule.storage.approvals import record_author

    digest = entry_digest(draft.entry)
    about = {"entry": digest, "root": draft.entry.root}
    if place.with_access:
        about["asked"] = "with secrets, files and hosts"
    context.record_admin(type, about, connector=draft.connector)
    context.store().run(
        partial(
            record_author,
            connector=draft.connector,
            entry_digest=digest,
            author=author_here(place.folder),
            now=place.now,
        )
    )


def row_of(draft: Draft) -> dict[str, object]:
    """Give what is printed of an entry."""
    from bascule.lock.model import entry_digest

    surface = draft.entry.surface
    return {
        "connector": draft.connector,
        "entry": entry_digest(draft.entry),
        "packages": len(draft.entry.packages),
        "tools": None if surface is None else len(surface.tools),
        "sandbox": None if surface is None else surface.seen_by,
        "warnings": list(draft.warnings),
    }


def tell_warnings(draft: Draft) -> None:
    """Tell people what they have to know before they approve."""
    from bascule.lock.invisible import visible

    for warning in draft.warnings:
        text = f"warning: {draft.connector}: {visible(warning)}"
        click.secho(text, fg="yellow", err=True)
