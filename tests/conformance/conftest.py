"""What the fixture server scores without Bascule before it, found out once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from conformance.rig import fixture_server
from conformance.suite import Report, run


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Report]:
    @cache
    def report(revision: str) -> Report:
        with fixture_server() as port:
            url = f"http://localhost:{port}/mcp"
            return run(url, revision, tmp_path_factory.mktemp("alone"))

    return report
