"""One run: all targets started, measured in turn, in rounds, and ended."""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bascule.bench import load, peers, report
from bascule.bench.gateway import TOKEN_SECONDS, BenchGateway, prepare, records
from bascule.bench.processes import cpu_seconds, pss_megabytes, running
from bascule.bench.tools import Tools
from bascule.clock import monotonic, system_clock
from bascule.errors import BasculeError

PEERS = ("nginx_raw", "envoy_raw", "envoy_full")
CONNECTIONS = (1, 32)
START_SECONDS = 15
SETTLE_SECONDS = 15
COLD_TOKENS_PER_SECOND = 4000
"""More than one core verifies, so that no token is shown twice."""
RUN_SECONDS = 120
"""No round begins that would not end by then; the whole must end within 150 s."""

NO_TOKEN = "none"  # noqa: S105 - the upstream does not look at it

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure."""

    seconds: int = 2
    """Of each load."""
    rounds: int = 3
    peers: tuple[str, ...] = PEERS
    cold: bool = True


@dataclass(frozen=True, slots=True)
class Target:
    """Something that listens and is measured."""

    name: str
    port: int
    pid: int
    token: str = field(repr=False)
    script: Path
    gateway: BenchGateway | None = None


def run(options: Options, tools: Tools, progress: Progress) -> report.Report:
    """Measure. Raises `BasculeError` when a target does not start or answers wrongly."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bascule-bench-"))
        return Bench(options, tools, progress, Path(folder), stack).measure()


