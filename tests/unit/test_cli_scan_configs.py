"""`bascule scan configs`, as it is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bascule.cli.main import main

BAD = {"command": "npx", "args": ["-y", "tool"], "env": {"API_TOKEN": "hunter22"}}
GOOD = {"command": "npx", "args": ["-y", "tool@1.0.0"]}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own; `/etc/passwd` may name others, which are the machine's."""
    home = tmp_path / "home"
    (home / ".cursor").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "BASCULE_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return home


def put(path: Path, **servers: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"mcpServers": servers}))
    return path


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["scan", "configs", *words], catch_exceptions=False)


def rows(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(result.stdout)["servers"]
    return found


def test_findings_make_it_exit_1_and_none_0(home: Path) -> None:
    path = put(home / ".cursor/mcp.json", one=BAD)
    result = run("--json", str(path))
    assert (result.exit_code, rows(result)[0]["pinned"]) == (1, False)
    result = run("--json", str(put(home / ".kiro/settings/mcp.json", one=GOOD)))
    assert (result.exit_code, rows(result)[0]["pinned"]) == (0, True)


def test_your_own_home_is_scanned_by_itself(home: Path) -> None:
    put(home / ".cursor/mcp.json", one=GOOD)
    put(home / "src/project/.mcp.json", two=GOOD)
    mine = [it["name"] for it in rows(run("--json")) if it["path"].startswith(str(home))]
    assert mine == ["one", "two"]
    assert (home / ".local/state/bascule/client-configs.json").exists()


def test_xdg_variables_are_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home.parent / "xdg"))
    put(home.parent / "xdg/Claude/claude_desktop_config.json", one=GOOD)
    put(home / ".config/Claude/claude_desktop_config.json", two=GOOD)
    assert {"one", "two"} <= {it["name"] for it in rows(run("--json"))}


def test_a_path_is_scanned_instead_of_the_home(home: Path, tmp_path: Path) -> None:
    put(home / ".cursor/mcp.json", one=GOOD)
    put(tmp_path / "repo/.mcp.json", two=GOOD)
    assert [it["name"] for it in rows(run("--json", str(tmp_path / "repo")))] == ["two"]


def test_a_repository_is_compared_with_itself_from_one_folder(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "repo/.mcp.json", two=GOOD)
    for folder, path in (("repo", "."), (".", "repo"), ("repo", "."), (".", "repo")):
        monkeypatch.chdir(tmp_path / folder)
        found = json.loads(run("--json", path).stdout)["findings"]
        assert {it["rule"] for it in found} == {"not-through-bascule"}


def test_a_path_that_is_not_there_is_wrong_usage(home: Path) -> None:
    assert run("nowhere").exit_code == 2


def test_the_public_url_of_the_configuration_is_bascules(home: Path) -> None:
    through = {"url": "https://mcp.corp.example/c/time/mcp"}
    put(home / ".cursor/mcp.json", one=through)
    words = ("--json", str(home / ".cursor"))
    assert rows(run(*words))[0]["through_bascule"] is None
    Path("bascule.toml").write_text('[server]\npublic_url = "https://mcp.corp.example"\n')
    assert rows(run(*words))[0]["through_bascule"] is True
    Path("bascule.toml").write_text("broken")
    result = run(*words)
    assert rows(result)[0]["through_bascule"] is None
    assert "left out" in result.stderr
    named = run(*words, "--bascule", "https://mcp.corp.example")
    assert rows(named)[0]["through_bascule"] is True


def test_text_for_people_names_the_server_and_no_secret(home: Path) -> None:
    result = run(str(put(home / ".cursor/mcp.json", one=BAD)))
    assert "one" in result.stdout
    assert "hunter22" not in result.output
