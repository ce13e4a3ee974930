"""A thousand listening ports, twenty of them MCP: what a scan finds, and what it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from system.many_ports import SERVERS
from system.test_scan_host import APART, TESTS


@pytest.mark.soak
@pytest.mark.parametrize("files", ["256", "1024"])
def test_all_of_twenty_servers_among_a_thousand_ports_are_found(
    tmp_path: Path, files: str
) -> None:
    """Also where few files may be open at first. The time is printed, and not judged."""
    done = subprocess.run(
        [*APART, sys.executable, "-m", "system.many_ports", tmp_path],
        env={**os.environ, "PYTHONPATH": str(TESTS), "FILES": files},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(found)
    assert found["servers"] == SERVERS
    assert found["mebibytes"] <= 150
