"""What README and guides show is what happens: their commands run, on free ports."""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from bascule.app.demo import (
    CONFIGURATION,
    TICKETS_KEY,
    TICKETS_PORT,
    credential,
    explanation,
)
from bascule.app.worker import DRAIN_SECONDS
from bascule.cli.main import COULD_NOT_RUN, main
from bascule.config.load import load
from bascule.config.rules import exposure_problems
from patience import PATIENCE
from ports import free_ports

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
GUARD = (ROOT / "docs" / "how-to" / "guard-a-server.md").read_text()
SERVICE = (ROOT / "docs" / "how-to" / "run-as-a-service.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def block(language: str, word: str, page: str = README) -> str:
    """Give the one block of a page that holds a word."""
    blocks = [match.groups() for match in BLOCK.finditer(page)]
    (found,) = (text for name, text in blocks if name == language and word in text)
    return str(found)


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
        process.communicate(timeout=PATIENCE)


class Newcomer:
    """Somebody in a folder with `.venv/` and `.demo/`, who does what the README says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.public, self.admin, self.tickets = free_ports(3)
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / ".demo").mkdir()
        self.key = folder / ".demo" / TICKETS_KEY
        self.key.write_text("Bearer of the README")
        self.key.chmod(0o600)
        (folder / ".demo" / "bascule.toml").write_text(
            CONFIGURATION.replace(str(TICKETS_PORT), str(self.tickets))
            + f'[server]\npublic_url = "http://localhost:{self.public}"\n'
            f'listen = "localhost:{self.public}"\n'
            f'admin_listen = "localhost:{self.admin}"\n' + credential(self.key)
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
        desk += ["--key-file", str(self.key)]
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


def test_the_server_over_stdio_tells_the_time_and_no_more(newcomer: Newcomer) -> None:
    client = ROOT / "tests" / "clients" / "mcp_sdk.py"
    url = f"http://localhost:{newcomer.public}/c/time/mcp"
    issue = block("sh", "token issue").partition("\n.venv/bin/python")[0]
    with newcomer.up():
        shown = newcomer.does(
            issue.replace("tickets", "time")
            + f"\n.venv/bin/python {client} {url} get_current_time convert_time"
        )
    found = json.loads(shown)
    assert found["tools"] == ["get_current_time"]
    assert found["refused_error"]["code"] == -32602


def test_what_the_demo_says_leads_to_what_is_there(newcomer: Newcomer) -> None:
    url = f"http://localhost:{newcomer.public}"
    config, data = newcomer.folder / ".demo/bascule.toml", newcomer.folder / ".demo/data"
    said = explanation(config, data, url, link="")
    connectors = load(config.read_text(), source="bascule.toml").connectors
    assert (
        set(re.findall(r"/c/([a-z]+)/mcp", said)) == set(connectors) == {"tickets", "time"}
    )
    issue = re.search(r"\$\((.*)\)", said)
    assert issue is not None
    with newcomer.up():
        assert newcomer.does(issue[1]).strip().count(".") == 2
    for command in re.findall(r"^  (.* audit \w+)", said, re.MULTILINE):
        assert newcomer.does(command)


def test_a_server_of_your_own_is_added_as_shown(newcomer: Newcomer) -> None:
    script = "export XDG_DATA_HOME=$PWD/data\n" + block("sh", "bascule add")
    assert newcomer.does(script).splitlines()[-1] == "no problems"
    with (newcomer.folder / "bascule.toml").open("a") as file:
        file.write(block("toml", "[roles"))
    config = load((newcomer.folder / "bascule.toml").read_text(), source="bascule.toml")
    assert config.connectors["notes"].owner == "platform-team"
    assert config.roles["writers"].members == ("user:alice",)


def test_the_guide_leads_from_an_address_to_a_call_that_is_allowed(tmp_path: Path) -> None:
    def does(script: str, exit_code: int = 0) -> str:
        environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data")}
        environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment.pop("BASCULE_CONFIG", None)
        result = subprocess.run(
            ["sh", "-euc", script],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert result.returncode == exit_code
        return result.stdout

    does(block("sh", "bascule add notes", GUARD))
    does(block("sh", "sed -i", GUARD))
    with (tmp_path / "bascule.toml").open("a") as file:
        for word in ("[network]", "credential]", "[toolsets]"):
            file.write(block("toml", word, GUARD))
    shown = does(block("sh", "policy check", GUARD)).splitlines()
    assert shown[-2:] == ["no problems", "no problems"]
    call = json.loads(block("json", "tools/call", GUARD))
    (tmp_path / "call.json").write_text(json.dumps(call))
    decide = block("sh", "bascule decide", GUARD)
    assert does(decide) == block("text", "allow:", GUARD)
    (tmp_path / "call.json").write_text(json.dumps({**call, "name": "delete_note"}))
    refusal = does(decide, exit_code=1)
    assert refusal.splitlines()[0] == "deny: no_user_right"
    assert "`deny: no_user_right`" in GUARD
    assert does(block("sh", "token issue", GUARD))


def test_the_guide_adds_a_server_over_stdio(tmp_path: Path) -> None:
    command = block("sh", "bascule add clock", GUARD)
    options = f"--config {tmp_path}/bascule.toml --data-dir {tmp_path}/data"
    script = command.replace(
        "bascule add", f"{sys.executable} -m bascule.cli.main {options} add"
    )
    subprocess.run(["sh", "-euc", script], check=True, stdout=subprocess.DEVNULL)
    with (tmp_path / "bascule.toml").open("a") as file:
        file.write(block("toml", "[connectors.clock.env]", GUARD))
    clock = load((tmp_path / "bascule.toml").read_text(), source="it").connectors["clock"]
    assert clock.command is not None
    assert clock.command[:2] == ("uvx", "mcp-server-time")
    assert clock.env["TZ"] == "UTC"


def test_the_guide_grants_files_and_hosts() -> None:
    """What the table has, and commands that exist: servers of all three are tested."""
    text = block("toml", "may_reach", GUARD)
    made = load(text, source="it").connectors
    for name in ("files", "code"):
        sandbox, command = made[name].sandbox, made[name].command or ()
        assert command[-1] in (*sandbox.read, *sandbox.write)
    assert made["web"].boundary.may_reach == ("docs.example:443",)
    for line in block("sh", "--with-access", GUARD).splitlines():
        _, *arguments = line.split()
        with main.make_context("bascule", arguments, resilient_parsing=True):
            names = [it for it in arguments[1:] if not it.startswith("--")]
            assert set(names) <= set(made)


def test_the_unit_starts_what_there_is_and_lets_it_drain() -> None:
    unit = configparser.RawConfigParser()
    unit.read_string((ROOT / "deploy" / "bascule.service").read_text())
    service = unit["Service"]
    program, *arguments = service["ExecStart"].split()
    assert Path(program).name == "bascule"
    with main.make_context("bascule", arguments, resilient_parsing=True) as context:
        assert str(context.params["data_dir"]) == service["ReadWritePaths"]
    assert int(service["TimeoutStopSec"]) > DRAIN_SECONDS
    assert int(service["RestartPreventExitStatus"]) == COULD_NOT_RUN


def test_the_configuration_of_the_service_may_start() -> None:
    config = load(block("toml", "[server]", SERVICE), source="bascule.toml")
    assert exposure_problems(config) == []


def test_the_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert {"up", "test", "help"} <= named
    found = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert named <= found
