"""`bascule sbom`: documents of others' formats about what is locked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bascule.cli.main import main
from bascule.lock.lock_file import change_lock, with_entry
from bascule.lock.model import Access, Artifact, Entry, Finding, Launch, Package, Source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a configuration and two locked connectors."""
    (tmp_path / "bascule.toml").touch()
    for name in ("one", "two"):
        purl = f"pkg:pypi/{name}@1.0"
        entry = Entry(
            Source("pypi", name),
            Launch("stdio"),
            Access(),
            packages=(Package(purl, Artifact(f"{name}.whl", sha256="ab" * 32)),),
            findings=(Finding(f"CVE-{name}", "fixed"),),
        )
        change_lock(tmp_path, lambda lock, n=name, e=entry: with_entry(lock, n, e))
    return tmp_path


def run(folder: Path, *words: str) -> Result:
    """Run the command."""
    options = ["--config", str(folder / "bascule.toml"), "--data-dir", str(folder / "data")]
    arguments = [*options, "sbom", *words]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def connectors(result: Result) -> list[str]:
    """Give the connectors of a bill of materials."""
    found = json.loads(result.stdout)["components"]
    return [it["name"] for it in found if it["type"] == "application"]


def test_all_connectors_or_those_that_are_named(folder: Path) -> None:
    assert connectors(run(folder)) == ["one", "two"]
    assert connectors(run(folder, "two")) == ["two"]


def test_findings_are_printed_as_openvex(folder: Path) -> None:
    found = json.loads(run(folder, "one", "--vex").stdout)
    assert [it["vulnerability"]["name"] for it in found["statements"]] == ["CVE-one"]


def test_what_is_not_locked_cannot_be_told_of(folder: Path, tmp_path: Path) -> None:
    result = run(folder, "three")
    assert result.exit_code == 3
    assert "bascule lock three" in result.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "bascule.toml").touch()
    assert run(empty).exit_code == 3
