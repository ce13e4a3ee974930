"""A configuration with a locked connector, and what commands do with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from approving import Person
from bascule.app.approvals import Standing, standing
from bascule.cli.context import CommandContext
from bascule.cli.main import main
from bascule.clock import UnixTime, system_clock
from bascule.lock.declared import access_of, launch_of, sandbox_of
from bascule.lock.lock_file import change_lock, read_lock, with_entry
from bascule.lock.model import Entry, Source, entry_digest
from bascule.lock.surface import FORMAT, Context, Document, format_document, pins

CONFIG = """
[connectors.time]
url = "http://127.0.0.1:9/mcp"
owner = "platform"
"""


class ApprovalPlace:
    """A folder under review, and one installation that serves by it."""

    def __init__(self, folder: Path, data: Path, *, server: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.data, self.server = folder, data, server
        self.config = folder / "bascule.toml"
        self.configure()

    def configure(self, more: str = "") -> None:
        """Write the configuration, with more in it."""
        head = f"[server]\n{self.server}\n" if self.server else ""
        self.config.write_text(head + CONFIG + more)

    @property
    def arguments(self) -> list[str]:
        return ["--config", str(self.config), "--data-dir", str(self.data)]

    def run(self, *words: str, code: int = 0) -> Result:
        """Run a command in this process; it must end with that exit code."""
        result = CliRunner().invoke(main, [*self.arguments, *words], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    def json(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(*words, "--json").stdout)
        return found

    def lock(
        self,
        *,
        tools: str = "now",
        requested: str = "",
        surface: bool = True,
        description: str = "",
    ) -> str:
        """Lock the connector as it is configured; gives the entry's digest."""
        context = CommandContext(self.config, self.data)
        config = context.config()
        tool = {"name": tools} | ({"description": description} if description else {})
        document = Document(FORMAT, Context(), tools={tools: (tool,)})
        entry = Entry(
            source=Source("http", "http://127.0.0.1:9/mcp", requested),
            launch=launch_of(config.connectors["time"]),
            access=access_of("time", config, ()),
            sandbox=sandbox_of("time", config),
            surface=pins(document) if surface else None,
        )
        content = format_document(document)
        change_lock(
            self.folder,
            lambda lock: with_entry(lock, "time", entry),
            beside={"surfaces/time.json": content},
        )
        return entry_digest(entry)

    def standing(self, *, later: int = 0) -> Standing:
        """Judge as `up` does."""
        context = CommandContext(self.config, self.data)
        place = context.place()
        try:
            lock = read_lock(self.folder)
            now = UnixTime(system_clock() + later)
            return standing(place, self.config, context.config(), lock, now=now)
        finally:
            context.close()

    def state(self, *, later: int = 0) -> str:
        return self.standing(later=later).verdicts["time"].state

    def files(self, name: str = "time") -> list[Path]:
        return sorted((self.folder / "approvals" / name).glob("*.dsse.json"))

    def other(self, data: Path) -> ApprovalPlace:
        """Give another installation that serves by the same folder."""
        return ApprovalPlace(self.folder, data, server=self.server)

    def key(self, person: Person) -> str:
        """Write a person's SSH key; gives its path."""
        path = self.folder.parent / f"key-{person.name}"
        private = person.private
        path.touch(0o600)
        path.write_bytes(
            private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        )
        public = private.public_key()
        path.with_name(path.name + ".pub").write_bytes(
            public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        )
        return str(path)

    def allow(self, *people: Person) -> None:
        """Write `allowed_signers`."""
        text = "".join(it.line() for it in people)
        (self.folder / "allowed_signers").write_text(text)

    def snapshot(self, to: Path) -> None:
        """Keep the folder as a commit would."""
        shutil.copytree(self.folder, to)

    def restore(self, kept: Path) -> None:
        """Go back to what was kept, whatever came since."""
        shutil.rmtree(self.folder)
        shutil.copytree(kept, self.folder)
