"""`bascule audit`: read and verify the log, whether the server runs or not."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from bascule.app.state import keys_of_log, open_inbox
from bascule.audit.log import settle
from bascule.audit.merkle import inclusion_proof
from bascule.audit.note import Verifier
from bascule.audit.proof import Proof, WrongProofError
from bascule.audit.query import Filter, Row, leaves, row, rows
from bascule.audit.reader import TileReader
from bascule.audit.record import decode
from bascule.audit.state import TamperedLogError, read_state
from bascule.audit.tile import WIDTH
from bascule.audit.verify import Verdict
from bascule.audit.verify import verify as verify_log
from bascule.cli.context import CommandContext
from bascule.cli.output import emit, emit_rows
from bascule.cli.user import as_json_option, user_name
from bascule.errors import BasculeError

FOUND = 1
"""Exit code: tampering was found."""
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
FOLLOW_SECONDS = 0.5


@click.group()
def audit() -> None:
    """Read and verify the audit log."""


def _folder(context: CommandContext) -> Path:
    """Give the log's folder, with all that waits taken in if no server does it."""
    data_dir = context.data_dir()
    inbox = open_inbox(data_dir)
    try:
        settle(data_dir, inbox, keys_of_log(data_dir))
    finally:
        inbox.close()
    return data_dir / "audit"


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
    return int(moment.timestamp() * 1_000_000)


def _printable(found: Row) -> dict[str, object]:
    shown = msgspec.structs.asdict(found)
    when = datetime.fromtimestamp(found.ts / 1_000_000, UTC)
    return {**shown, "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z")}


@audit.command()
@click.option("--user")
@click.option("--agent")
@click.option("--connector")
@click.option("--name", help="Tool, prompt or resource, as the connector serves it.")
@click.option("--type", "type_")
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
    subject = user
    if user is not None and "|" not in user:
        subject = f"user:{user_name(user)}"
    wanted = Filter(subject, agent, connector, name, type_, decision, since, until)
    found = rows(_folder(context), wanted)
    limited = (
        (item for _, item in zip(range(limit), found, strict=False)) if limit else found
    )
    if as_json:
        emit_rows((msgspec.structs.asdict(it) for it in limited), columns=(), as_json=True)
    else:
        emit_rows((_printable(it) for it in limited), columns=COLUMNS, as_json=False)


@audit.command()
@click.option("-f", "--follow", is_flag=True, help="Go on as records come.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=20, show_default=True)
@as_json_option
@click.pass_obj
def tail(context: CommandContext, follow: bool, lines: int, as_json: bool) -> None:
    """Show the newest records."""
    folder = _folder(context)
    state = read_state(folder)
    start = max(0, (0 if state is None else state.size) - lines)
    while True:
        for found in rows(folder, Filter(), start):
            start = found.seq + 1
            _print_line(found, as_json=as_json)
        if not follow:
            return
        time.sleep(FOLLOW_SECONDS)


def _print_line(found: Row, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    shown = _printable(found)
    cells = ["-" if shown[key] is None else str(shown[key]) for key in COLUMNS]
    colour = {"allow": "green", "deny": "red"}.get(found.decision or "")
    click.secho(
        "  ".join(cell if cell.isprintable() else ascii(cell) for cell in cells), fg=colour
    )


@audit.command()
@click.argument("record")
@as_json_option
@click.pass_obj
def show(context: CommandContext, record: str, as_json: bool) -> None:
    """Show one record whole, by SEQ or id."""
    for seq, leaf in leaves(_folder(context), int(record) if record.isdigit() else 0):
        if record.isdigit() or record.encode() in leaf:
            found = decode(leaf)
            if record.isdigit() or found.id == record or found.code == record:
                value = {"seq": seq, **msgspec.json.decode(leaf)}
                text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
                emit(value, text=ascii_safe(text), as_json=as_json)
                return
    raise BasculeError(f"there is no record `{record}`")


def ascii_safe(text: str) -> str:
    """Keep line ends, write other control characters so that a terminal shows them."""
    return "".join(
        char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text
    )


@audit.command()
@click.argument("directory", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--vkey", help="The log's key as you know it, text or a file.")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A checkpoint that was kept elsewhere.",
)
@as_json_option
@click.pass_context
def verify(
    ctx: click.Context,
    directory: Path | None,
    vkey: str | None,
    checkpoint: Path | None,
    as_json: bool,
) -> None:
    """Hash every record anew and compare with what was signed.

    DIRECTORY is a copy of a log, or a data directory [default: this one's].
    """
    waiting = 0
    if directory is None:
        data_dir = ctx.obj.data_dir()
        try:
            folder = _folder(ctx.obj)
        except TamperedLogError:
            folder = data_dir / "audit"
        inbox = open_inbox(data_dir)
        waiting = inbox.count()
        inbox.close()
    else:
        folder = directory / "audit" if (directory / "audit").is_dir() else directory
    verdict = verify_log(
        folder,
        verifier=None if vkey is None else _verifier(vkey),
        kept=None if checkpoint is None else checkpoint.read_bytes(),
        waiting=waiting,
    )
    emit(msgspec.structs.asdict(verdict), text=_describe(verdict), as_json=as_json)
    if not verdict.ok:
        ctx.exit(FOUND)


def _verifier(text: str) -> Verifier:
    path = Path(text)
    return Verifier.parse(path.read_text(encoding="ascii") if path.is_file() else text)


def _describe(verdict: Verdict) -> str:
    trusted = {
        "self": "the key beside the log",
        "key": "the key that was given",
        "checkpoint": "the checkpoint that was given",
    }[verdict.trust]
    lines = [f"{verdict.origin}: {verdict.signed_size} records verified against {trusted}"]
    if verdict.pending:
        lines.append(f"{verdict.pending} more are not signed yet")
    lines += [f"problem: {problem}" for problem in verdict.problems]
    return "\n".join(lines)


@audit.command()
@click.argument("seq", type=click.IntRange(min=0))
@click.pass_obj
def prove(context: CommandContext, seq: int) -> None:
    """Print a receipt: the record and the proof that the log holds it."""
    folder = _folder(context)
    note = (folder / "checkpoint").read_bytes() if (folder / "checkpoint").exists() else b""
    keys = keys_of_log(context.data_dir())
    size = int(keys.signer.verifier.open(note).split("\n")[1]) if note else 0
    if seq >= size:
        raise BasculeError(f"record {seq} is not signed yet; {size} are")
    reader = TileReader(folder, size)
    entry = reader.entries(seq // WIDTH)[seq % WIDTH]
    hashes = tuple(inclusion_proof(seq, size, reader.subtree))
    click.echo(Proof(entry, seq, hashes, note).write(), nl=False)


@audit.command()
@click.argument("file", type=click.File("rb"))
@click.option("--vkey", required=True, help="The log's key, text or a file.")
@as_json_option
@click.pass_context
def check(ctx: click.Context, file: BinaryIO, vkey: str, as_json: bool) -> None:
    """Verify a receipt without any server and print its record."""
    verifier = _verifier(vkey)
    try:
        proof = Proof.parse(file.read())
        proof.check(verifier)
    except BasculeError as exc:
        wrong = WrongProofError.__name__ == type(exc).__name__
        click.echo(f"{'wrong' if wrong else 'not valid'}: {exc}", err=True)
        ctx.exit(FOUND)
    found = row(proof.index, decode(proof.entry))
    value = {"seq": proof.index, **msgspec.json.decode(proof.entry)}
    text = f"record {proof.index} is in {verifier.name}: {found.type} {found.name or ''}"
    emit(value, text=text.rstrip(), as_json=as_json)
