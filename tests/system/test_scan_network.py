"""`bascule scan net` across a real network: two network namespaces with a cable between."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

HERE, THERE = "10.77.1.1/23", "10.77.1.2/23"
NETWORK = "10.77.0.0/26"
ALIVE, DEAD = "10.77.0.0/27", "10.77.0.32/27"
SERVER, WEB = "10.77.0.9", ("10.77.0.3", "10.77.0.4")
SERVING = Path(__file__).with_name("scanned_network.py")
TESTS = Path(__file__).parents[1]
PORTS = ("--ports", "80,8000")


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def namespace(name: str) -> Iterator[str]:
    """Make a network namespace."""
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        run("ip", "netns", "del", name)


def join(here: str, there: str) -> None:
    """Put a cable between two namespaces; over there half a network is one machine."""
    ends = [(here, "wire0", HERE), (there, "wire1", THERE)]
    run(
        *("ip", "-n", here, "link", "add", "wire0", "type", "veth"),
        *("peer", "name", "wire1", "netns", there),
    )
    for name, device, address in ends:
        run("ip", "-n", name, "address", "add", address, "dev", device)
        run("ip", "-n", name, "link", "set", device, "up")
    run("ip", "-n", there, "route", "add", "local", ALIVE, "dev", "lo")
    run("ip", "-n", here, "route", "add", "unreachable", DEAD)


@contextmanager
def serving(there: str) -> Iterator[None]:
    command = ["ip", "netns", "exec", there, sys.executable, str(SERVING), SERVER, *WEB]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


Scan = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture(scope="module")
def scan() -> Iterator[Scan]:
    """Give what scans from one namespace into the other, and its exit code and report."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.fail(
            "this test makes network namespaces: run it as root, with iproute2 installed"
        )
    tag = os.getpid()
    with ExitStack() as stack:
        here = stack.enter_context(namespace(f"bascule-scan-{tag}"))
        there = stack.enter_context(namespace(f"bascule-scanned-{tag}"))
        join(here, there)
        stack.enter_context(serving(there))

        def scan(*words: str) -> tuple[int, dict[str, Any], str]:
            command = [
                "ip",
                "netns",
                "exec",
                here,
                sys.executable,
                "-m",
                "bascule.cli.main",
            ]
            done = subprocess.run(
                [*command, "scan", *words, "--json"], capture_output=True, check=False
            )
            return done.returncode, json.loads(done.stdout), done.stderr.decode()

        yield scan


def test_finds_the_one_server_and_says_that_it_is_open_to_the_network(scan: Scan) -> None:
    code, report, _ = scan("net", NETWORK, *PORTS, "--i-own-this", "--rate", "400")
    assert code == 1
    (row,) = report["servers"]
    assert (row["address"], row["state"]) == (f"{SERVER}:8000", "open")
    opened = [it for it in report["findings"] if it["rule"] == "open-server"]
    assert [it["severity"] for it in opened] == ["critical"]
    asked = {it["address"].rpartition(":")[0] for it in report["requests"]}
    assert asked == {f"10.77.0.{number}" for number in range(1, 63)}
    (gap,) = (it for it in report["not_assessed"] if it["target"] == NETWORK)
    assert gap["why"] == "nothing came back from 62 ports"  # 31 addresses are nobody's
    assert report["scope"] == ["this machine", NETWORK]
    first = [it["at"] for it in report["requests"] if it["status"] is None]
    assert max(first) - min(first) >= (len(first) - 5) / 400


def test_asks_nobody_without_the_owners_word(scan: Scan) -> None:
    code, report, said = scan("net", NETWORK, *PORTS)
    assert (code, report["requests"], report["servers"]) == (2, [], [])
    assert "--i-own-this" in said


def test_asks_what_the_scope_file_lists_and_nobody_else(scan: Scan, tmp_path: Path) -> None:
    path = tmp_path / "scope.txt"
    path.write_text(f"{SERVER}:8000\n")
    words = ("net", NETWORK, *PORTS, "--i-own-this", "--scope", str(path))
    code, report, _ = scan(*words)
    assert code == 1
    assert {it["address"] for it in report["requests"]} == {f"{SERVER}:8000"}
    assert any("not in the scope file" in it["why"] for it in report["not_assessed"])
