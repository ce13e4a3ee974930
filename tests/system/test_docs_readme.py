"""What the README shows is what happens: its commands run on free ports."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from bascule.app.demo import CONFIGURATION, TICKETS_PORT
from bascule.config.load import load

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(README) if name == language]


def block(language: str, word: str) -> str:
    """Give the one block that holds a word."""
    (found,) = (text for text in blocks(language) if word in text)
    return found


def free_ports(count: int) -> list[int]:
    """Give ports that are free on loopback, all different."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in held:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in held]


def wait_for(stream: IO[str], words: str) -> None:
    """Read lines until one has the words."""
    seen = []
    for line in stream:
        seen.append(line)
        if words in line:
            return
    pytest.fail(f"ended without {words!r}: {''.join(seen)}")


@contextlib.contextmanager
def running(command: list[str], folder: Path, ready: str) -> Iterator[None]:
    """Run a command from when it says that it is ready until it has ended on SIGTERM."""
    process = subprocess.Popen(
        [".venv/bin/python", "-m", *command], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        wait_for(process.stderr, ready)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


class Newcomer:
    """Somebody in a folder with `.venv/` and `.demo/`, who does what the README says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.public, self.admin, self.tickets = free_ports(3)
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / ".demo").mkdir()
        (folder / ".demo" / "bascule.toml").write_text(
            CONFIGURATION.replace(str(TICKETS_PORT), str(self.tickets))
            + f'[server]\npublic_url = "http://localhost:{self.public}"\n'
            f'listen = "localhost:{self.public}"\n'
            f'admin_listen = "localhost:{self.admin}"\n'
        )
        (folder / "client.py").write_text(self._here(block("python", "streamable_http")))

    def _here(self, text: str) -> str:
        return text.replace("8420", str(self.public))

    def does(self, script: str) -> str:
        """Give what a shell prints."""
        command = ["sh", "-euc", script]
        return subprocess.run(
            command, cwd=self.folder, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """Serve what `make up` serves, on the ports of this newcomer."""
        options = ["--config", ".demo/bascule.toml", "--data-dir", ".demo/data"]
        self.does(" ".join([".venv/bin/bascule user add demo", *options]))
        desk = ["bascule.demo.tickets", "--port", str(self.tickets)]
        gateway = ["bascule.cli.main", "up", *options]
        with (
            running(desk, self.folder, "Uvicorn running on"),
            running(gateway, self.folder, "ready public="),
        ):
            yield


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    return Newcomer(tmp_path)


def without_time(shown: str) -> list[list[str]]:
    """Give the cells of each line but its time."""
    lines = (line.split() for line in shown.splitlines())
    return [cells[:1] + cells[2:] for cells in lines]


def test_the_client_of_the_readme_sees_what_the_readme_shows(newcomer: Newcomer) -> None:
    with newcomer.up():
        shown = newcomer.does(block("sh", "client.py"))
    assert shown == block("text", "refused")
    recorded = newcomer.does(block("sh", "audit tail")).splitlines()
    assert without_time("\n".join(recorded[:-1])) == without_time(
        block("text", "authz.decision")
    )
    assert "9 records verified" in recorded[-1]


def test_a_server_of_your_own_is_added_as_shown(newcomer: Newcomer) -> None:
    script = "export XDG_DATA_HOME=$PWD/data\n" + block("sh", "bascule add")
    assert newcomer.does(script).splitlines()[-1] == "no problems"
    with (newcomer.folder / "bascule.toml").open("a") as file:
        file.write(block("toml", "[roles"))
    config = load((newcomer.folder / "bascule.toml").read_text(), source="bascule.toml")
    assert config.connectors["notes"].owner == "platform-team"
    assert config.roles["writers"].members == ("user:alice",)


def test_the_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert {"up", "test", "help"} <= named
    found = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert named <= found
