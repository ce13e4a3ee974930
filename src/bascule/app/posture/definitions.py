"""Approved, by what is said: whether definitions that models read say what none should."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from bascule.app.approvals import Picture, look, read_found, verdicts
from bascule.app.place import Place
from bascule.app.posture.control import Control, Subject
from bascule.clock import UnixTime
from bascule.config.model import Config
from bascule.lock.dsse import parse_envelope
from bascule.lock.invisible import visible
from bascule.lock.ledger import Ledger
from bascule.lock.model import Entry, LockError, LockFile, entry_digest
from bascule.lock.statement import parse_statement
from bascule.lock.surface import read_document
from bascule.scan.text.served import judged, of_document

DEFINITIONS = Subject(
    "approved",
    "definitions",
    "no approved definition says what none should, unless an approver answers for it",
    "every approved definition was read by the rules of `bascule scan text`",
    "`bascule diff NAME nothing..locked` shows it: `bascule reject NAME`, or approve it "
    "anew with --finding, see docs/how-to/review-a-change.md",
)

Said = Mapping[str, Sequence[str]]
"""By approved connector: a sentence for each text that nobody answers for."""


def definitions_control(said: Said | None) -> Control:
    """Judge what approved definitions say; `said`: None where there is no state."""
    if not said:
        return DEFINITIONS.unseen("no connector is approved yet")
    return DEFINITIONS.judged(
        f"`{name}`: {sentence}" for name, its in said.items() for sentence in its
    )


def unanswered(
    place: Place, config_path: Path, config: Config, lock: LockFile, *, now: UnixTime
) -> Said:
    """Read all that is approved now; changes nothing. Raises `BasculeError`."""
    found = read_found(place, config_path, config, lock)
    picture: Picture = place.open_state().read(partial(look, found=found, now=now))
    states = verdicts(picture, found.entries, now=now)
    return {
        name: tuple(
            _unanswered(config_path.parent, name, entry, picture.admissions[name].ledger)
        )
        for name, entry in found.entries.items()
        if states[name].state == "approved" and entry.surface is not None
    }


def _unanswered(folder: Path, name: str, entry: Entry, ledger: Ledger) -> Iterator[str]:
    assert entry.surface is not None  # noqa: S101 - the caller has looked
    try:
        document = read_document(folder, name, entry.surface)
    except LockError as exc:
        yield f"its definitions cannot be read: {exc}"
        return
    accepted = {
        finding
        for it in ledger.standing(entry_digest(entry))
        for finding in parse_statement(
            parse_envelope(it.envelope).payload
        ).predicate.findings
    }
    for text in judged(of_document(document)):
        if text.needs_acceptance and text.id not in accepted:
            yield visible(text.told())
