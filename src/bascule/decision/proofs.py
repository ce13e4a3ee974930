"""What was shown of calls whose arguments are not known yet, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from bascule.decision.argument_forms import Form
from bascule.decision.argument_samples import Samples
from bascule.decision.candidates import Candidate
from bascule.decision.known_arguments import Known
from bascule.decision.residue import Residue
from bascule.decision.satisfy import Proof, prove

MAX_PROOFS = 16_384
Confirm = Callable[[Candidate], bool]


class Subject(Struct, frozen=True, cache_hash=True):
    """All that a proof depends on."""

    kind: str
    connector: str
    residues: tuple[Residue | None, ...]
    """Of each question; None for one that is answered yes."""
    schema: bytes | None
    """Of the arguments, as it was approved; None where none is known."""
    forms: tuple[Form, ...]
    """How arguments are spelt before policies see them."""
    is_binding: bool
    """Calls that do not fit the schema are refused."""


class Shown(Struct, frozen=True):
    """What was shown."""

    proof: Proof
    to_blame: int = 0
    """When it is refuted: the first question that cannot come to yes with those before."""
    forbidden: bool = False
    """And that one is not for want of a permit."""


class Proofs:
    """What was shown, by what it depends on. When full, the oldest goes."""

    def __init__(self) -> None:
        self._shown: dict[Subject, Shown] = {}

    def of(self, subject: Subject, confirm: Confirm) -> Shown:
        """Show what can be shown; `confirm` tells whether a candidate is allowed."""
        if any(it is not None and it.reads_more for it in subject.residues):
            return _show(subject, confirm)
        shown = self._shown.get(subject)
        if shown is None:
            if len(self._shown) >= MAX_PROOFS:
                del self._shown[next(iter(self._shown))]
            shown = self._shown[subject] = _show(subject, confirm)
        return shown


def _show(subject: Subject, confirm: Confirm) -> Shown:
    try:
        return _searched(subject, confirm)
    except Exception:  # noqa: BLE001 — what cannot be searched is listed; calls are decided
        return Shown("unproved")


def _searched(subject: Subject, confirm: Confirm) -> Shown:
    samples = None if subject.schema is None else Samples(subject.schema)
    known = Known(samples, subject.is_binding, subject.forms)
    open_ones = [(n, it) for n, it in enumerate(subject.residues) if it is not None]
    residues = [it for _, it in open_ones]
    proof = prove(residues, known, confirm)
    if proof != "refuted":
        return Shown(proof)
    before = 1
    while not _is_refuted(residues[:before], known):
        before += 1
    number, blamed = open_ones[before - 1]
    alone = replace(blamed, forbids=())
    return Shown(proof, number, forbidden=not _is_refuted([alone], known))


def _is_refuted(residues: Sequence[Residue], known: Known) -> bool:
    return prove(residues, known, lambda _: False) == "refuted"
