"""`bascule bench`, whole: short runs of all targets, and what they leave behind."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bascule.bench.processes import tree
from bascule.bench.run import Options, run
from bascule.bench.supply_chain import Sizes, measure
from bascule.bench.tools import find_tools, packaged_envoy
from bascule.clock import monotonic

FIGURES = {"cpu_us", "rps", "p50_us", "p99_us"}
PEERS = ("--peer", "nginx_raw", "--peer", "envoy_full")
COMMAND = [sys.executable, "-m", "bascule.cli.main", "bench"]


def environment(folder: Path, path: str | None = None) -> dict[str, str]:
    found = {**os.environ, "TMPDIR": str(folder)}
    return found if path is None else {**found, "PATH": path}


def bench(folder: Path, *arguments: str) -> dict[str, Any]:
    result = subprocess.run(
        [*COMMAND, "--json", "--seconds", "1", "--rounds", "1", *arguments],
        env=environment(folder),
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="session")
def report(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give what one run measures, made once for all processes that test."""
    kept = shared_folder / "bench.json"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            folder = tmp_path_factory.mktemp("bench")
            found = bench(
                folder, *PEERS, "--no-cold", "--no-supply-chain", "--no-decisions"
            )
            assert list(folder.iterdir()) == []
            kept.write_text(json.dumps(found))
    found = json.loads(kept.read_text())
    assert isinstance(found, dict)
    return found


def test_the_peers_that_were_asked_for_are_measured(report: dict[str, Any]) -> None:
    assert set(report["peers"]) == {"nginx_raw", "envoy_full"}
    assert report["not_assessed"] == []


def test_every_target_has_its_figures_at_both_loads(report: dict[str, Any]) -> None:
    for target in (report["bascule"], *report["peers"].values()):
        for figures in (target, target["one_connection"]):
            assert set(figures) >= FIGURES
            assert all(figures[name] > 0 for name in FIGURES)


def test_ratios_are_of_cpu_times(report: dict[str, Any]) -> None:
    ours = report["bascule"]["cpu_us"]
    expected = {name: ours / peer["cpu_us"] for name, peer in report["peers"].items()}
    assert report["ratio"] == pytest.approx(expected, abs=0.001)


@pytest.mark.soak
def test_cold_calls_disk_and_memory_are_measured_too(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("bench")
    report = bench(folder, "--no-supply-chain", "--no-decisions")
    assert list(folder.iterdir()) == []
    assert set(report["peers"]) == {"nginx_raw", "envoy_raw", "envoy_full"}
    assert report["cold"]["cpu_us"] > 0
    assert report["cold"]["requests"] > 0
    assert report["cold_decision"]["cpu_us"] > report["bascule"]["cpu_us"]
    assert report["lists"]["first_ms"] > 0
    assert report["lists"]["cpu_us"] > report["bascule"]["cpu_us"]
    assert report["fsync_us"] > 0
    assert report["pss_mb"] > 0


@pytest.mark.soak
def test_a_peer_that_is_missing_is_named_and_the_others_are_measured() -> None:
    tools = replace(find_tools(os.environ["PATH"], packaged=packaged_envoy()), nginx=None)
    told: list[str] = []
    options = Options(1, 1, ("nginx_raw", "envoy_raw"), cold=False)
    found = run(options, tools, told.append)
    assert [it.name for it in found.not_assessed] == ["nginx_raw"]
    assert set(found.peers) == set(found.ratio) == {"envoy_raw"}
    assert any("apt-get install nginx" in line for line in told)


def test_what_locks_and_approvals_cost_is_measured_too(tmp_path: Path) -> None:
    sizes = Sizes(files=60, bytes=60_000, packages=10, advisories=200, starts=1)
    left_out: dict[str, str] = {}
    told: list[str] = []
    folder = tmp_path / "chain"
    found = measure(monotonic, folder, sizes, told.append, left_out.__setitem__)
    assert found.verify_ms > 0
    assert found.gate.first_list_ms > 0
    assert (found.matching.packages, found.matching.advisories) == (10, 200)
    assert found.launch is not None
    assert found.launch.files > 60
    assert found.launch.locked_ms > found.launch.bare_ms > 0
    # Whoever has never run `npx -y` has nothing that could be measured.
    assert (found.npx is None) == (found.npx_ratio is None) == ("npx" in left_out)
    assert left_out.keys() <= {"npx"}


def test_without_programs_it_exits_3_and_says_how_to_get_them(tmp_path: Path) -> None:
    result = subprocess.run(
        COMMAND, env=environment(tmp_path, path=""), capture_output=True, text=True
    )
    assert result.returncode == 3
    assert result.stdout == ""
    assert "apt-get install wrk" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_stopped_leaves_no_process_and_no_file(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("bench")  # short: a socket will lie below it
    without = ("--no-cold", "--no-supply-chain", "--no-decisions")
    command = [*COMMAND, "--peer", "envoy_full", *without]
    with subprocess.Popen(
        command, env=environment(folder), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(line.strip())
            if line.startswith("starting envoy"):
                break
        started = [pid for pid in tree(process.pid) if pid != process.pid]
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    assert told == [
        "starting direct",
        "issuing 1 tokens",
        "starting bascule",
        "starting envoy_full",
    ]
    assert len(started) >= 2
    assert process.returncode == 128 + signal.SIGTERM
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
    assert working_in(folder) == []
    assert list(folder.iterdir()) == []


def working_in(folder: Path) -> list[str]:
    """Give the command lines of processes that name a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            found += [line] if str(folder) in line else []
    return found
