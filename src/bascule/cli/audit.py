"""`bascule audit`: read and verify the log, whether the server runs or not."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from bascule.app.files import read_text
from bascule.app.state import exclusive
from bascule.audit.log_files import FolderFiles
from bascule.audit.note import MalformedNoteError, Verifier
from bascule.audit.proof import Proof
from bascule.audit.receipt import receipt
from bascule.audit.record import clip, decode
from bascule.audit.restart import restart as restart_log
from bascule.audit.state import TamperedLogError, TreeError
from bascule.audit.tile import MalformedTileError
from bascule.audit.verify import Verdict
from bascule.audit.verify import verify as verify_log
from bascule.cli.audit_records import count_waiting, query, show, tail, take_in
from bascule.cli.context import CommandContext
from bascule.cli.output import emit, printable
from bascule.cli.user import as_json_option
from bascule.clock import system_entropy
from bascule.errors import BasculeError

FOUND = 1
"""Exit code: tampering was found."""
MAX_REASON = 1000
"""Characters."""


@click.group()
def audit() -> None:
    """Read and verify the audit log."""


for _command in (tail, query, show):
    audit.add_command(_command)


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
    verifier = None if vkey is None else _verifier(vkey)
    kept = None if checkpoint is None else checkpoint.read_bytes()
    if directory is None:
        verdict = verify_own(ctx.obj, verifier=verifier, kept=kept)
    else:
        inner = directory / "audit"
        files = FolderFiles(inner if inner.is_dir() else directory)
        verdict = verify_log(files, verifier=verifier, kept=kept)
    emit(msgspec.structs.asdict(verdict), text=_describe(verdict), as_json=as_json)
    if not verdict.ok:
        ctx.exit(FOUND)


def verify_own(
    context: CommandContext, *, verifier: Verifier | None = None, kept: bytes | None = None
) -> Verdict:
    """Verify the log of this data directory, or of its database; see `verify_log`."""
    place = context.place()
    problems: list[str] = []
    try:
        waiting = take_in(place)
    except (TamperedLogError, TreeError, MalformedTileError) as exc:
        problems.append(str(exc))
        waiting = count_waiting(place)
    files = place.log().files()
    return verify_log(
        files, verifier=verifier, kept=kept, waiting=waiting, problems=problems
    )


def _verifier(text: str) -> Verifier:
    """Read a key: the text itself, or a file that holds it."""
    try:
        return Verifier.parse(text)
    except MalformedNoteError:
        return Verifier.parse(read_text(Path(text)))


def _describe(verdict: Verdict) -> str:
    trusted = {
        "self": "the key beside the log",
        "key": "the key that was given",
        "checkpoint": "the checkpoint that was given",
    }[verdict.trust]
    judgement = "verified against" if verdict.ok else "NOT VERIFIED against"
    lines = [f"{verdict.origin}: {verdict.signed_size} records {judgement} {trusted}"]
    if verdict.pending:
        lines.append(f"{verdict.pending} more are not signed yet")
    lines += [f"problem: {printable(problem)}" for problem in verdict.problems]
    return "\n".join(lines)


@audit.command()
@click.argument("seq", type=click.IntRange(min=0))
@click.pass_obj
def prove(context: CommandContext, seq: int) -> None:
    """Print a receipt: the record and the proof that the log holds it."""
    place = context.place()
    take_in(place)
    verifier = place.log_keys().signer.verifier
    proof = receipt(place.log().files(), verifier, seq)
    click.echo(proof.write(), nl=False)


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
        checkpoint = proof.check(verifier)
        decode(proof.entry)
    except (BasculeError, msgspec.DecodeError, UnicodeDecodeError) as exc:
        click.echo(f"not valid: {printable(str(exc))}", err=True)
        ctx.exit(FOUND)
    value = {"seq": proof.index, **msgspec.json.decode(proof.entry)}
    record = printable(msgspec.json.format(proof.entry, indent=2).decode())
    text = f"record {proof.index} of {checkpoint.size} in {verifier.name}\n{record}"
    emit(value, text=text, as_json=as_json)


@audit.command()
@click.option("--reason", required=True, help="Why; it is recorded.")
@as_json_option
@click.pass_obj
def restart(context: CommandContext, reason: str, as_json: bool) -> None:
    """Begin a new log in place of one that is damaged or was restored.

    The old one is kept aside in the data directory, as evidence; nothing of it is changed.
    """
    data_dir = context.data_dir()
    with exclusive(data_dir):
        origin, old = restart_log(context.place().log(), system_entropy)
        context.record_admin("log.restart", {**old, "reason": clip(reason, MAX_REASON)})
    folder = data_dir / old["folder"]
    aside = str(folder) if folder.exists() else old["folder"]
    emit(
        {
            "origin": origin,
            "replaces": old["origin"],
            "folder": aside,
        },
        text=f"began {origin}; the log before is kept in {aside}",
        as_json=as_json,
    )
