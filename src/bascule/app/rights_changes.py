"""What differs between two sets of policies, as texts."""

from __future__ import annotations

from msgspec import Struct

from bascule.decision import cedar
from bascule.decision.policy_files import GENERATED
from bascule.decision.snapshot import Snapshot


class PolicyChange(Struct, frozen=True):
    """One policy that is not the same in both."""

    id: str
    before: str | None
    """Cedar; None where there was none."""
    after: str | None

    @property
    def is_written(self) -> bool:
        """Whether it is one of a file, not made from a table."""
        return not self.id.startswith(GENERATED)


def policy_changes(before: Snapshot, after: Snapshot) -> list[PolicyChange]:
    """Give the policies that are new, gone or different, by id."""
    old, new = before.standing.by_id, after.standing.by_id
    return [
        PolicyChange(
            name,
            cedar.written(old[name].est) if name in old else None,
            cedar.written(new[name].est) if name in new else None,
        )
        for name in sorted(old.keys() | new.keys())
        if name not in old or name not in new or old[name].est != new[name].est
    ]
