"""What the fixture server scores without Bascule before it, found out once."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec
import pytest

from conformance.rig import fixture_server
from conformance.suite import Report, run


@pytest.fixture(scope="session")
def alone(
    shared_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Report]:
    @cache
    def report(revision: str) -> Report:
        path = shared_folder / f"alone-{revision}.json"
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the first of all processes finds it out
            if not path.exists():
                with fixture_server() as port:
                    url = f"http://localhost:{port}/mcp"
                    found = run(url, revision, tmp_path_factory.mktemp("alone"))
                path.write_bytes(msgspec.json.encode(found))
        return msgspec.json.decode(path.read_bytes(), type=Report)

    return report
