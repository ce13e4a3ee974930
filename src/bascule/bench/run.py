"""One run: all targets started, measured in turn, in rounds, and ended."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bascule.bench import load, peers, report, supply_chain, targets
from bascule.bench.decisions import Decisions, decisions
from bascule.bench.disk import fsync_microseconds
from bascule.bench.gateway import TOKEN_SECONDS, BenchGateway, Tokens, prepare, records
from bascule.bench.processes import cpu_seconds, pss_megabytes
from bascule.bench.supply_chain import Sizes
from bascule.bench.targets import Host, Progress, Target
from bascule.bench.tools import Tools
from bascule.clock import monotonic, system_clock
from bascule.errors import BasculeError

PEERS = ("nginx_raw", "envoy_raw", "envoy_full")
ONE, MANY = 1, 32
"""Connections."""
SETTLE_SECONDS = 15
COLD_TOKENS_PER_SECOND = 4000
"""More than one core verifies, so that no token is shown twice."""
RUN_SECONDS = 110
"""No second or later round begins that would not end by then: all must end in 150 s."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure."""

    seconds: int = 2
    """Of each load."""
    rounds: int = 3
    peers: tuple[str, ...] = PEERS
    cold: bool = True
    supply_chain: Sizes | None = None
    """How much to measure of what needs no target; None for nothing."""
    decisions: bool = True


