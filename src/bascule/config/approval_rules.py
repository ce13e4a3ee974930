"""What `[approvals]` must keep to: rules that nobody could ever fulfil are mistakes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.config.model import ApprovalRule, Approvals
from bascule.config.paths import below, quoted

_PRINCIPAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")


def broken_approval_rules(approvals: Approvals) -> Iterator[tuple[str, str]]:
    """Give path and sentence of each problem."""
    path = "approvals"
    yield from _table(path, approvals)
    for key in ("break_glass", "change_by"):
        yield from _principals(f"{path}.{key}", getattr(approvals, key))
    most = max(
        [approvals.quorum, *(rule.quorum for rule in approvals.rules.values())],
    )
    if 0 < len(set(approvals.change_by)) < most:
        yield f"{path}.change_by", f"must name {most} persons: the largest quorum"
    for name, rule in approvals.rules.items():
        inner = below(f"{path}.rules", name)
        yield from _table(inner, rule)
        if not rule.connectors and not rule.owners:
            yield inner, "is for nothing: name `connectors` or `owners`"


def _table(path: str, table: Approvals | ApprovalRule) -> Iterator[tuple[str, str]]:
    yield from _principals(f"{path}.approvers", table.approvers)
    if 0 < len(set(table.approvers)) < table.quorum:
        yield f"{path}.quorum", "is more than there are `approvers`"


def _principals(path: str, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for place, name in enumerate(names):
        if _PRINCIPAL.fullmatch(name) is None:
            yield f"{path}[{place}]", f"{quoted(name)} is no principal of `allowed_signers`"
