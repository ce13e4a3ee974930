"""`bascule audit query|tail|show`: records as people and programs read them."""

from __future__ import annotations

import itertools
import re
import time
from datetime import UTC, datetime

import click
import msgspec

from bascule.app.place import Place
from bascule.audit.log import settle
from bascule.audit.log_files import LogFiles
from bascule.audit.query import Filter, Row, leaves, rows
from bascule.audit.record import decode
from bascule.audit.state import TamperedLogError, TreeError, read_state
from bascule.audit.tile import MalformedTileError
from bascule.cli.context import CommandContext
from bascule.cli.output import cell, emit, emit_rows, printable
from bascule.cli.user import as_json_option, user_name
from bascule.errors import BasculeError

COLUMNS = (
    "seq",
    "time",
    "type",
    "user",
    "agent",
    "connector",
    "name",
    "decision",
    "reason",
)
COLOURS = {"allow": "green", "deny": "red"}
FOLLOW_SECONDS = 0.5
_SEQ = re.compile(r"[0-9]{1,18}")


def take_in(place: Place) -> int:
    """Take what waits into the log, if no server does it; gives how many records wait.

    Raises `TamperedLogError` or `TreeError`.
    """
    log = place.log()
    inbox = log.inbox()
    try:
        settle(log, inbox, place.log_keys())
        return inbox.count()
    finally:
        inbox.close()


def count_waiting(place: Place) -> int:
    """Give how many records wait to be taken into the log."""
    inbox = place.log().inbox()
    try:
        return inbox.count()
    finally:
        inbox.close()


def log_files(context: CommandContext) -> LogFiles:
    """Give the log's files, as current as can be; a damaged log is read all the same."""
    place = context.place()
    try:
        take_in(place)
    except (TamperedLogError, TreeError, MalformedTileError) as exc:
        click.echo(f"warning: {exc}", err=True)
    return place.log().files()


def _moment(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> int | None:
    """Read an ISO 8601 time; without a zone it is UTC."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as exc:
        raise click.BadParameter("not a time such as 2026-11-24T05:00:00Z") from exc
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000)


def _shown(found: Row) -> dict[str, object]:
    when = datetime.fromtimestamp(found.ts / 1_000_000, UTC)
    text = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {**msgspec.structs.asdict(found), "time": text}


@click.command()
@click.option("--user", help="NAME, or ISSUER|SUB of a foreign one.")
@click.option("--agent", help="Client id.")
@click.option("--connector")
@click.option("--name", help="Tool, prompt or resource, as the connector serves it.")
@click.option("--type", "type_", help="For instance call.start, auth.fail, revoke.")
@click.option("--decision", type=click.Choice(["allow", "deny"]))
@click.option("--since", callback=_moment, help="Time, ISO 8601; included.")
@click.option("--until", callback=_moment, help="Time, ISO 8601; not included.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, the oldest.")
@as_json_option
@click.pass_obj
def query(
    context: CommandContext,
    user: str | None,
    agent: str | None,
    connector: str | None,
    name: str | None,
    type_: str | None,
    decision: str | None,
    since: int | None,
    until: int | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List records, oldest first."""
    if user is not None:
        user = f"user:{user.removeprefix('user:') if '|' in user else user_name(user)}"
    wanted = Filter(user, agent, connector, name, type_, decision, since, until)
    found = itertools.islice(rows(log_files(context), wanted), limit)
    shown = msgspec.structs.asdict if as_json else _shown
    emit_rows(map(shown, found), columns=COLUMNS, as_json=as_json)


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on as records come.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=20, show_default=True)
@as_json_option
@click.pass_obj
def tail(context: CommandContext, follow: bool, lines: int, as_json: bool) -> None:
    """Show the newest records."""
    files = log_files(context)
    state = read_state(files)
    start = max(0, (0 if state is None else state.size) - lines)
    while True:
        for found in rows(files, Filter(), start):
            start = found.seq + 1
            _print_line(found, as_json=as_json)
        if not follow:
            return
        time.sleep(FOLLOW_SECONDS)


def _print_line(found: Row, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    shown = _shown(found)
    line = "  ".join(cell(shown[key]) for key in COLUMNS)
    click.secho(line, fg=COLOURS.get(found.decision or ""))


@click.command()
@click.argument("record")
@as_json_option
@click.pass_obj
def show(context: CommandContext, record: str, as_json: bool) -> None:
    """Show one record whole, by SEQ, id, or the code that a refused client was given."""
    seq, leaf = find_record(log_files(context), record)
    text = msgspec.json.format(leaf, indent=2).decode()
    value = {"seq": seq, **msgspec.json.decode(leaf)}
    emit(value, text=f"record {seq}\n{printable(text)}", as_json=as_json)


def find_record(files: LogFiles, record: str) -> tuple[int, bytes]:
    """Find a record. Raises `BasculeError`."""
    if _SEQ.fullmatch(record):
        for seq, leaf in leaves(files, int(record)):
            return seq, leaf
    elif record.isascii():  # as ids and codes are
        for seq, leaf in leaves(files):
            if record.encode() in leaf and record in (decode(leaf).id, decode(leaf).code):
                return seq, leaf
    raise BasculeError(f"there is no record `{record}`: `bascule audit tail` shows some")
