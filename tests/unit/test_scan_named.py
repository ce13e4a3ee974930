from __future__ import annotations

import pytest

from bascule.scan.interfaces import OwnAddress
from bascule.scan.local_view import Listener
from bascule.scan.named import Named

OWN = (
    OwnAddress("lo", "127.0.0.1", "127.0.0.0/8", "loopback"),
    OwnAddress("lo", "::1", "::1/128", "loopback"),
    OwnAddress("eth0", "10.1.2.3", "10.1.2.0/24", "private"),
    OwnAddress("eth0", "fd00::3", "fd00::/64", "private"),
)
V4, V6 = "0.0.0.0", "::"  # noqa: S104 - compared, not bound


def calls(url: str, address: str, port: int = 8000) -> bool:
    listener = Listener(address, port, 0, None)
    return Named(name="x", url=url).calls(listener, OWN, ["laptop", "laptop.example"])


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:8000/mcp", "127.0.0.1"),
        ("http://localhost:8000/mcp", "::1"),
        ("http://localhost:8000/mcp", V4),
        ("http://LOCALHOST.:8000/mcp", V6),
        ("http://127.0.0.1:8000/mcp?key=1", "127.0.0.1"),
        ("http://[::1]:8000/mcp", "::1"),
        ("http://[::ffff:127.0.0.1]:8000/mcp", "127.0.0.1"),
        ("http://0.0.0.0:8000/mcp", V4),
        ("http://10.1.2.3:8000/mcp", V4),
        ("http://10.1.2.3:8000/mcp", "10.1.2.3"),
        ("https://laptop.example:8000", "10.1.2.3"),
        ("http://user:secret@Laptop:8000", V6),
    ],
)
def test_a_url_that_leads_to_a_socket_here_names_it(url: str, address: str) -> None:
    assert calls(url, address)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:8001/mcp", "127.0.0.1"),
        ("http://localhost/mcp", "127.0.0.1"),
        ("http://localhost:8000/mcp", "10.1.2.3"),
        ("http://127.0.0.1:8000/mcp", "127.0.0.2"),
        ("http://10.1.2.3:8000/mcp", "127.0.0.1"),
        ("http://10.1.2.4:8000/mcp", V4),
        ("http://other.example:8000/mcp", V4),
        ("http://localhost:99999/mcp", V4),
        ("http://localhost:x/mcp", V4),
        ("http://[::1:8000/mcp", V6),
        ("localhost:8000", V4),
        ("${URL}", V4),
        ("", V4),
    ],
)
def test_a_url_that_leads_elsewhere_does_not(url: str, address: str) -> None:
    assert not calls(url, address)


@pytest.mark.parametrize(
    ("written", "running"),
    [
        ("uvx mcp-server-time --tz UTC", "uvx mcp-server-time --tz UTC"),
        ("uvx mcp-server-time", "/home/a/.local/bin/uvx mcp-server-time"),
        ("uvx mcp-server-time", "/usr/bin/python3 /usr/bin/uvx mcp-server-time"),
        ("/opt/x/server --a=1", "/opt/x/server --a=1"),
        ("npx -y pkg@1.0.0 /srv", "node /usr/bin/npx -y pkg@1.0.0 /srv"),
        ("npx -y pkg@1.0.0 /srv", "npm exec pkg@1.0.0 /srv|"),
        ("node ${workspaceFolder}/server.js", "node /home/a/work/server.js"),
        ("node ~/server.js $MODE", "node /home/a/server.js fast"),
        (r"C:\Tools\Server.exe a", "server a"),
    ],
)
def test_a_command_as_it_is_written_names_what_runs(written: str, running: str) -> None:
    """`|` ends a title that is one word, as npm writes it."""
    words = [running[:-1]] if running.endswith("|") else running.split()
    assert Named(name="x", command=tuple(written.split())).starts(words)


@pytest.mark.parametrize(
    ("written", "running"),
    [
        ("uvx mcp-server-time", "uvx mcp-server-time --tz UTC"),
        ("uvx mcp-server-time", "uvx mcp-server-git"),
        ("npx -y pkg@1.0.0 /srv", "npm exec pkg@1.0.1 /srv|"),
        ("node server.js", "node other.js"),
        ("node ${X}.js", "node server.py"),
        ("uvx mcp-server-time", "bash -c uvx mcp-server-time"),
        ("uvx", ""),
        ("", "uvx"),
        ("", ""),
    ],
)
def test_another_command_does_not(written: str, running: str) -> None:
    words = [running[:-1]] if running.endswith("|") else running.split()
    assert not Named(name="x", command=tuple(written.split())).starts(words)


def test_a_file_with_many_references_does_not_hold_up_the_scan() -> None:
    """As a pattern with gaps it would be tried in more ways than there are atoms."""
    written = "${A}x" * 60 + "z"
    assert not Named(name="x", command=("a", written)).starts(["a", "x" * 20_000])
    assert Named(name="x", command=("a", written)).starts(["a", "x" * 20_000 + "z"])


def test_what_a_file_holds_is_not_shown() -> None:
    """Commands and URLs hold secrets; an error or a log that shows one must not."""
    named = Named(name="x", command=("a", "--token=S3CRET"), url="http://u:S3CRET@h/")
    assert "S3CRET" not in repr(named)
