"""`bascule scan host` and `bascule scan`, on a machine of its own that the test makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from system.host_scene import (
    BANNER,
    BEHIND_PORT,
    ECHO,
    INNER_PORT,
    LAN,
    NGINX,
    OPEN_PORT,
    SECRET,
    SILENT,
    TLS,
)

pytestmark = pytest.mark.on_disk

TESTS = Path(__file__).parents[1]
APART = ("unshare", "-Urn", "--pid", "--fork", "--mount-proc", "--kill-child")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("scene")
    done = subprocess.run(
        [*APART, sys.executable, "-m", "system.host_scene", folder],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def host(scene: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(scene["host"]["stdout"])
    return found


@pytest.fixture(scope="module")
def both(scene: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(scene["both"]["stdout"])
    return found


def rows(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {it.get("address") or it["name"]: it for it in report["servers"]}


def rules_of(report: dict[str, Any], target: str) -> dict[str, str]:
    return {
        it["rule"]: it["severity"] for it in report["findings"] if target in it["target"]
    }


def test_what_is_found_makes_it_exit_1(scene: dict[str, Any]) -> None:
    assert [scene[name]["code"] for name in ("host", "both")] == [1, 1]


def test_all_servers_are_found_and_nothing_else(host: dict[str, Any]) -> None:
    states = sorted((it["name"], it["transport"], it["state"]) for it in host["servers"])
    assert states == [
        ("behind", "http", "open"),
        ("clock", "stdio", "running"),
        ("ledger", None, "token_required"),
        ("shadow.py", "stdio", "running"),
        ("weather", "http", "open"),
    ]


def test_a_server_that_nobody_names_is_a_shadow(host: dict[str, Any]) -> None:
    """It says by which process and where; beyond loopback it is worse."""
    row = rows(host)[f"{LAN}:{OPEN_PORT}"]
    assert row["known"] is False
    assert row["process"][-2:] == ["server.py", str(OPEN_PORT)]
    (found,) = [it for it in host["findings"] if it["rule"] == "shadow-server"]
    assert (found["severity"], found["target"]) == ("high", f"http://{LAN}:{OPEN_PORT}/mcp")
    assert f"process {row['pid']}, " in found["evidence"]
    assert f"0.0.0.0:{OPEN_PORT}" in found["evidence"]


def test_the_widest_address_that_answers_is_the_exposure(host: dict[str, Any]) -> None:
    rules = rules_of(host, f"{LAN}:{OPEN_PORT}")
    assert (rules["open-server"], rules["exposed-server"]) == ("critical", "medium")


def test_one_that_listens_on_loopback_alone_is_not_exposed(
    host: dict[str, Any], scene: dict[str, Any]
) -> None:
    assert "exposed-server" not in rules_of(host, scene["known"])


def test_what_a_client_or_bascule_names_is_known(
    host: dict[str, Any], scene: dict[str, Any]
) -> None:
    named = {it["name"]: it for it in host["servers"]}
    assert [named[it]["known"] for it in ("behind", "clock", "ledger")] == [True] * 3
    assert named["clock"]["client"] == named["ledger"]["client"] == "Cursor"
    assert "client" not in named["behind"]
    assert named["behind"]["address"] == f"{LAN}:{BEHIND_PORT}"
    shadows = [it["target"] for it in host["findings"] if it["rule"].startswith("shadow")]
    assert not any(scene["known"] in it or str(BEHIND_PORT) in it for it in shadows)


def test_a_shadow_that_speaks_over_pipes_is_found_by_its_program(
    host: dict[str, Any],
) -> None:
    (found,) = [it for it in host["findings"] if it["rule"] == "shadow-process"]
    assert "shadow.py" in found["target"]
    assert "by what shadow.py imports" in found["evidence"]


def test_secrets_in_commands_and_urls_are_never_shown(scene: dict[str, Any]) -> None:
    assert SECRET not in json.dumps(scene)


def test_other_servers_are_left_in_peace(host: dict[str, Any]) -> None:
    """An echo, a banner, TLS with mail behind it, nginx: asked, and not taken for MCP."""
    asked = {it["address"] for it in host["requests"]}
    for port in (ECHO, BANNER, TLS, NGINX, SILENT):
        assert f"127.0.0.1:{port}" in asked
        assert f":{port}" not in json.dumps([host["servers"], host["findings"]])


def test_one_that_never_answers_is_not_assessed(host: dict[str, Any]) -> None:
    silent = [it for it in host["not_assessed"] if f":{SILENT}" in it["what"]]
    assert [it["why"] for it in silent] == ["it takes the connection and never answers"]


def test_what_listens_in_another_network_namespace_is_said_to_be_out_of_reach(
    host: dict[str, Any],
) -> None:
    (gap,) = [it for it in host["not_assessed"] if f":{INNER_PORT}" in it["what"]]
    assert "another network namespace" in gap["what"]
    assert "--net bascule scan host" in gap["why"]


def test_no_tool_is_ever_called(scene: dict[str, Any]) -> None:
    assert scene["heard"] is False


def test_a_bare_scan_has_one_row_for_what_a_file_names_and_what_runs(
    both: dict[str, Any],
) -> None:
    names = sorted(it["name"] for it in both["servers"])
    assert names == ["behind", "clock", "idle", "ledger", "shadow.py", "weather"]
    named = {it["name"]: it for it in both["servers"]}
    assert named["idle"]["state"] == "configured"
    assert named["idle"]["pinned"] is True
    assert named["clock"]["state"] == "running"
    assert named["clock"]["pid"] > 0
    assert named["clock"]["path"].endswith("mcp.json")
    assert named["ledger"]["state"] == "token_required"
    assert named["ledger"]["address"].startswith("127.0.0.1:")


def test_a_bare_scan_has_the_findings_of_both(both: dict[str, Any]) -> None:
    rules = {it["rule"] for it in both["findings"]}
    assert {"shadow-server", "open-server", "not-through-bascule"} <= rules


def test_posture_names_the_servers_that_nobody_knows(scene: dict[str, Any]) -> None:
    found = json.loads(scene["posture"]["stdout"])
    (shadow,) = (
        it
        for promise in found["promises"]
        for it in promise["controls"]
        if it["id"] == "shadow"
    )
    assert shadow["state"] == "not_met"
    said = " ".join(shadow["evidence"])
    assert f"http://{LAN}:{OPEN_PORT}/mcp" in said
    assert "shadow.py" in said
    assert SECRET not in said
