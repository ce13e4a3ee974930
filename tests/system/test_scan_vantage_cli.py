"""`bascule scan vantage`, between three network namespaces that the test makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from system.test_scan_host import APART, TESTS
from system.vantage_scene import HERE, PORT, TARGET


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = subprocess.run(
        [
            *APART,
            sys.executable,
            "-m",
            "system.vantage_scene",
            tmp_path_factory.mktemp("v"),
        ],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_server_that_cannot_be_reached_from_here_is_seen_from_there(
    told: dict[str, Any],
) -> None:
    assert (told["from here"], told["from there"]) == ("unreachable", "open")


def test_a_closed_port_is_told_from_a_vantage_point_that_refuses(
    told: dict[str, Any],
) -> None:
    assert told["closed port"] == "unreachable"
    for own in ("its own address", "its inner address"):
        assert "does not connect to its own machine" in told[own]


def test_each_order_is_written_down_with_whom_it_was_for(told: dict[str, Any]) -> None:
    done = {(it["event"], it["peer"], it.get("target")) for it in told["records"]}
    assert ("connect", HERE, f"{TARGET}:{PORT}") in done
    assert ("refused", HERE, None) in done


def test_it_ends_when_it_is_told_to(told: dict[str, Any]) -> None:
    assert told["code"] == 0
