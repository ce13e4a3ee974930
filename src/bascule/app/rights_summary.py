"""What a reload changes in the rights of everybody, in a few words for its record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bascule.app.candidates import Candidate
from bascule.app.everyone import everyone
from bascule.app.load import Loaded
from bascule.clock import UnixTime, monotonic
from bascule.decision.rights_diff import Block, Difference, difference
from bascule.errors import BasculeError
from bascule.storage.store import Store

MAX_SECONDS = 2.0
"""A reload waits for it, and whoever is served beside it shares a processor with it."""
MAX_CHARACTERS = 2000
_MOST_BLOCKS = 3
_MOST_NAMES = 3


class _TooLongError(BasculeError):
    """It takes longer than a reload should."""


def rights_summary(
    before: Loaded, after: Loaded, config_path: Path, store: Store, now: UnixTime
) -> dict[str, str]:
    """Give what becomes allowed, and what denied, by the kind of change.

    Nothing for no difference. What cannot be told in time is said to be so: a reload must
    not fail for it.
    """
    end = monotonic() + MAX_SECONDS

    def in_time(done: int, of: int) -> None:
        if monotonic() > end:
            raise _TooLongError("too many rights to compare in a moment")

    sides = [Candidate(config_path, it.config, it.policies) for it in (before, after)]
    try:
        whose = everyone(sides, store)
        found = difference(before.snapshot, after.snapshot, whose, now, in_time)
    except BasculeError as exc:
        return {"rights": f"not compared: {exc}; `bascule policy diff` does"}
    return summary_of(found)


def summary_of(found: Difference) -> dict[str, str]:
    """Write the combinations of users, agents and tools that change, the largest first."""
    by_kind: dict[str, list[Block]] = {}
    for block in found.combined:
        by_kind.setdefault(block.change.kind, []).append(block)
    return {f"rights.{kind}": _written(blocks) for kind, blocks in by_kind.items()}


def _written(blocks: Sequence[Block]) -> str:
    shown = "; ".join(_parts(blocks[:_MOST_BLOCKS]))
    more = len(blocks) - _MOST_BLOCKS
    end = f"; and {more} more" if more > 0 else ""
    return f"{sum(it.size for it in blocks)}: {shown}{end}"[:MAX_CHARACTERS]


def _parts(blocks: Sequence[Block]) -> Iterator[str]:
    for it in blocks:
        users = _named([user or "by itself" for user in it.users])
        yield f"{users} through {_named(it.agents)}: {_named(it.targets)}"


def _named(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