def run(options: Options, tools: Tools, progress: Progress) -> report.Report:
    """Measure. Raises `BasculeError` when a target does not start or answers wrongly."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bascule-bench-"))
        return Bench(options, Host(tools, Path(folder), stack, progress)).measure()


class Bench:
    """The targets of one run, and what was measured of them."""

    def __init__(self, options: Options, host: Host) -> None:
        self._options = options
        self._host = host
        self._began = monotonic()
        self._samples: dict[tuple[str, int], list[report.Sample]] = defaultdict(list)
        self._not_assessed: list[report.NotAssessed] = []
        self._gateway = BenchGateway(
            host.folder / "gateway", targets.free_port(), targets.free_port()
        )

    def measure(self) -> report.Report:
        """Start the targets and measure them; before, what needs no target."""
        sizes = self._options.supply_chain
        chain = None if sizes is None else self._measure_supply_chain(sizes)
        alone = self._measure_decisions_alone() if self._options.decisions else None
        upstream = targets.start_upstream(self._host)
        tokens = self._tokens(upstream.port)
        first, *others = tokens.calls
        fsync_us = fsync_microseconds(self._gateway.data)
        gateway = targets.start_gateway(self._host, self._gateway, first)
        started = [upstream, gateway, *self._start_peers(upstream.port)]
        for target in started:
            self._load(target, target.script, connections=8, seconds=1)
        rounds = self._rounds(started)
        cold = decision = lists = None
        if self._options.cold:
            cold = self._measure_cold(gateway, others)
            decision = self._measure_decisions(gateway, first)
            lists = self._measure_lists(gateway, tokens.lists)
        return self._report(
            rounds=rounds,
            cold=cold,
            cold_decision=decision,
            lists=lists,
            chain=chain,
            decisions=alone,
            fsync_us=fsync_us,
            pss_mb=round(pss_megabytes(gateway.pid), 1),
        )

    def _measure_supply_chain(self, sizes: Sizes) -> supply_chain.SupplyChain:
        folder = self._host.folder / "supply-chain"
        return supply_chain.measure(
            monotonic, folder, sizes, self._host.progress, self._leave_out
        )

    def _measure_decisions_alone(self) -> Decisions:
        self._host.progress("deciding")
        folder = self._host.folder / "decisions"
        folder.mkdir()
        return decisions(monotonic, folder)

    def _tokens(self, upstream: int) -> Tokens:
        options = self._options
        count = 1 + options.cold * options.seconds * COLD_TOKENS_PER_SECOND
        self._host.progress(f"issuing {count} tokens")
        return prepare(self._gateway, upstream=upstream, count=count)

    def _start_peers(self, upstream: int) -> Iterator[Target]:
        host, wanted = self._host, self._options.peers
        if "nginx_raw" in wanted:
            if host.tools.nginx is not None:
                yield targets.start_nginx_raw(host, host.tools.nginx, upstream)
            else:
                self._leave_out(
                    "nginx_raw", "`nginx` is not on PATH: apt-get install nginx-light"
                )
        if "envoy_raw" in wanted:
            yield targets.start_envoy_raw(host, upstream)
        if "envoy_full" in wanted:
            token, jwks = peers.envoy_credentials(system_clock(), TOKEN_SECONDS)
            yield targets.start_envoy_full(host, upstream, token, jwks)

    def _rounds(self, started: list[Target]) -> int:
        """Measure all targets in turn, in the other order each time; gives how often."""
        began = monotonic()
        for number in range(self._options.rounds):
            each = (monotonic() - began) / max(number, 1)
            if number and monotonic() - self._began + each > RUN_SECONDS:
                self._leave_out("rounds", f"only {number} fit into {RUN_SECONDS} s")
                return number
            self._round(number + 1, started if number % 2 == 0 else started[::-1])
        return self._options.rounds

    def _round(self, number: int, started: Sequence[Target]) -> None:
        seconds = self._options.seconds
        for target in started:
            for connections in (ONE, MANY):
                sample = self._load(
                    target, target.script, connections=connections, seconds=seconds
                )
                self._samples[target.name, connections].append(sample)
                self._host.progress(
                    f"round {number}  {target.name:<10} {connections:>2} connections"
                    f"  {sample.cpu_us:7.1f} us CPU  {sample.load.rps:8.0f}/s"
                    f"  p50 {sample.load.p50_us:7.0f} us  p99 {sample.load.p99_us:7.0f} us"
                )

    def _measure_cold(self, gateway: Target, tokens: Sequence[str]) -> report.Cold:
        listed = self._host.folder / "tokens"
        listed.write_text("\n".join(tokens))
        found = report.cold(self._load_once(gateway, load.script_of_many(listed)))
        self._host.progress(f"cold: {found.cpu_us} us CPU, {found.requests} tokens")
        return found

    def _measure_decisions(self, gateway: Target, token: str) -> report.Cold:
        found = report.cold(self._load_once(gateway, load.script_of_new_names(token)))
        self._host.progress(f"cold decisions: {found.cpu_us} us CPU")
        return found

    def _measure_lists(self, gateway: Target, tokens: Sequence[str]) -> report.Lists:
        first = [load.list_milliseconds(gateway.port, token) for token in tokens]
        later = self._load_once(gateway, load.script_of_lists(tokens[0]))
        found = report.lists(first, later)
        self._host.progress(f"lists: first {found.first_ms} ms, then {found.cpu_us} us CPU")
        return found

    def _load_once(self, gateway: Target, text: str) -> report.Sample:
        script = self._host.folder / "once.lua"
        script.write_text(text)
        seconds = self._options.seconds
        return self._load(gateway, script, connections=MANY, seconds=seconds)

    def _load(
        self, target: Target, script: Path, *, connections: int, seconds: int
    ) -> report.Sample:
        """Load one target; the CPU that it spends until all its records are kept counts."""
        before = cpu_seconds(target.pid)
        program = self._host.on_other_core([self._host.tools.wrk])
        seen = load.run_wrk(
            program, script, target.port, connections=connections, seconds=seconds
        )
        if target.port == self._gateway.port:
            _settle(self._gateway)
        return report.Sample(seen, cpu_seconds(target.pid) - before)

    def _leave_out(self, name: str, reason: str) -> None:
        self._not_assessed.append(report.NotAssessed(name, reason))
        self._host.progress(f"not assessed: {name}: {reason}")

    def _report(
        self,
        *,
        rounds: int,
        cold: report.Cold | None,
        cold_decision: report.Cold | None,
        lists: report.Lists | None,
        chain: supply_chain.SupplyChain | None,
        decisions: Decisions | None,
        fsync_us: float,
        pss_mb: float,
    ) -> report.Report:
        found = {
            name: report.target(self._samples[name, MANY], self._samples[name, ONE])
            for name in ("bascule", "direct", *self._options.peers)
            if (name, MANY) in self._samples
        }
        ours, direct = found.pop("bascule"), found.pop("direct")
        added = ours.one_connection.p50_us - direct.one_connection.p50_us
        return report.Report(
            bascule=ours,
            peers=found,
            ratio={name: round(ours.cpu_us / it.cpu_us, 3) for name, it in found.items()},
            direct=direct,
            added_p50_us=round(added, 1),
            fsync_us=fsync_us,
            pss_mb=pss_mb,
            cold=cold,
            cold_decision=cold_decision,
            lists=lists,
            supply_chain=chain,
            decisions=decisions,
            pinned=bool(self._host.cores),
            rounds=rounds,
            seconds=self._options.seconds,
            not_assessed=self._not_assessed,
        )


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
