"""Programs of others that tests run: Node.js 22, npm packages, the MCP fixture server."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from ports import free_ports

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "tests" / "node"
PACKAGES = SCRIPTS / "node_modules"
NODE = (
    PACKAGES / f"node-linux-{platform.machine().replace('x86_64', 'x64')}" / "bin" / "node"
)
PATIENCE = 100.0
"""Seconds after which a program of others is given up."""


def node(
    program: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program on Node.js to its end."""
    assert NODE.exists(), f"{SCRIPTS} has no packages: run `make node-packages`"
    return subprocess.run(
        [NODE, program, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(environment or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@contextlib.contextmanager
def everything_server() -> Iterator[int]:
    """Run the demonstration server of the MCP project, which speaks no revision of 2026."""
    program = PACKAGES / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [NODE, "--import", SCRIPTS / "loopback.mjs", program, "streamableHttp"],
        env={"PATH": os.environ["PATH"], "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        while "listening" not in process.stderr.readline():
            assert process.poll() is None, "the server has ended"
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


@contextlib.contextmanager
def fixture_server(eras: str = "both", journal: Path | None = None) -> Iterator[int]:
    """Run the fixture server; gives its port."""
    more = [] if journal is None else ["--journal", str(journal)]
    process = subprocess.Popen(
        [sys.executable, "-m", "conformance.fixture.server", "--eras", eras, *more],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(PATIENCE)
        process.stdout.close()
