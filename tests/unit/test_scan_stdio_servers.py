from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bascule.scan.local_view import Listener, LocalView, Process, look
from bascule.scan.stdio_servers import StdioServer, is_bascule, stdio_servers

SHADOW = """\
import sys
if sys.stdin.readline() == "never":
    from mcp.server.fastmcp import FastMCP
"""
CLIENT = """\
import sys
if sys.stdin.readline() == "never":
    from mcp.client.stdio import stdio_client
"""
INNOCENT = """\
import sys
# tools/list of an mcp client
sys.stdin.readline()
"""


def process(
    *command: str,
    pid: int = 10,
    parent: int = 1,
    pipes: str | None = "pipe:[7]",
    directory: str = "/nowhere",
    hears: str = "",
) -> Process:
    """Make a process; `hears` are the pipes that it reads, when not its standard input."""
    channels = None if pipes is None else frozenset((hears or pipes).split())
    return Process(
        pid, parent, 0, command, directory, input=pipes, output=pipes, channels=channels
    )


def seen(*processes: Process) -> list[StdioServer]:
    return stdio_servers(LocalView({it.pid: it for it in processes}, (), ()))


@pytest.mark.parametrize(
    "command",
    [
        ("mcp-server-time",),
        ("/usr/local/bin/github-mcp-server", "stdio"),
        ("uvx", "mcp-server-time", "--local-timezone=UTC"),
        ("/home/a/.local/bin/uv", "tool", "uvx", "--from", "acme", "acme-mcp"),
        ("uv", "--directory", "/srv/x", "run", "acme-mcp"),
        ("npx", "-y", "@modelcontextprotocol/server-filesystem@2025.8.21", "/srv/f"),
        ("npm exec @modelcontextprotocol/server-filesystem /srv/f",),
        ("node", "/x/node_modules/.bin/mcp-server-filesystem", "/srv/f"),
        ("node", "/x/node_modules/@modelcontextprotocol/server-everything/dist/index.js"),
        ("python3.12", "-m", "mcp_server_git"),
        ("/venv/bin/python", "/venv/bin/mcp-server-fetch"),
        ("docker", "run", "-i", "--rm", "-e", "TOKEN", "mcp/github"),
        (r"C:\Tools\Acme-MCP.exe",),
    ],
    ids=" ".join,
)
def test_a_server_is_told_by_its_name(command: tuple[str, ...]) -> None:
    (found,) = seen(process(*command))
    assert (found.process.command, found.sign) == (command, "by its name")


@pytest.mark.parametrize(
    "command",
    [
        ("grep", "mcp"),
        ("vim", "mcp.json"),
        ("python3", "report.py", "mcp-server-time"),
        ("tee", "/var/log/mcp/server.log"),
        ("bash", "-c", "uvx mcp-server-time"),
        ("node", "/home/mcp/app/index.js"),
        ("mcpl",),
        ("", "x"),
        (),
        ("bascule", "scan", "host"),
    ],
    ids=" ".join,
)
def test_a_program_that_only_speaks_of_one_is_none(command: tuple[str, ...]) -> None:
    assert seen(process(*command)) == []


@pytest.mark.parametrize("pipes", ["/dev/pts/3", "/srv/in"])
def test_what_reads_a_terminal_or_a_file_is_no_stdio_server(pipes: str) -> None:
    assert seen(process("mcp-server-time", pipes=pipes)) == []


def test_a_launcher_and_what_it_starts_are_one_server() -> None:
    """Also where a shell stands between, and the server has put its pipes elsewhere."""
    npx = process("npm exec mcp-server-time", pid=30)
    shell = process("sh", "-c", "mcp-server-time", pid=31, parent=30)
    server = process(
        "node", "/x/mcp-server-time", pid=20, parent=31, pipes="/dev/null", hears="pipe:[7]"
    )
    other = process("mcp-server-git", pid=40, pipes="socket:[8]")
    first, second = seen(server, npx, shell, other)
    assert (first.process, first.family) == (npx, (npx, shell, server))
    assert first.seen_to_speak
    assert second.process == other


