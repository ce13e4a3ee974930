"""Servers on real SDKs, of versions from before and after they checked Host and Origin."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from conformance.rig import NODE, PACKAGES, SCRIPTS
from ports import free_ports

BESIDE = ["httpx", "httpcore", "httpx-sse", "pydantic-settings", "python-dotenv"]
"""What it needs that the tests' own environment has not."""
UV = Path(sys.executable).with_name("uv")


@contextlib.contextmanager
def python_sdk(folder: Path, version: str) -> Iterator[tuple[str, str]]:
    """Serve on the `mcp` package of PyPI; gives URLs of streamable HTTP and of HTTP+SSE."""
    place = folder / f"mcp-{version}"
    with (folder / f"mcp-{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            where = ["--quiet", "--python", sys.executable, "--target", place]
            packages = [f"mcp=={version}", *BESIDE]
            subprocess.run(
                [UV, "pip", "install", "--no-deps", *where, *packages], check=True
            )
    command = [sys.executable, Path(__file__).with_name("sdk_server.py")]
    environment = {**os.environ, "PYTHONPATH": str(place)}
    with _served(command, environment, count=2) as (streamable, events):
        yield f"http://127.0.0.1:{streamable}/mcp", f"http://127.0.0.1:{events}/sse"


@contextlib.contextmanager
def npm_sdk(package: str) -> Iterator[str]:
    """Serve on an npm package of the tests' own; gives the URL."""
    command = [NODE, SCRIPTS / "server1.mjs", package]
    with _served(command, {"PATH": os.environ["PATH"]}, count=1) as (port,):
        yield f"http://127.0.0.1:{port}/mcp"


@contextlib.contextmanager
def npm_inspector(package: str) -> Iterator[str]:
    """Run the proxy of MCP Inspector on loopback; gives its URL."""
    (port,) = free_ports(1)
    program = PACKAGES / package / "build" / "index.js"
    command = [NODE, "--import", SCRIPTS / "loopback.mjs", program]
    process = subprocess.Popen(
        command,
        env={"PATH": os.environ["PATH"], "PORT": str(port), "SERVER_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        while "listening" not in process.stdout.readline():
            assert process.poll() is None, "it has ended"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate(timeout=10)


@contextlib.contextmanager
def playwright(folder: Path, version: str) -> Iterator[str]:
    """Serve Playwright's server, which starts no browser before it is told to."""
    place = folder / f"playwright-{version}"
    place.mkdir()
    package = f"@playwright/mcp@{version}"
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    subprocess.run(["npm", "install", *quiet, package], cwd=place, check=True)
    (port,) = free_ports(1)
    program = place / "node_modules" / "@playwright" / "mcp" / "cli.js"
    process = subprocess.Popen(
        [NODE, program, "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        while "Listening" not in process.stderr.readline():
            assert process.poll() is None, "it has ended"
        yield f"http://localhost:{port}"
    finally:
        process.kill()
        process.communicate(timeout=10)


@contextlib.contextmanager
def _served(
    command: Sequence[str | Path], environment: Mapping[str, str], *, count: int
) -> Iterator[list[int]]:
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield [int(process.stdout.readline()) for _ in range(count)]
    finally:
        process.kill()
        process.communicate(timeout=10)
