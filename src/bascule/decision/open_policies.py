"""Policies that read what is not known before a call: its arguments, what was touched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bascule.decision import cedar
from bascule.decision.formulas import ERROR, NO, YES, Formula, filled, formula_of
from bascule.decision.policy import Est, Policy

_ANYTHING: Est = {"op": "All"}


@dataclass(frozen=True)
class OpenPolicies:
    """Some of them, with the parts of their conditions that Cedar can answer already."""

    policies: tuple[Policy, ...]

    @cached_property
    def probes(self) -> cedar.PolicySet | None:
        """One policy for each such part, which permits when it holds; None for none."""
        asked = [part for _, parts in self._apart for part in parts]
        if not asked:
            return None
        return cedar.policy_set({str(n): _probe(part) for n, part in enumerate(asked)})

    def filled(self, found: cedar.Applying) -> list[tuple[Policy, Formula]]:
        """Give of each policy when it applies, once Cedar has answered the probes."""
        result, begin = [], 0
        for policy, (formula, parts) in zip(self.policies, self._apart, strict=True):
            places = range(begin, begin + len(parts))
            answers = [_outcome(str(place), found) for place in places]
            result.append((policy, filled(formula, answers)))
            begin += len(parts)
        return result

    @cached_property
    def _apart(self) -> tuple[tuple[Formula, list[Est]], ...]:
        return tuple(formula_of(policy) for policy in self.policies)


def _probe(part: Est) -> Est:
    return {
        "effect": "permit",
        "principal": _ANYTHING,
        "action": _ANYTHING,
        "resource": _ANYTHING,
        "conditions": [{"kind": "when", "body": part}],
    }


def _outcome(name: str, found: cedar.Applying) -> int:
    if name in found.failed:
        return ERROR
    return YES if name in found.applied else NO
