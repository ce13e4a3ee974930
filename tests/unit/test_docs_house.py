"""What a fresh machine sets itself up from."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
KINDS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]["type"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_no_registry_and_no_file_of_this_machine(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert re.findall(r"^ *(?:--(?!hash=)|-[a-z]|/|\.).*", text, re.MULTILINE) == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_every_package_by_hash(lock: Path) -> None:
    entries = re.split(r"\n(?=\S)", lock.read_text())
    assert len(entries) >= 2
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", entry)
        assert "--hash=sha256:" in entry


def test_no_lock_is_forgotten_by_the_script_that_writes_them() -> None:
    script = (ROOT / "scripts" / "lock").read_text()
    written = re.findall(r"^compile (\w+)", script, re.MULTILINE)
    assert sorted(f"{name}.txt" for name in written) == [lock.name for lock in LOCKS]


def test_every_note_for_the_changelog_has_a_known_kind() -> None:
    kinds = {kind["directory"] for kind in KINDS}
    notes = [path.name for path in (ROOT / "changes").glob("*.md")]
    assert [name for name in notes if name.split(".")[-2] not in kinds] == []


def test_without_root_a_missing_system_package_is_named_with_the_remedy(
    tmp_path: Path,
) -> None:
    """The folder of commands holds a user who is not root and an apt that must not run."""
    apt_ran = tmp_path / "apt-ran"
    for name, script in {"id": "echo 1000", "apt-get": f"touch {apt_ran}"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    listed = tmp_path / "apt.list"
    listed.write_text("# PACKAGE COMMAND\nshell sh\nbascule-missing no-such-command\n")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [ROOT / "scripts" / "system-packages", listed]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 3
    assert "sudo apt-get install bascule-missing" in result.stderr
    assert not apt_ran.exists()


def test_without_npm_the_tests_say_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    command = [ROOT / "scripts" / "node-packages", tmp_path]
    environment = {"PATH": str(tmp_path)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 3
    assert "apt-get install nodejs npm" in result.stderr


def test_the_lock_of_npm_packages_has_hashes_and_names_no_registry() -> None:
    text = (ROOT / "tests" / "node" / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    del packages[""]
    assert len(packages) > 100
    assert all(it["integrity"].startswith("sha512-") for it in packages.values())
    assert not any("resolved" in it for it in packages.values())
