"""What changed in clients' files since the last scan is told once, and holds no secret."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bascule.cli.main import main

SENTINEL = "Sentinel-7f3a9c-Value"
SERVER = {"command": "npx", "args": ["-y", "tool@1.0.0"], "env": {"API_TOKEN": SENTINEL}}


def put(home: Path, servers: object, name: str = ".cursor/mcp.json") -> Path:
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"mcpServers": servers}))
    return path


def scan(home: Path, *words: str) -> dict[str, Any]:
    state = ["--state", str(home.parent / "state.json")]
    options = ["--home", str(home), "--json", "--fail-on", "never", *state, *words]
    result = CliRunner().invoke(main, ["scan", "configs", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def changes(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (it["severity"], it["evidence"])
        for it in found["findings"]
        if it["rule"] == "client-config-changed"
    ]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    put(tmp_path / "home", {"one": SERVER})
    return tmp_path / "home"


def test_the_first_scan_is_kept_and_says_so(home: Path) -> None:
    first, second = scan(home), scan(home)
    assert changes(first) == changes(second) == []
    assert "first scan" in first["not_assessed"][0]["why"]
    assert second["not_assessed"] == []


def test_the_first_scan_of_a_path_leaves_nothing_unsaid(home: Path) -> None:
    state = ["--state", str(home.parent / "paths.json"), "--json", "--fail-on", "never"]
    words = ["scan", "configs", str(home / ".cursor" / "mcp.json"), *state]
    first = json.loads(CliRunner().invoke(main, words).stdout)
    assert first["not_assessed"] == []
    put(home, {"one": SERVER, "two": SERVER})
    second = json.loads(CliRunner().invoke(main, words).stdout)
    assert changes(second) == [("medium", "new: `npx -y tool@1.0.0`")]


@pytest.mark.parametrize(
    ("servers", "told"),
    [
        ({"one": SERVER, "two": SERVER}, [("medium", "new: `npx -y tool@1.0.0`")]),
        ({}, [("info", "gone: `npx -y tool@1.0.0`")]),
        (
            {"one": {**SERVER, "args": ["-y", "evil@1.0.0"]}},
            [("medium", "was `npx -y tool@1.0.0`, is `npx -y evil@1.0.0`")],
        ),
        (
            {"one": {**SERVER, "env": {"API_TOKEN": SENTINEL, "BASE_URL": "https://x"}}},
            [("medium", "`npx -y tool@1.0.0` as before, with other variables, headers or "
              "options")],
        ),
        ({"one": {**SERVER, "env": {"API_TOKEN": "another-7f3a9c"}}}, []),
    ],
)  # fmt: skip
def test_a_change_is_told_once(
    servers: object, told: list[tuple[str, str]], home: Path
) -> None:
    scan(home)
    put(home, servers)
    assert changes(scan(home)) == told
    assert changes(scan(home)) == []


def test_a_client_that_gets_its_first_server_is_a_change(home: Path) -> None:
    scan(home)
    put(home, {"rogue": SERVER}, ".kiro/settings/mcp.json")
    assert [severity for severity, _ in changes(scan(home))] == ["medium"]


def test_a_file_that_cannot_be_read_this_time_is_no_change(home: Path) -> None:
    scan(home)
    path = put(home, {"one": SERVER})
    good = path.read_text()
    path.write_text(good[:-10])
    assert changes(scan(home)) == []
    path.write_text(good)
    assert changes(scan(home)) == []
    path.unlink()
    assert [severity for severity, _ in changes(scan(home))] == ["info"]


def test_another_home_is_compared_with_itself(home: Path, tmp_path: Path) -> None:
    scan(home)
    put(tmp_path / "other", {"two": SERVER})
    assert changes(scan(tmp_path / "other")) == []
    assert changes(scan(home)) == []


def test_what_is_kept_is_the_users_alone_and_holds_no_secret(home: Path) -> None:
    scan(home)
    path = home.parent / "state.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "7f3a9c" not in path.read_text()


@pytest.mark.parametrize(
    "content", ["", "{", '{"format": 2}', "[1]", '{"scans": {"a": 1}}']
)
def test_what_is_kept_and_not_understood_is_told_and_left(content: str, home: Path) -> None:
    path = home.parent / "state.json"
    path.write_text(content)
    (gap,) = scan(home)["not_assessed"]
    assert "--state" in gap["why"]
    assert path.read_text() == content


def test_a_pipe_in_the_place_of_what_is_kept_does_not_hold_the_scan(home: Path) -> None:
    os.mkfifo(home.parent / "state.json")
    (gap,) = scan(home)["not_assessed"]
    assert "a named pipe" in gap["why"]


def test_what_cannot_be_kept_is_told(home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (gap,) = scan(home, "--state", str(tmp_path / "file" / "state.json"))["not_assessed"]
    assert "cannot be" in gap["why"]