def test_a_program_that_somebody_names_is_a_server_whatever_it_is_called() -> None:
    view = LocalView({10: process("/opt/acme/ledger", "--stdio")}, (), ())
    assert stdio_servers(view) == []
    (found,) = stdio_servers(view, lambda command: command[0] == "/opt/acme/ledger")
    assert found.sign == "by the command that names it"


def test_a_server_that_a_server_starts_is_one_of_its_own() -> None:
    """As aggregators do: the outer one writes what the inner one reads."""
    outer = process("mcp-proxy", pid=30, hears="pipe:[7] pipe:[9]")
    inner = process("mcp-server-time", pid=20, parent=30, hears="pipe:[8]")
    assert [it.family for it in seen(inner, outer)] == [(inner,), (outer,)]


def test_where_pipes_are_not_told_those_that_descend_from_one_another_are_one() -> None:
    """As on macOS and Windows, and for processes of other users."""
    uvx = process("uvx", "mcp-server-time", pid=30, pipes=None)
    server = process("mcp-server-time", pid=20, parent=30, pipes=None)
    (found,) = seen(server, uvx, process("bash", pid=1, pipes=None))
    assert (found.family, found.seen_to_speak) == ((uvx, server), False)


def test_a_server_of_that_name_that_listens_may_speak_over_its_port() -> None:
    daemon = process("mcp-server-time", pipes="/dev/null")
    listener = Listener("127.0.0.1", 8000, 0, daemon)
    (found,) = stdio_servers(LocalView({10: daemon}, (listener,), ()))
    assert not found.seen_to_speak


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        (("/v/bin/python", "/v/bin/bascule", "up"), True),
        (("bascule", "up", "--demo"), True),
        (("python3", "-m", "bascule.cli.main", "up"), True),
        (("python3", "bascule-like.py"), False),
        (("echo", "bascule"), False),
        ((), False),
    ],
)
def test_bascule_is_known_by_its_name(command: tuple[str, ...], ours: bool) -> None:
    assert is_bascule(command) is ours


def test_what_bascule_started_is_said_to_go_through_it() -> None:
    bascule = process("bascule", "up", pid=2, pipes="/dev/null")
    warden = process("python", "-I", "/b/warden.py", pid=3, parent=2)
    (found,) = seen(bascule, warden, process("mcp-server-time", pid=4, parent=3))
    assert found.through_bascule


def test_real_processes_are_told_apart(tmp_path: Path) -> None:
    """A real server by its name, one by what it imports, its twin, and a client."""
    (tmp_path / "weather.py").write_text(SHADOW)
    (tmp_path / "innocent.py").write_text(INNOCENT)
    (tmp_path / "mcp_sdk.py").write_text(
        "if 0: import mcp.client\nfor _ in open(0): pass\n"
    )
    real = Path(sys.executable).with_name("mcp-server-time")
    commands = [
        [str(real)],
        *([sys.executable, it] for it in ("weather.py", "innocent.py", "mcp_sdk.py")),
    ]
    running = [
        subprocess.Popen(
            it, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path, text=True
        )
        for it in commands
    ]
    # It has put its pipes elsewhere by the time that it answers.
    stdin, stdout = running[0].stdin, running[0].stdout
    assert stdin is not None
    assert stdout is not None
    stdin.write('{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
    stdin.flush()
    assert '"result"' in stdout.readline()
    found = {it.process.pid: (it.sign, it.seen_to_speak) for it in stdio_servers(look())}
    for each in running:
        each.kill()
        each.communicate()
    assert [found.get(it.pid) for it in running] == [
        ("by its name", True),
        ("by what weather.py imports", True),
        None,
        None,
    ]


def test_a_program_that_cannot_be_read_is_not_waited_for(tmp_path: Path) -> None:
    """A device that never ends, a pipe that nobody writes to, a directory, nothing."""
    (tmp_path / "zero.py").symlink_to("/dev/zero")
    subprocess.run(["mkfifo", tmp_path / "fifo.py"], check=True)
    (tmp_path / "kernel.py").symlink_to("/proc/kmsg")
    for name in ("zero.py", "fifo.py", "kernel.py", ".", "missing.py", "nul\0.py"):
        assert seen(process("python3", name, directory=str(tmp_path))) == []
