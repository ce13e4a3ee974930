"""The verdicts on all that one server serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bascule.lock.surface import Document
from bascule.scan.finding import Finding
from bascule.scan.text.findings import findings
from bascule.scan.text.judge import Verdict, judge


@dataclass(frozen=True, slots=True)
class Read:
    """One text of a surface that is not as it should be."""

    what: str
    """`tools/NAME`, `prompts/NAME`, `resourceTemplates/URI` or `instructions`."""
    verdict: Verdict

    def findings(self, server: str) -> tuple[Finding, ...]:
        """Give what was found, as findings about a server."""
        return tuple(findings(self.verdict, server, self.what))


def read_surface(document: Document, known: Document | None = None) -> tuple[Read, ...]:
    """Judge each definition of a surface; gives those that a person has to look at.

    Names of the server's own tools are siblings. What `known` has too, with the same
    content, is left out: it was looked at before.
    """
    siblings = tuple(document.tools)
    looked_at: dict[str, list[Mapping[str, Any]]] = {}
    for what, definition in _definitions(known) if known is not None else ():
        looked_at.setdefault(what, []).append(definition)
    found = []
    for what, definition in _definitions(document):
        if definition in looked_at.get(what, ()):
            continue
        verdict = judge(definition, siblings)
        if verdict.tier != "none":
            found.append(Read(what, verdict))
    return tuple(found)


def _definitions(document: Document) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for text in document.instructions:
        yield "instructions", {"name": "instructions", "instructions": text}
    kinds = (
        ("tools", document.tools),
        ("prompts", document.prompts),
        ("resourceTemplates", document.resource_templates),
    )
    for kind, definitions in kinds:
        for name, shown in definitions.items():
            for definition in shown:
                yield f"{kind}/{name}", definition
