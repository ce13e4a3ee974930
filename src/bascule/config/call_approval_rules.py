"""What `[call_approvals]` must keep to: a rule that nobody could fulfil is a mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bascule.config.model import CallApprovalRule, Config
from bascule.config.paths import below, quoted

DEFAULT = "default"
"""The rule of a policy that says `approve` and names none."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def broken_call_approval_rules(
    rules: Mapping[str, CallApprovalRule],
) -> Iterator[tuple[str, str]]:
    """Give path and sentence of each problem."""
    for name, rule in rules.items():
        path = below("call_approvals", name)
        if _NAME.fullmatch(name) is None:
            yield path, "must be a name of letters, digits, `_` and `-`"
        for place, who in enumerate(rule.approvers):
            if not who.startswith(("user:", "group:")) or who[-1] == ":":
                sentence = f"{quoted(who)} must begin with `user:` or `group:`"
                yield f"{path}.approvers[{place}]", sentence
        if rule.quorum > _most(rule):
            yield f"{path}.quorum", "is more than there are persons who may consent"


def rules_in_force(config: Config) -> Mapping[str, CallApprovalRule]:
    """Give the rules by name; one that names nobody is for administrators."""
    return {DEFAULT: CallApprovalRule(), **config.call_approvals}


def _most(rule: CallApprovalRule) -> int:
    """Count who may consent; a group may have any number, and nobody named is one."""
    if any(it.startswith("group:") for it in rule.approvers):
        return rule.quorum
    return max(1, len(set(rule.approvers)) + rule.self_approval)
