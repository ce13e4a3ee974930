"""`bascule lock --allow-scripts`: one package by name and version, until told otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry import registry
from system.locked import Locked

BUILDS = "pkg:npm/builds@1.0.0"


def test_scripts_run_when_they_are_allowed_and_stay_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Locked(tmp_path)
    place.configure(command='["npx", "-y", "builds"]')
    with registry(tmp_path / "cache") as packages:
        packages.add_npm(
            "builds",
            "1.0.0",
            files={"a.js": ""},
            bin="a.js",
            scripts={"postinstall": "echo built > built"},
        )
        for name, value in packages.environment().items():
            monkeypatch.setenv(name, value)
        before = place.row("lock")
        assert any("install scripts" in it for it in before["warnings"])
        assert not (place.tree / "node_modules" / "builds" / "built").exists()
        after = place.row("lock", "small", "--allow-scripts", BUILDS)
        assert after["entry"] != before["entry"]
        assert place.entry.scripts_allowed == (BUILDS,)
        assert (place.tree / "node_modules" / "builds" / "built").exists()
        assert place.row("lock")["entry"] == after["entry"]
        again = place.row("lock", "small", "--allow-scripts", "")
        assert again["entry"] == before["entry"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--allow-scripts", BUILDS), 2, "needs the NAME"),
        (("small", "--allow-scripts", BUILDS), 3, "only packages of npm"),
    ],
)
def test_scripts_that_cannot_be_allowed_are_refused(
    tmp_path: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    assert message in Locked(tmp_path).run("lock", *words, code=code).stderr
