"""Definitions that no server should serve: approved by an explicit word, or not at all."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bascule.errors import BasculeError
from bascule.lock.invisible import visible
from bascule.lock.surface import Document
from bascule.scan.text.served import Judged, judged, of_document

MAX_QUOTED = 2000
"""Characters of accepted texts that a record quotes; the statement has all their ids."""


class UnacceptedError(BasculeError):
    """A server says what none should say, and nobody has accepted that."""


def require_accepted(document: Document, accepted: Collection[str]) -> tuple[Judged, ...]:
    """Judge what a surface says, and give all that somebody should look at.

    `accepted` are ids of texts that a person answers for. Raises `UnacceptedError` for a
    text in the block tier that is not among them: its id goes with its words, so that
    nobody accepts what it says tomorrow.
    """
    found = judged(of_document(document))
    refused = [it for it in found if it.needs_acceptance and it.id not in accepted]
    if refused:
        lines = "".join(f"\n  {visible(it.told())}" for it in refused)
        options = " ".join(f"--finding {it.id}" for it in refused)
        raise UnacceptedError(
            f"it serves what no server should say:{lines}\n"
            f"if you have read it and answer for it, add {options} and say why in "
            "--reason; else `bascule reject` it, and tell its maker"
        )
    return found


def accepted_by(found: Iterable[Judged]) -> dict[str, str]:
    """Give what the log says of a decision beside its reason: which texts it accepts."""
    said = "\n".join(it.told() for it in found if it.needs_acceptance)
    return {"accepted": said[:MAX_QUOTED]} if said else {}
