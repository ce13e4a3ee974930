"""The fixture server passes by itself: what is lost behind the gateway, it lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.rig import fixture_server
from conformance.suite import exceptions, required, run

REVISIONS = {"2025-11-25": 30, "2026-07-28": 37}


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_fixture_server_alone_passes_all_that_a_revision_requires(
    revision: str, tmp_path: Path
) -> None:
    with fixture_server() as port:
        report = run(f"http://localhost:{port}/mcp", revision, tmp_path)
    assert report.failing == set(exceptions(revision))
    assert len(required(revision) & report.passing) == REVISIONS[revision]
    assert len(required(revision)) == REVISIONS[revision]
