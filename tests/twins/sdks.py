"""Servers on real SDKs, of versions from before and after they checked Host and Origin."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from conformance.rig import NODE, SCRIPTS

UV = Path(sys.executable).with_name("uv")


@contextlib.contextmanager
def python_sdk(folder: Path, version: str) -> Iterator[tuple[str, str]]:
    """Serve on the `mcp` package of PyPI; gives URLs of streamable HTTP and of HTTP+SSE."""
    place = folder / f"mcp-{version}"
    with (folder / f"mcp-{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            packages = ["--python", sys.executable, "--target", place, f"mcp=={version}"]
            subprocess.run([UV, "pip", "install", "--quiet", *packages], check=True)
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
