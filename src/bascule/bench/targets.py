"""What is measured, started: the upstream, the gateway and the peers."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bascule.bench import load, peers
from bascule.bench.gateway import BenchGateway
from bascule.bench.processes import running
from bascule.bench.tools import Tools
from bascule.clock import monotonic
from bascule.errors import BasculeError

START_SECONDS = 15
NO_TOKEN = "none"  # noqa: S105 - the upstream does not look at it

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """Something that listens and is measured."""

    name: str
    port: int
    pid: int
    script: Path
    """What `wrk` sends it."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where targets run: programs, a folder for their files, cores, and what ends them."""

    tools: Tools
    folder: Path
    stack: contextlib.ExitStack
    progress: Progress

    @property
    def cores(self) -> list[int]:
        """One for the target and one for all else; none where nothing can be pinned."""
        found = sorted(os.sched_getaffinity(0))[:2]
        return found if len(found) == 2 and self.tools.taskset is not None else []

    def on_core_of_target(self, command: Sequence[str]) -> list[str]:
        """Pin a command to the target's core."""
        return self._pinned(0, command)

    def on_other_core(self, command: Sequence[str]) -> list[str]:
        """Pin a command to the core of load and upstream."""
        return self._pinned(1, command)

    def _pinned(self, place: int, command: Sequence[str]) -> list[str]:
        cores = self.cores
        if not cores or self.tools.taskset is None:
            return list(command)
        return [self.tools.taskset, "-c", str(cores[place]), *command]

    def start(self, name: str, command: Sequence[str], port: int, token: str) -> Target:
        """Start a target and wait for its first right answer. Raises `BasculeError`."""
        self.progress(f"starting {name}")
        log = self.folder / f"{name}.log"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BASCULE_")}
        process = self.stack.enter_context(
            running(command, log=log, environment=environment)
        )
        deadline = monotonic() + START_SECONDS
        while True:
            try:
                load.check_answer(port, token)
                break
            except (OSError, load.BadAnswerError) as exc:
                if process.poll() is not None or monotonic() > deadline:
                    said = log.read_text(errors="replace")[-2000:]
                    raise BasculeError(f"{name} does not work: {exc}\n{said}") from exc
            time.sleep(0.1)
        script = self.folder / f"{name}.lua"
        script.write_text(load.script(token))
        return Target(name, port, process.pid, script)


def start_upstream(host: Host) -> Target:
    """Start the server behind all targets; it is measured alone too."""
    port = free_port()
    command = [sys.executable, "-m", "bascule.bench.upstream", str(port)]
    return host.start("direct", host.on_other_core(command), port, NO_TOKEN)


def start_gateway(host: Host, gateway: BenchGateway, token: str) -> Target:
    """Start Bascule as its users do."""
    command = [
        *(sys.executable, "-m", "bascule.cli.main", "up"),
        *("--config", str(gateway.config), "--data-dir", str(gateway.data)),
    ]
    return host.start("bascule", host.on_core_of_target(command), gateway.port, token)


def start_nginx_raw(host: Host, nginx: str, upstream: int) -> Target:
    """Start nginx as a plain proxy."""
    port = free_port()
    config = host.folder / "nginx.conf"
    config.write_text(peers.nginx_raw(host.folder, port=port, upstream=upstream))
    command = [nginx, "-c", str(config), "-p", str(host.folder)]
    return host.start("nginx_raw", host.on_core_of_target(command), port, NO_TOKEN)


def start_envoy_raw(host: Host, upstream: int) -> Target:
    """Start Envoy as a plain proxy."""
    port = free_port()
    config = peers.envoy_raw(port=port, upstream=upstream)
    return _start_envoy(host, "envoy_raw", config, port, NO_TOKEN)


def start_envoy_full(host: Host, upstream: int, token: str, jwks: peers.Json) -> Target:
    """Start Envoy with all that comes near to what Bascule does."""
    port = free_port()
    log = host.folder / "envoy.access"
    config = peers.envoy_full(port=port, upstream=upstream, jwks=jwks, access_log=log)
    return _start_envoy(host, "envoy_full", config, port, token)


def _start_envoy(host: Host, name: str, config: bytes, port: int, token: str) -> Target:
    path = host.folder / f"{name}.json"
    path.write_bytes(config)
    command = host.on_core_of_target(envoy_command(host.tools.envoy, path))
    return host.start(name, command, port, token)


def envoy_command(envoy: str, config: Path) -> list[str]:
    """Give the words that run Envoy with one worker."""
    options = ("--concurrency", "1", "-l", "error", "--disable-hot-restart")
    return [envoy, "-c", str(config), *options]


def free_port() -> int:
    """Give a port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