class Bench:
    """The targets of one run and what was measured of them."""

    def __init__(
        self,
        options: Options,
        tools: Tools,
        progress: Progress,
        folder: Path,
        stack: contextlib.ExitStack,
    ) -> None:
        self._options = options
        self._tools = tools
        self._progress = progress
        self._folder = folder
        self._stack = stack
        self._began = monotonic()
        cores = sorted(os.sched_getaffinity(0))
        self._cores = cores if len(cores) > 1 and tools.taskset else []
        self._samples: dict[tuple[str, int], list[report.Sample]] = defaultdict(list)
        self._not_assessed: list[report.NotAssessed] = []
        self._rounds = 0

    def measure(self) -> report.Report:
        """Start the targets and measure them."""
        upstream = self._start_upstream()
        gateway, cold_script = self._start_gateway(upstream.port)
        targets = [upstream, gateway, *self._start_peers(upstream.port)]
        for target in targets:
            self._warm_up(target)
        for number in range(self._options.rounds):
            if not self._time_for_a_round(len(targets)):
                self._leave_out("rounds", f"only {number} fit into {RUN_SECONDS} s")
                break
            self._round(targets if number % 2 == 0 else targets[::-1])
        cold = None if cold_script is None else self._measure_cold(gateway, cold_script)
        return self._report(gateway, cold)

    def _start_upstream(self) -> Target:
        port = free_port()
        command = [sys.executable, "-m", "bascule.bench.upstream", str(port)]
        return self._start("direct", [*self._pin(load=True), *command], port, NO_TOKEN)

    def _start_gateway(self, upstream: int) -> tuple[Target, Path | None]:
        options = self._options
        gateway = BenchGateway(self._folder / "gateway", free_port(), free_port())
        count = 1 + options.cold * options.seconds * COLD_TOKENS_PER_SECOND
        self._progress(f"issuing {count} tokens")
        first, *others = prepare(gateway, upstream=upstream, count=count)
        script = None
        if others:
            listed = self._folder / "tokens"
            listed.write_text("\n".join(others))
            script = self._folder / "cold.lua"
            script.write_text(load.script_of_many(listed))
        command = [
            *self._pin(),
            *(sys.executable, "-m", "bascule.cli.main", "--config", str(gateway.config)),
            *("--data-dir", str(gateway.data), "up"),
        ]
        target = self._start("bascule", command, gateway.port, first, gateway)
        return target, script

    def _start_peers(self, upstream: int) -> list[Target]:
        token, jwks = peers.envoy_credentials(system_clock(), TOKEN_SECONDS)
        found = []
        for name in self._options.peers:
            port = free_port()
            config = self._folder / f"{name}.json"
            if name == "nginx_raw":
                if self._tools.nginx is None:
                    self._leave_out(
                        name, "`nginx` is not on PATH: apt-get install nginx-light"
                    )
                    continue
                text = peers.nginx_raw(self._folder, port=port, upstream=upstream)
                config.write_text(text)
                command = [self._tools.nginx, "-c", str(config), "-p", str(self._folder)]
            else:
                log = self._folder / f"{name}.access"
                config.write_bytes(
                    peers.envoy_raw(port=port, upstream=upstream)
                    if name == "envoy_raw"
                    else peers.envoy_full(
                        port=port, upstream=upstream, jwks=jwks, access_log=log
                    )
                )
                command = envoy_command(self._tools.envoy, config)
            found.append(self._start(name, [*self._pin(), *command], port, token))
        return found

    def _start(
        self,
        name: str,
        command: Sequence[str],
        port: int,
        token: str,
        gateway: BenchGateway | None = None,
    ) -> Target:
        self._progress(f"starting {name}")
        log = self._folder / f"{name}.log"
        process = self._stack.enter_context(
            running(command, log=log, environment=_environment())
        )
        script = self._folder / f"{name}.lua"
        script.write_text(load.script(token))
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
        return Target(name, port, process.pid, token, script, gateway)

    def _pin(self, *, load: bool = False) -> list[str]:
        """Give the words that put a program on its core; none on a machine with one."""
        if not self._cores:
            return []
        assert self._tools.taskset is not None  # noqa: S101 - without it there are no cores
        return [self._tools.taskset, "-c", str(self._cores[1 if load else 0])]

    def _warm_up(self, target: Target) -> None:
        self._load(target, target.script, connections=8, seconds=1)

    def _time_for_a_round(self, targets: int) -> bool:
        each = (self._options.seconds + 1.5) * len(CONNECTIONS) * targets
        return monotonic() - self._began + each < RUN_SECONDS or self._rounds == 0

    def _round(self, targets: Sequence[Target]) -> None:
        self._rounds += 1
        for target in targets:
            for connections in CONNECTIONS:
                sample = self._load(
                    target,
                    target.script,
                    connections=connections,
                    seconds=self._options.seconds,
                )
                self._samples[target.name, connections].append(sample)
                self._progress(
                    f"round {self._rounds}  {target.name:<10} {connections:>2} connections"
                    f"  {sample.cpu_us:7.1f} us CPU  {sample.load.rps:8.0f}/s"
                    f"  p50 {sample.load.p50_us:7.0f} us  p99 {sample.load.p99_us:7.0f} us"
                )

    def _measure_cold(self, gateway: Target, script: Path) -> report.Cold:
        sample = self._load(
            gateway, script, connections=CONNECTIONS[-1], seconds=self._options.seconds
        )
        self._progress(f"cold: {sample.cpu_us:.1f} us CPU, {sample.load.requests} tokens")
        return report.cold(sample)

    def _load(
        self, target: Target, script: Path, *, connections: int, seconds: int
    ) -> report.Sample:
        """Load one target; the CPU it spends until all its records are kept counts."""
        before = cpu_seconds(target.pid)
        program = [*self._pin(load=True), self._tools.wrk]
        seen = load.run_wrk(
            program, script, target.port, connections=connections, seconds=seconds
        )
        if target.gateway is not None:
            _settle(target.gateway)
        return report.Sample(seen, cpu_seconds(target.pid) - before)

    def _leave_out(self, name: str, reason: str) -> None:
        self._not_assessed.append(report.NotAssessed(name, reason))
        self._progress(f"not assessed: {name}: {reason}")

    def _report(self, gateway: Target, cold: report.Cold | None) -> report.Report:
        assert gateway.gateway is not None  # noqa: S101 - it is the gateway
        found: Mapping[str, report.Target] = {
            name: report.target(
                self._samples[name, CONNECTIONS[-1]], self._samples[name, CONNECTIONS[0]]
            )
            for name, _ in self._samples
        }
        ours, direct = found["bascule"], found["direct"]
        others = {name: found[name] for name in self._options.peers if name in found}
        added = ours.one_connection.p50_us - direct.one_connection.p50_us
        result = report.Report(
            bascule=ours,
            peers=others,
            ratio={name: round(ours.cpu_us / it.cpu_us, 3) for name, it in others.items()},
            direct=direct,
            added_p50_us=round(added, 1),
            fsync_us=fsync_microseconds(gateway.gateway.data),
            pss_mb=round(pss_megabytes(gateway.pid), 1),
            pinned=bool(self._cores),
            rounds=self._rounds,
            seconds=self._options.seconds,
            not_assessed=self._not_assessed,
        )
        if cold is not None:
            result.cold = cold
        return result


def envoy_command(envoy: str, config: Path) -> list[str]:
    """Give the words that run Envoy with one worker."""
    return [
        *(envoy, "-c", str(config), "--concurrency", "1", "-l", "error"),
        "--disable-hot-restart",
    ]


def free_port() -> int:
    """Give a port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fsync_microseconds(folder: Path) -> float:
    """Measure what a small append costs until it is on disk: the median of a hundred."""
    path = folder / "fsync"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    times = []
    try:
        for _ in range(100):
            began = monotonic()
            os.write(descriptor, bytes(512))
            os.fdatasync(descriptor)
            times.append(monotonic() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    return round(statistics.median(times) * 1e6, 1)


def _settle(gateway: BenchGateway) -> None:
    """Wait until the gateway has taken all its records into the tree."""
    deadline = monotonic() + SETTLE_SECONDS
    before = -1
    while monotonic() < deadline:
        size, waiting = records(gateway)
        if waiting == 0 and size == before:
            return
        before = size
        time.sleep(0.2)
    raise BasculeError(f"the gateway's records were not kept within {SETTLE_SECONDS} s")


def _environment() -> dict[str, str]:
    """Give what the programs need of ours; no setting of Bascule's gets to the gateway."""
    return {k: v for k, v in os.environ.items() if not k.startswith("BASCULE_")}
