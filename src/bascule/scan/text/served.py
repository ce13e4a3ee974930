"""All that one server serves, judged together: definitions, instructions, its own name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bascule.lock.surface import Document
from bascule.scan.text.definition import texts_of
from bascule.scan.text.judge import Evidence, Tier, Verdict, judge

Kind = Literal[
    "tools", "prompts", "resourceTemplates", "resources", "instructions", "server"
]

BUDGET = 2 << 20
"""Characters that are read of one server: some twenty seconds' work."""
_LONGEST = 300
"""Characters of a passage that are quoted."""
_NAMING = ("name", "title", "description")


@dataclass(frozen=True, slots=True)
class Served:
    """One thing that a server gives to models to read."""

    kind: Kind
    name: str
    """Empty for instructions and for what it says of itself."""
    definition: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Give `tools/NAME`; may hold anything that the server likes."""
        return f"{self.kind}/{self.name}" if self.name else self.kind

    @property
    def id(self) -> str:
        """Name this text, by all that it says: another word gives another id."""
        said = json.dumps([self.kind, self.name, self.definition], sort_keys=True)
        return f"text-{hashlib.sha256(said.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Judged:
    """A text that somebody should look at before it is approved."""

    id: str
    label: str
    verdict: Verdict | None
    """None for what was not read: the server says more than is ever read."""

    @property
    def tier(self) -> Tier | Literal["unread"]:
        """Say how bad it is."""
        return "unread" if self.verdict is None else self.verdict.tier

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Give the rules that apply, with the passages."""
        return () if self.verdict is None else self.verdict.evidence

    @property
    def needs_acceptance(self) -> bool:
        """Tell whether it takes a person's explicit word to approve it."""
        return self.tier != "flag"

    def told(self) -> str:
        """Say it in one line, which may hold anything that the server likes."""
        reasons = (f'{it.rule}: "{shortened(it.quote)}"' for it in self.evidence)
        why = "; ".join(reasons) or "its server says more than is read"
        return f"{self.label} [{self.tier}, {self.id}]: {why}"


def of_document(document: Document) -> Iterator[Served]:
    """Give what a captured surface has; what is never served is left out."""
    for kind, definitions in (
        ("tools", document.tools),
        ("prompts", document.prompts),
        ("resourceTemplates", document.resource_templates),
    ):
        for name, shown in definitions.items():
            yield from (Served(kind, name, it) for it in shown)  # type: ignore[arg-type]
    for text in document.instructions:
        yield Served("instructions", "", {"instructions": text})
    for identity in document.server:
        yield from of_identity(identity.get("serverInfo"))


def of_identity(info: object) -> Iterator[Served]:
    """Give what a server says of itself, where it says more than a name and a number."""
    if isinstance(info, Mapping):
        said = {key: info[key] for key in _NAMING if isinstance(info.get(key), str)}
        if said:
            yield Served("server", "", said)


def judged(
    served: Iterable[Served], *, own: Collection[str] = (), budget: int = BUDGET
) -> tuple[Judged, ...]:
    """Judge all of it, in its order; nothing is given of what is well.

    `own` are names of tools of the same server that are not among it. What comes after
    `budget` characters is given as unread, so that length hides nothing.
    """
    every = tuple(served)
    siblings = {*own, *(it.name for it in every if it.kind == "tools")}
    return tuple(_judged(every, siblings, budget))


def _judged(
    every: Iterable[Served], siblings: Collection[str], left: int
) -> Iterator[Judged]:
    for it in every:
        left -= sum(len(said.text) for said in texts_of(it.definition))
        if left < 0:
            yield Judged(it.id, it.label, None)
            continue
        verdict = judge(it.definition, siblings)
        if verdict.tier != "none":
            yield Judged(it.id, it.label, verdict)


def shortened(passage: str) -> str:
    """Bound the length of a quotation."""
    return f"{passage[:_LONGEST]}…" if len(passage) > _LONGEST else passage
