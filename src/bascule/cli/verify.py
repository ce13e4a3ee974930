"""`bascule verify`: whether connectors are what was locked and approved."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from bascule.cli.context import CommandContext
from bascule.cli.lock import locking
from bascule.cli.output import emit_json
from bascule.cli.progress import Line

if TYPE_CHECKING:
    from bascule.app.verifying import Verified

FOUND = 1


@click.command()
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Verify every connector.")
@click.option("--self", "own", is_flag=True, help="Verify this Bascule's own files.")
@click.option(
    "--approvers",
    metavar="DIGEST",
    help="Fail unless exactly these may approve; for data directories that are new.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@click.pass_obj
def verify(
    context: CommandContext,
    *,
    name: str | None,
    everything: bool,
    own: bool,
    approvers: str | None,
    as_json: bool,
) -> None:
    """Verify that connector NAME is what was locked, and approved.

    Hashes every file of its tree and of its interpreter, and compares settings, packages
    and definitions with the lock. Nothing is run and no registry is asked. Exit code 1
    when it is not approved or anything drifted.

    With --self, hashes the installed files of Bascule and of all that it needs, and
    compares versions with those that it was released with. Needs no configuration. Exit
    code 1 also when that cannot be known.
    """
    if [name is not None, everything, own].count(True) != 1:
        raise click.UsageError("name a connector, or use --all or --self")
    if own:
        _verify_self(as_json=as_json)
        return
    names = [] if name is None else [name]
    found = verified(context, names, approvers=approvers)
    for it in found:
        if as_json:
            emit_json(_row(it))
        else:
            _tell(it)
    if not all(it.ok for it in found):
        click.get_current_context().exit(FOUND)


def _verify_self(*, as_json: bool) -> None:
    from bascule.app.own_files import verify_self

    with Line() as line:
        line.say("bascule: hashing")
        found, digest = verify_self()
    if as_json:
        emit_json({**_row(found), "digest": digest})
    else:
        _tell(found)
        click.echo(f"  digest {digest}")
    if not found.ok:
        click.get_current_context().exit(FOUND)


def _row(found: Verified) -> dict[str, object]:
    return {
        "connector": found.connector,
        "ok": found.ok,
        "approved": found.approved,
        "drift": found.drift,
        "not_assessed": found.not_assessed,
    }


def verified(
    context: CommandContext,
    names: Collection[str],
    *,
    proposal_of: str | None = None,
    approvers: str | None = None,
) -> list[Verified]:
    """Verify connectors, all of the configuration for no names. Raises `BasculeError`.

    `proposal_of`: against what is proposed for that connector, in place of the lock.
    `approvers`: digest of the set that must be in force; with another this ends here.
    """
    from bascule.app.advisories import assess_all
    from bascule.app.approvals import standing
    from bascule.app.proposals import folder_of
    from bascule.app.verifying import verify as verify_one
    from bascule.lock.lock_file import read_lock

    config = context.config()
    with Line() as line, locking(context, config, line) as place:
        if proposal_of is not None:
            place = replace(place, beside=folder_of(place.folder, proposal_of))
        lock = read_lock(place.folder)
        stands = standing(context.place(), context.config_path, config, lock, now=place.now)
        _require_approvers(stands.approvers.trusted.digest, approvers)
        assessed = assess_all(context.store(), lock.connectors, now=place.now)
        found = []
        for name in names or config.connectors:
            line.say(f"{name}: hashing")
            entry = lock.connectors.get(name)
            verdict = stands.verdicts.get(name)
            found.append(verify_one(place, name, entry, verdict, assessed.get(name)))
    if stands.approvers.pending:
        click.echo(f"warning: {stands.approvers.pending}", err=True)
    return found


def _require_approvers(found: str, wanted: str | None) -> None:
    """End with exit code 1 when others may approve than those that were named."""
    if wanted not in {None, found}:
        click.echo(f"not verified: the approvers in force are {found}", err=True)
        click.get_current_context().exit(FOUND)


def _tell(found: Verified) -> None:
    from bascule.lock.invisible import visible

    verdict = "ok" if found.ok else "not ok"
    approval = "approved" if found.approved else f"not approved: {found.approval}"
    click.secho(
        f"{found.connector}: {verdict}, {approval}", fg="green" if found.ok else "red"
    )
    for it in found.drift:
        click.echo(f"  {it.part}: locked {visible(it.want)}, found {visible(it.have)}")
    for reason in found.not_assessed:
        click.echo(f"  not assessed: {visible(reason)}")
