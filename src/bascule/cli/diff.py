"""`bascule diff`: what would be approved, against what was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bascule.cli.context import CommandContext
from bascule.cli.lock import locking
from bascule.cli.progress import Line
from bascule.cli.user import as_json_option

if TYPE_CHECKING:
    from bascule.app.comparing import Comparison
    from bascule.cli.schemas import AdvisoryFound, Compared, TextFound
    from bascule.lock.assessment import Match
    from bascule.scan.text.served import Judged

FOUND = 1


@click.command()
@click.argument("name")
@click.argument("sides", required=False, metavar="[A..B]")
@as_json_option
@click.pass_obj
def diff(context: CommandContext, name: str, sides: str | None, as_json: bool) -> None:
    """Show what differs between two entries of a connector; exit 1 when anything does.

    A and B are `approved` (the entry that was approved last), `locked` (the lock file's),
    `proposed` (by `bascule update`), `served` (the locked one, with what its server answers
    now), `nothing`, or the first digits of an entry's digest; without them,
    `approved..locked`.
    """
    import msgspec

    from bascule.app.comparing import APPROVED, LOCKED, SERVED, Entries
    from bascule.cli.diff_text import page
    from bascule.clock import system_clock

    first, dots, second = (sides or f"{APPROVED}..{LOCKED}").partition("..")
    if not (first and dots and second):
        raise click.BadParameter("is written A..B", param_hint="[A..B]")
    config = context.config()
    entries = Entries(
        context.place(), context.config_path, config, name, now=system_clock()
    )
    with Line() as line, locking(context, config, line) as place:
        before, after = (
            entries.served(place) if which == SERVED else entries.side(which)
            for which in (first, second)
        )
    found = entries.compare(before, after)
    if as_json:
        click.echo(msgspec.json.encode(compared(name, found)).decode())
    else:
        click.echo(page(name, found))
    if found.diff.classes:
        click.get_current_context().exit(FOUND)


def compared(name: str, found: Comparison) -> Compared:
    """Give a comparison in the form that others parse."""
    from bascule.cli.schemas import AdvisoryChanges, ApprovalState, Compared

    diff, verdict, assessment = found.diff, found.verdict, found.assessment
    return Compared(
        connector=name,
        before=found.before.digest or None,
        after=found.after.digest or None,
        differs=bool(diff.classes),
        classes=diff.classes,
        launch=diff.launch,
        definitions=diff.definitions,
        surface=diff.surface,
        root=diff.root,
        packages=diff.packages,
        code=diff.code,
        access=diff.access,
        advisories=AdvisoryChanges(
            "not_assessed" if assessment is None else assessment.state,
            [_found(it) for it in found.introduced],
            [_found(it) for it in found.fixed],
            [] if assessment is None else list(assessment.not_assessed),
        ),
        approval=ApprovalState(
            "missing" if verdict is None else verdict.state,
            "" if verdict is None else verdict.reason,
            [] if verdict is None else list(verdict.approvers),
            None if verdict is None else verdict.expires,
        ),
        reviews=list(found.reviews),
        texts=[text_found(it) for it in found.texts if it.id not in found.known_texts],
        texts_as_before=[it.id for it in found.texts if it.id in found.known_texts],
    )


def text_found(it: Judged) -> TextFound:
    """Give what a definition says in the form that others parse."""
    from bascule.cli.schemas import TextEvidence, TextFound
    from bascule.scan.text.findings import quote

    evidence = [
        TextEvidence(each.rule, each.where, quote(each.quote)) for each in it.evidence
    ]
    return TextFound(it.id, it.label, it.tier, evidence)


def _found(match: Match) -> AdvisoryFound:
    from bascule.cli.schemas import AdvisoryFound

    return AdvisoryFound(
        match.purl,
        list(match.ids),
        match.severity,
        match.summary,
        match.malware,
        match.undecided,
    )
