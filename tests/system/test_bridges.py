"""A bridge from a registry: locked, shown and monitored as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry import registry
from system.locked import Locked

URL = "https://mcp.example/mcp"


def test_a_bridge_is_locked_shown_and_monitored_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Locked(tmp_path)
    place.configure(command=f'["npx", "-y", "mcp-remote", "{URL}?key=hidden"]')
    with registry(tmp_path / "cache") as packages:
        packages.add_npm("mcp-remote", "1.0.0", files={"a.js": ""}, bin="a.js")
        for name, value in packages.environment().items():
            monkeypatch.setenv(name, value)
        row = place.row("lock")
        (told,) = [it for it in row["warnings"] if "is a bridge" in it]
        assert f'`url = "{URL}"`' in told
        assert place.entry.kind == "bridge"
        assert place.row("lock")["entry"] == row["entry"]
    shown = place.run("diff", "small", code=1).stdout
    assert '+ kind: "bridge"' in shown
    assert "! `mcp-remote` is a bridge" in shown
    rows = place.rows("monitor", "--offline", code=1)
    (found,) = [it for it in rows if it["subject"] == "bridge"]
    assert (found["state"], URL in found["detail"]) == ("not_assessed", True)
