"""Verdicts on a server that was identified: what it lets happen that it should not.

Each judge changes one thing of a request that had its answer, and finds something only
where the changed one has it too. What cannot be told is a gap, never a finding.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bascule.scan.finding import Finding
from bascule.scan.judge.browser import judge_browser
from bascule.scan.judge.definitions import judge_definitions
from bascule.scan.judge.metadata import judge_metadata
from bascule.scan.judge.products import judge_product
from bascule.scan.judge.serving import (
    judge_cleartext,
    judge_mirrors,
    judge_sessions,
    judge_versions,
)
from bascule.scan.judge.tokens import judge_tokens
from bascule.scan.probed import Identity
from bascule.scan.report import Gap
from bascule.scan.wire import Wire

Judge = Callable[[Wire, Identity], Awaitable[Sequence[Finding | Gap]]]

JUDGES: tuple[Judge, ...] = (
    judge_cleartext,
    judge_versions,
    judge_product,
    judge_definitions,
    judge_browser,
    judge_mirrors,
    judge_sessions,
    judge_metadata,
    judge_tokens,
)
"""In the order in which they are asked, one after the other: servers may be small.

Tokens come last: who shows wrong ones may be shut out afterwards."""
