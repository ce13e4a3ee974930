"""`bascule approve` and `bascule reject`: who answers for a connector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from bascule.app import proposals
from bascule.app.accepting import UnacceptedError
from bascule.app.approval_keys import SigningKey, key_of_file, own_key
from bascule.app.approver_change import change_approvers, replace_approvers
from bascule.app.approving import (
    Decided,
    Desk,
    UnreviewedError,
    Wish,
    accept_proposal,
    decide_on,
)
from bascule.app.authors import author_in_history
from bascule.cli.context import CommandContext
from bascule.cli.diff import text_found
from bascule.cli.diff_text import reviews
from bascule.cli.durations import seconds_of
from bascule.cli.output import emit, printable
from bascule.cli.revoke import require_text
from bascule.cli.user import as_json_option
from bascule.cli.verify import verified
from bascule.clock import system_clock, system_entropy
from bascule.config.rules import is_connector_name
from bascule.errors import BasculeError
from bascule.lock.invisible import visible
from bascule.lock.lock_file import read_lock, with_entry
from bascule.lock.model import PARTS, entry_digest
from bascule.lock.reviews import ReviewCount, count_reviews

FOUND = 1
DIGITS = 20
"""Of a digest, at least: nobody finds another entry that begins with so many."""
key_option = click.option(
    "--key",
    "key_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Your SSH key: the private file, or the .pub of one that ssh-agent has "
    "[default: the key that Bascule keeps].",
)
as_option = click.option("--as", "principal", help="Whose the key must be.")
reason_option = click.option("--reason", required=True, help="Why; is signed and logged.")


@click.command()
@click.argument("name", required=False)
@reason_option
@key_option
@as_option
@click.option(
    "--entry", "wanted", help="Digest, or its first digits, of the entry that you reviewed."
)
@click.option("--expires", help="30d, 12h or 45m [default: the longest that is allowed].")
@click.option(
    "--finding",
    "findings",
    multiple=True,
    metavar="ID",
    help="What you have read and accept: an advisory, or a definition that should say "
    "something else.",
)
@click.option(
    "--break-glass",
    is_flag=True,
    help="Approve alone in an emergency, for 24 hours at most.",
)
@click.option(
    "--proposed",
    is_flag=True,
    help="Approve what `bascule update` proposed, and put it into the lock.",
)
@click.option(
    "--signers", is_flag=True, help="Approve changed `allowed_signers` or `[approvals]`."
)
@click.option(
    "--unsafe-replace",
    is_flag=True,
    help="With --signers: without signatures, for lost keys; ends all approvals.",
)
@as_json_option
@click.pass_obj
def approve(
    context: CommandContext,
    name: str | None,
    reason: str,
    key_path: Path | None,
    principal: str | None,
    wanted: str | None,
    expires: str | None,
    findings: tuple[str, ...],
    break_glass: bool,
    proposed: bool,
    signers: bool,
    unsafe_replace: bool,
    as_json: bool,
) -> None:
    """Sign that a connector may run and be served as the lock says.

    `bascule diff NAME` shows before what changed since the last approval. Definitions that
    say what no server should say are approved only with --finding ID for each of them.
    """
    require_text(reason, "--reason")
    if (name is None) != signers or (unsafe_replace and not signers):
        raise click.UsageError("name one connector, or use --signers without one")
    desk = _desk(context)
    if proposed and name is not None:
        desk = _with_proposal(desk, _connector(name))
    if name is None:
        _approve_signers(desk, reason, key_path, principal, unsafe_replace, as_json)
        return
    _refuse_another(desk, _connector(name), wanted)
    _refuse_drift(context, desk, name, proposed=proposed)
    wish = Wish(
        "break_glass" if break_glass else "approve",
        reason,
        None if expires is None else seconds_of(expires, option="--expires"),
        principal,
        author=author_in_history(desk.config_path.parent, name),
        findings=findings,
    )
    _decide(desk, name, key_path, wish, as_json, accepts=proposed)


@click.command()
@click.argument("name")
@reason_option
@key_option
@as_option
@click.option("--revoke", is_flag=True, help="End every approval of this connector.")
@as_json_option
@click.pass_obj
def reject(
    context: CommandContext,
    name: str,
    reason: str,
    key_path: Path | None,
    principal: str | None,
    revoke: bool,
    as_json: bool,
) -> None:
    """Sign that a connector must not be served as the lock says.

    In force within two seconds, until somebody approves it anew.
    """
    require_text(reason, "--reason")
    wish = Wish("revoke" if revoke else "reject", reason, principal=principal)
    _decide(_desk(context), _connector(name), key_path, wish, as_json)


def _desk(context: CommandContext) -> Desk:
    config_path = context.config_path
    lock = read_lock(config_path.parent)
    return Desk(context.place(), config_path, context.config(), lock)


def _with_proposal(desk: Desk, name: str) -> Desk:
    """Give a desk where the proposal lies in the place of the locked entry."""
    folder = desk.config_path.parent
    entry = proposals.proposed(folder, name)
    if entry is None:
        raise BasculeError(f"nothing is proposed for `{name}`: run `bascule update {name}`")
    return replace(
        desk,
        lock=with_entry(desk.lock, name, entry),
        documents=proposals.folder_of(folder, name),
    )


def _connector(name: str) -> str:
    if not is_connector_name(name):
        raise click.BadParameter(f"`{name}` is no connector's name", param_hint="NAME")
    return name


def _key(desk: Desk, path: Path | None) -> SigningKey:
    return own_key(desk.place.keys, system_entropy) if path is None else key_of_file(path)


def _refuse_another(desk: Desk, name: str, wanted: str | None) -> None:
    """End with exit code 1 when the entry is not the one that was reviewed."""
    entry = desk.lock.connectors.get(name)
    if entry is None or wanted is None:
        return
    digest = entry_digest(entry)
    if len(wanted) < DIGITS or not digest.startswith(wanted):
        click.echo(f"not approved: the entry is {digest}", err=True)
        click.get_current_context().exit(FOUND)


def _refuse_drift(
    context: CommandContext, desk: Desk, name: str, *, proposed: bool
) -> None:
    """End with exit code 1 when the configuration is not what would be approved."""
    entry = desk.lock.connectors.get(name)
    if entry is None or name not in desk.config.connectors:
        raise BasculeError(f"the lock has no entry of `{name}`: run `bascule lock {name}`")
    if entry.surface is None:
        raise BasculeError(
            f"nobody saw what `{name}` serves: run `bascule lock {name}` to capture it"
        )
    (found,) = verified(context, [name], proposal_of=name if proposed else None)
    for it in found.drift:
        told = f"{it.part}: locked {visible(it.want)}, found {visible(it.have)}"
        click.echo(told, err=True)
    if found.drift:
        click.echo("not approved: this is not what is locked", err=True)
        click.get_current_context().exit(FOUND)


def _decide(
    desk: Desk,
    name: str,
    key_path: Path | None,
    wish: Wish,
    as_json: bool,
    *,
    accepts: bool = False,
) -> None:
    """Record a decision and tell of it; `accepts`: a proposal goes into the lock then."""
    key = _key(desk, key_path)
    try:
        decided = decide_on(desk, name, key, wish, now=system_clock())
    except (UnreviewedError, UnacceptedError) as exc:
        click.echo(printable(f"not approved: {exc}"), err=True)
        click.get_current_context().exit(FOUND)
    if accepts and decided.verdict is not None and decided.verdict.state == "approved":
        accept_proposal(desk, name)
    approval, verdict = decided.approval, decided.verdict
    reviewed = decided.reviewed
    counts = [] if reviewed is None else count_reviews(reviewed, reviewed.packages)
    if decided.pending:
        click.echo(f"warning: {decided.pending}", err=True)
    emit(
        {
            "connector": name,
            "decision": approval.decision,
            "approver": approval.approver,
            "entry": decided.entry_digest,
            "parts": approval.parts,
            "sequence": approval.sequence,
            "expires": approval.expires,
            "state": "missing" if verdict is None else verdict.state,
            "because": "" if verdict is None else verdict.reason,
            "file": decided.path,
            "reviews": counts,
            "texts": [text_found(it) for it in decided.texts],
        },
        text=_told(name, decided, counts),
        as_json=as_json,
    )


def _told(name: str, decided: Decided, counts: list[ReviewCount]) -> str:
    approval, verdict = decided.approval, decided.verdict
    lines = [
        f"{approval.decision.replace('_', ' ')} by {approval.approver}: {name}, statement "
        f"{approval.sequence}, entry {decided.entry_digest}",
        *(f"  {part:9} {approval.parts[part]}" for part in PARTS if part in approval.parts),
        f"  in {decided.path}",
        *(f"  {line}" for line in reviews(counts)),
        *(f"  {visible(it.told())}" for it in decided.texts),
    ]
    if verdict is not None:
        lines.append(f"{name} {verdict.reason}")
    return printable("\n".join(lines))


def _approve_signers(
    desk: Desk,
    reason: str,
    key_path: Path | None,
    principal: str | None,
    unsafe_replace: bool,
    as_json: bool,
) -> None:
    if unsafe_replace:
        digest = replace_approvers(desk, reason, now=system_clock())
        emit(
            {"set": digest, "in_force": True},
            text=f"approvers {digest} are in force; every approval has to be given anew",
            as_json=as_json,
        )
        return
    key = _key(desk, key_path)
    changed = change_approvers(desk, key, reason, principal, now=system_clock())
    signed = f"signed by {', '.join(changed.have)}, {changed.quorum} are needed"
    emit(
        {
            "set": changed.digest,
            "number": changed.number,
            "in_force": changed.in_force,
            "approvers": changed.have,
            "quorum": changed.quorum,
            "file": changed.path,
        },
        text=f"approvers {changed.digest}: {signed}\n  in {changed.path}\n"
        + ("they are in force" if changed.in_force else "not yet in force"),
        as_json=as_json,
    )
