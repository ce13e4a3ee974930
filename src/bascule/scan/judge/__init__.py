"""Verdicts on a server that was identified: what it lets happen that it should not.

Each judge changes one thing of a request that had its answer, and finds something only
where the changed one has it too. What cannot be told is a gap, never a finding.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bascule.scan.finding import Finding
from bascule.scan.probed import Identity
from bascule.scan.report import Gap
from bascule.scan.wire import Wire

Judge = Callable[[Wire, Identity], Awaitable[Sequence[Finding | Gap]]]

JUDGES: tuple[Judge, ...] = ()
"""In the order in which they are asked."""
