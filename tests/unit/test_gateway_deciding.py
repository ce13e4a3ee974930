"""Waiting for the record of a decision, when the request is ended meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from bascule.decision.facts import Reason
from bascule.gateway.deciding import on_disk
from bascule.gateway.gateway import UnapprovedError
from bascule.gateway.steps import Run, Step


class Owner:
    def crashed(self, problem: Exception) -> None:
        raise problem

    def ended(self) -> None:
        pass


@pytest.mark.parametrize("code", ["", "abc"], ids=["allowed", "refused"])
def test_who_is_refused_gets_the_code_of_the_record_also_when_the_approval_ends(
    code: str,
) -> None:
    completed: list[object] = []
    journal = SimpleNamespace(completed=lambda entry, outcome: completed.append(entry))
    entry: Any = SimpleNamespace(durable=Step[bool](), code=code)
    caught: list[UnapprovedError] = []

    async def wait() -> None:
        try:
            await on_disk(cast("Any", SimpleNamespace(journal=journal)), entry)
        except UnapprovedError as exc:
            caught.append(exc)

    Run(wait(), Owner())
    entry.durable.fail(UnapprovedError("desk", Reason.APPROVAL_EXPIRED))
    assert [it.code for it in caught] == [code]
    assert completed == ([] if code else [entry])
