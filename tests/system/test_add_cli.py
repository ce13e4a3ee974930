"""`bascule add`, from the command line to the file."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bascule.cli.main import main
from bascule.config.load import load
from bascule.config.model import Connector


def options(path: Path) -> list[str]:
    """Give the file, and a data directory apart from it."""
    data = path.parent.with_name(f"{path.parent.name}-data")
    return ["--config", str(path), "--data-dir", str(data)]


def bascule(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*options(path), *arguments], catch_exceptions=False)


def add(path: Path, *arguments: str) -> Result:
    """Add a connector without locking it: that is another matter."""
    return bascule(path, "add", "--no-lock", *arguments)


def recorded(path: Path) -> list[dict[str, Any]]:
    """Give the whole records of the log, oldest first."""
    rows = bascule(path, "audit", "query", "--json").stdout.splitlines()
    shown = [bascule(path, "audit", "show", str(it), "--json") for it in range(len(rows))]
    return [json.loads(it.stdout) for it in shown]


def connectors(path: Path) -> dict[str, Connector]:
    return load(path.read_text(), source=str(path)).connectors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bascule.toml"


def test_a_missing_file_is_created_for_its_user_alone(path: Path) -> None:
    assert add(path, "tickets", "https://tickets.example/mcp").exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert connectors(path) == {
        "tickets": Connector(url="https://tickets.example/mcp", mode="enforce")
    }


def test_a_missing_default_file_is_created_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bascule.cli.main", "add", "a", "https://a.example/"]
    environment = {k: v for k, v in os.environ.items() if k != "BASCULE_CONFIG"}
    environment["XDG_DATA_HOME"] = str(tmp_path / "data")
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert list(connectors(tmp_path / "bascule.toml")) == ["a"]


def test_what_follows_two_dashes_is_the_command_whole(path: Path) -> None:
    words = ("npx", "-y", "server", "--config", "x", "--owner", "y", "--", "--json", "")
    assert add(path, "a", "--owner", "team", "--", *words).exit_code == 0
    assert connectors(path) == {"a": Connector(command=words, owner="team", mode="enforce")}


def test_comments_layout_and_mode_stay(path: Path) -> None:
    before = "# mine\r\n[connectors.a] # kept\r\nurl   = 'https://a.example/'"
    path.write_bytes(before.encode())
    path.chmod(0o640)
    assert add(path, "b", "https://b.example/").exit_code == 0
    assert path.read_bytes().decode().startswith(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(connectors(path)) == ["a", "b"]


@pytest.mark.parametrize("before", ["# mine", "# mine\n"])
def test_a_connector_stands_behind_an_empty_line(path: Path, before: str) -> None:
    path.write_text(before)
    add(path, "a", "https://a.example/")
    written = '# mine\n\n[connectors.a]\nurl = "https://a.example/"\nmode = "enforce"\n'
    assert path.read_text() == written


def test_a_name_that_is_taken_is_told_as_such(path: Path) -> None:
    add(path, "a", "https://a.example/")
    assert "connector `a` exists" in add(path, "a", "https://a.example/").stderr


def run_with_small_files(path: Path, most: int, *arguments: str) -> str:
    """Run `add` where no file can grow beyond so many bytes; give its complaint."""
    command = [sys.executable, "-m", "bascule.cli.main", *options(path), "add", *arguments]
    result = subprocess.run(
        ["prlimit", f"--fsize={most}", *command], capture_output=True, text=True
    )
    assert result.returncode == 3
    return result.stderr


def test_a_full_disk_leaves_the_file_as_it_is_and_nothing_beside(path: Path) -> None:
    path.write_text("#" * (1 << 20))
    before = path.read_bytes()
    complaint = run_with_small_files(path, 1 << 20, "b", "https://b.example/")
    assert "cannot change" in complaint
    assert path.read_bytes() == before
    assert [it.name for it in path.parent.iterdir()] == [path.name]


def test_what_cannot_be_recorded_is_not_done(path: Path) -> None:
    add(path, "a", "https://a.example/")
    before = path.read_bytes()
    run_with_small_files(path, 100, "b", "https://b.example/")
    assert path.read_bytes() == before


def test_the_record_says_what_was_added_without_its_secrets(path: Path) -> None:
    add(path, "a", "https://a.example/mcp?key=hunter2")
    add(path, "b", "--", "server", "--token", "hunter2")
    first, second = recorded(path)
    assert [(it["type"], it["connector"]) for it in (first, second)] == [
        ("connector.add", "a"),
        ("connector.add", "b"),
    ]
    assert first["admin"]["url"] == "https://a.example/mcp"
    assert second["admin"]["program"] == "server"
    assert "os_user" in first["admin"]
    assert "hunter2" not in json.dumps([first, second])


def test_what_is_refused_is_not_recorded(path: Path) -> None:
    assert add(path, "A", "https://a.example/").exit_code == 3
    assert recorded(path) == []


def test_a_very_long_address_is_recorded_in_short(path: Path) -> None:
    assert add(path, "a", "https://a.example/" + "x" * 100_000).exit_code == 0
    (record,) = recorded(path)
    assert len(record["admin"]["url"]) == 1000


def test_a_link_to_the_file_stays_a_link(path: Path, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    target = tmp_path / "etc" / "real.toml"
    path.symlink_to(target)
    assert add(path, "a", "https://a.example/").exit_code == 0
    assert path.is_symlink()
    assert list(connectors(target)) == ["a"]


def test_json_says_what_was_added_and_where(path: Path) -> None:
    result = add(path, "a", "--json", "--owner", "team", "--", "server", "-v")
    assert json.loads(result.stdout) == {
        "connector": "a",
        "url": None,
        "command": ["server", "-v"],
        "owner": "team",
        "mode": "enforce",
        "config": str(path),
        "locked": None,
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("a", "https://other.example/"),
        ("A", "https://a.example/"),
        ("b", "a.example/mcp"),
        ("b", "http://a.example/mcp"),
        ("b", "https://user:hunter2@a.example/mcp"),
        ("b", "--", ""),
    ],
)
def test_what_would_not_load_is_refused_and_changes_nothing(
    path: Path, arguments: tuple[str, ...]
) -> None:
    add(path, "a", "https://a.example/")
    before = path.read_bytes()
    result = add(path, *arguments)
    assert result.exit_code == 3
    assert "hunter2" not in result.output
    assert path.read_bytes() == before
    assert [it.name for it in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "arguments",
    [(), ("a",), ("a", "https://a.example/", "--", "x"), ("a", "--"), ("a", "x", "y")],
)
def test_wrong_usage_exits_2(path: Path, arguments: tuple[str, ...]) -> None:
    assert add(path, *arguments).exit_code == 2
    assert not path.exists()


@pytest.mark.parametrize("text", ["[connectors", "surplus = 1", "connectors = {}", "\0"])
def test_a_file_that_cannot_take_it_is_left_as_it_is(path: Path, text: str) -> None:
    path.write_text(text)
    assert add(path, "a", "https://a.example/").exit_code == 3
    assert path.read_text() == text


def test_a_file_that_is_no_text_is_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"# \xff")
    assert add(path, "a", "https://a.example/").exit_code == 3
    assert path.read_bytes() == b"# \xff"


def test_a_missing_folder_is_not_made(path: Path) -> None:
    result = add(path.parent / "other" / "bascule.toml", "a", "https://a.example/")
    assert result.exit_code == 3
    assert not (path.parent / "other").exists()


def test_of_many_at_once_none_is_lost(path: Path) -> None:
    names = [f"c{number}" for number in range(6)]
    command = [sys.executable, "-m", "bascule.cli.main", *options(path), "add"]
    with ThreadPoolExecutor(4) as threads:
        runs = threads.map(
            lambda name: subprocess.run([*command, name, "https://a.example/"], check=True),
            names,
        )
        assert len(list(runs)) == len(names)
    assert sorted(connectors(path)) == sorted(names)
