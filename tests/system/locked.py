"""A connector of one's own to lock: its files, configuration, and what commands say."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import jsonschema
from click.testing import CliRunner, Result

from bascule.cli.main import main
from bascule.cli.schemas import schema_of
from bascule.lock.lock_file import read_lock
from bascule.lock.model import Entry

SERVER = Path(__file__).with_name("small_server.py")
TOOL = {"name": "look", "description": "Looks.", "inputSchema": {"type": "object"}}


class Locked:
    """A folder with a configuration and a small server of its own, named `small`."""

    def __init__(self, folder: Path, *, made: bool = False) -> None:
        """`made`: the folder has them already."""
        self.folder = folder
        self.config = folder / "bascule.toml"
        self.data = folder / "data"
        self.server = folder / "server"
        if made:
            return
        self.server.mkdir()
        shutil.copy(SERVER, self.server / "server.py")
        (self.server / "pyproject.toml").touch()  # the whole folder belongs to it
        self.serve(TOOL)
        self.configure()

    def configure(self, settings: str = "", command: str | None = None) -> None:
        """Write the configuration anew."""
        words = json.dumps([sys.executable, "server/server.py"])
        self.config.write_text(
            f"[connectors.small]\ncommand = {command or words}\n{settings}\n"
        )

    def serve(self, *tools: dict[str, Any]) -> None:
        """Let the server have other tools from its next start on."""
        (self.server / "tools.json").write_text(json.dumps(tools))

    def run(self, *words: str, code: int = 0) -> Result:
        """Run a command, which ends with that code."""
        options = ["--config", str(self.config), "--data-dir", str(self.data)]
        result = CliRunner().invoke(main, [*options, *words], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    def rows(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        """Give what a command prints with `--json`, of the shape that is published."""
        found = self.run(*words, "--json", code=code).stdout
        rows = [json.loads(line) for line in found.splitlines()]
        shape = schema_of(words[0]) or schema_of("-".join(words[:2])) or {}
        for row in rows:
            jsonschema.validate(row, shape)
        return rows

    def row(self, *words: str, code: int = 0) -> dict[str, Any]:
        """Give the one object that a command prints with `--json`."""
        (found,) = self.rows(*words, code=code)
        return found

    @property
    def entry(self) -> Entry:
        """What is locked."""
        return read_lock(self.folder).connectors["small"]

    @property
    def tree(self) -> Path:
        """Where its files lie in the store."""
        (build,) = self.entry.builds.values()
        return self.data / "store" / "sha256" / build.tree.sha256
