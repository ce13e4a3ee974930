"""The fixture server passes by itself: what is lost behind the gateway, it lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conformance.suite import REVISIONS, Report, exceptions, required


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_fixture_server_alone_passes_all_that_a_revision_requires(
    revision: str, alone: Callable[[str], Report]
) -> None:
    report = alone(revision)
    assert report.failing == set(exceptions(revision))
    assert len(required(revision) & report.passing) == REVISIONS[revision]
    assert len(required(revision)) == REVISIONS[revision]
