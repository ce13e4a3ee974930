"""How commands tell of what definitions say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bascule.cli.output import printable

if TYPE_CHECKING:
    from bascule.scan.text.served import Read


def told(found: Iterable[Read], server: str) -> str:
    """Write what was found in a server's texts, for people."""
    lines = []
    for read in found:
        tier = "must not be served unread" if read.verdict.tier == "block" else "look at it"
        lines.append(f"{read.what}: {tier}")
        lines += [f"  {it.title}\n    {it.evidence}" for it in read.findings(server)]
    return printable("\n".join(lines))
