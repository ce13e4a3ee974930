"""Verdicts as findings of a scan."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET, UnsetType

from bascule.lock.invisible import visible
from bascule.scan.finding import Finding, found
from bascule.scan.rule import Severity
from bascule.scan.rules.text import RULES
from bascule.scan.text.judge import Tier, Verdict

_BY_ID = {rule.id: rule for rule in RULES}
_SEVERITY: dict[Tier, Severity] = {"block": "high", "flag": "medium"}
_LONGEST = 300
"""Characters of a passage that are quoted."""


def findings(
    verdict: Verdict,
    target: str,
    name: str,
    *,
    path: str | UnsetType = UNSET,
    line: int | UnsetType = UNSET,
) -> Iterator[Finding]:
    """Give a finding for each rule that made a verdict; none for the tier `none`.

    `target` is what serves the definition that is called `name`.
    """
    if verdict.tier == "none":
        return
    for it in verdict.evidence:
        yield found(
            _BY_ID[it.rule],
            target,
            f"{visible(name)[:_LONGEST]}, {it.where}: {quote(it.quote)}",
            key=f"{name}\0{it.where}",
            severity=_SEVERITY[verdict.tier],
            path=path,
            line=line,
        )


def quote(passage: str) -> str:
    """Write a passage for people, in quotation marks, its length bounded."""
    shown = visible(passage[:_LONGEST])
    return f'"{shown}…"' if len(passage) > _LONGEST else f'"{shown}"'
