"""What listens and runs, seen on the real machine; nothing is connected to."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from bascule.scan import procfs, psutil_view
from bascule.scan.local_view import Listener, LocalView, Process, ancestors, look
from bascule.scan.socket_table import listening

CHILD = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
sock = socket.create_server((sys.argv[1], 0), family=family)
print(sock.getsockname()[1], flush=True)
sys.stdin.read()
"""
VIEW = """
import json, os
from bascule.scan import procfs
from bascule.scan.local_view import look
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
seen = look()
print(json.dumps([
    [[it.port, it.process and it.process.pid] for it in seen.listeners],
    [f"{it.what}; {it.why}" for it in seen.not_assessed],
]))
"""


@contextmanager
def child(*before: str, address: str = "127.0.0.1") -> Iterator[tuple[int, int]]:
    """Run a program that listens; gives its process id and port."""
    command = [*before, sys.executable, "-c", CHILD, address]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as it:
        assert it.stdout is not None
        yield it.pid, int(it.stdout.readline())


def at(view: LocalView, port: int) -> list[Listener]:
    return [it for it in view.listeners if it.port == port]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::", "127.8.9.10"])
def test_a_listening_socket_is_seen_with_its_process(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as sock:
        (found,) = at(look(), sock.getsockname()[1])
    assert (found.address, found.user_id, found.network) == (address, os.geteuid(), None)
    assert found.process is not None
    assert found.process.pid == os.getpid()
    assert found.process.directory == os.getcwd()  # noqa: PTH109 - not the logical one


def test_sockets_that_only_talk_are_not_listed() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as sock,
        socket.create_connection(sock.getsockname()) as talking,
    ):
        assert at(look(), talking.getsockname()[1]) == []


def test_of_those_that_inherited_a_socket_the_first_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.set_inheritable(True)
        with subprocess.Popen(["sleep", "60"], close_fds=False) as heir:
            (found,) = at(look(), sock.getsockname()[1])
            heir.kill()
    assert found.process is not None
    assert found.process.pid == os.getpid()


def test_a_socket_in_another_network_namespace_is_seen_as_such() -> None:
    with child("unshare", "-Urn", address="") as (pid, port):
        (found,) = [it for it in at(look(), port) if it.network]
    assert found.process is not None
    assert found.process.pid == pid


def test_who_may_not_look_into_others_says_so_and_guesses_nothing() -> None:
    if os.geteuid() != 0:
        pytest.fail("this test gives up root's rights: run it as root")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        seen = subprocess.run(
            [sys.executable, "-c", VIEW],
            capture_output=True,
            text=True,
            check=True,
        )
        port = sock.getsockname()[1]
    listeners, gaps = json.loads(seen.stdout)
    assert [port, None] in listeners
    (gap,) = gaps
    assert "processes have open" in gap
    assert "run it as root" in gap


def test_the_kernel_table_is_read_in_the_byte_order_of_the_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        rows = [
            it for it in listening(procfs.PROC / "self") if it.port == sock.getsockname()[1]
        ]
    assert [(it.address, it.user_id) for it in rows] == [("127.0.0.1", os.geteuid())]


def test_psutil_sees_the_same() -> None:
    """A second opinion on Linux, and the code that other systems run."""
    with child() as (pid, port), child(address="::1") as (_pid, port6):
        ours, theirs = procfs.look(), psutil_view.look()
        for each in (port, port6):
            (one,), (other,) = at(ours, each), at(theirs, each)
            assert (one.address, one.user_id) == (other.address, other.user_id)
            assert one.process is not None
            assert other.process is not None
            bare = replace(
                one.process, input=None, output=None, container=None, channels=None
            )
            assert bare == replace(other.process, container=None)
    assert theirs.processes[pid].parent == os.getpid()


def test_a_circle_of_parents_ends() -> None:
    """Process ids come round: a parent that is gone may seem to be a descendant."""
    one, two = Process(1, 2, 0, ("a",)), Process(2, 1, 0, ("b",))
    assert ancestors(one, {1: one, 2: two}) == (two, one)
