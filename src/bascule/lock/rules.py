"""Who may approve what: `[approvals]` as it applies to one connector."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from bascule.config.model import Approvals
from bascule.lock.model import digest_of
from bascule.lock.signers import Signers

DAY = 86_400
LONGEST_BREAK_GLASS = DAY


@dataclass(frozen=True, slots=True)
class Rule:
    """All that is asked for one connector."""

    approvers: frozenset[str]
    break_glass: frozenset[str]
    quorum: int
    not_author: bool
    longest_seconds: int
    audited: frozenset[str] = frozenset()
    """Criteria of `audits.toml` that every package must meet."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """The set in force: whose signatures count, and by which rules."""

    signers: Signers
    rules: Approvals

    @property
    def digest(self) -> str:
        """Name it: the same for all files that mean the same."""
        return digest_of(self.document())

    def document(self) -> dict[str, object]:
        """Give it as a JSON value without comments, order of lines and defaults."""
        return {
            "allowed_signers": self.signers.text(),
            "approvals": msgspec.to_builtins(self.rules),
        }

    def rule_for(self, name: str, *owners: str) -> Rule:
        """Put together what applies to a connector: each rule narrows.

        `owners`: who answers for it, and who did until now. To name another owner is no way
        around the rules for the one before.
        """
        base = self.rules
        more = [
            it
            for it in base.rules.values()
            if matches(it.connectors, name)
            or any(owner and matches(it.owners, owner) for owner in owners)
        ]
        approvers = self._named(base.approvers)
        for rule in more:
            approvers &= self._named(rule.approvers)
        return Rule(
            approvers=approvers,
            break_glass=self.signers.principals & set(base.break_glass),
            quorum=max([base.quorum, *(it.quorum for it in more)]),
            not_author=base.not_author or any(it.not_author for it in more),
            longest_seconds=DAY
            * min([base.longest_days, *(it.longest_days for it in more)]),
            audited=frozenset(it.audited for it in more if it.audited),
        )

    def rule_for_changes(self) -> Rule:
        """Give what a change of this set itself needs."""
        base = self.rules
        return Rule(
            approvers=self._named(base.change_by or base.approvers),
            break_glass=frozenset(),
            quorum=max([base.quorum, *(it.quorum for it in base.rules.values())]),
            not_author=False,
            longest_seconds=DAY * base.longest_days,
        )

    def _named(self, names: tuple[str, ...]) -> frozenset[str]:
        """Give the principals that have a key and are named; all when none is."""
        known = self.signers.principals
        return known & set(names) if names else known


def matches(patterns: Iterable[str], text: str) -> bool:
    """Tell whether one of the patterns fits all of a text; `*` is any run of characters."""
    return any(
        re.fullmatch(re.escape(it).replace(r"\*", ".*"), text, re.DOTALL) for it in patterns
    )
