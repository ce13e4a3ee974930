"""What a probe leaves behind: records of what is new, rows that survive a start."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bascule.app.boundaries import standings
from bascule.app.boundary_watch import BoundaryWatch, _not_forgotten
from bascule.app.files import data_directory
from bascule.app.own_loop import in_own_loop
from bascule.app.place import Place
from bascule.app.stdio import StdioHosts
from bascule.audit.query import Filter, rows
from bascule.clock import UnixTime, system_clock
from bascule.config.load import load
from bascule.config.model import Config
from bascule.launch.sandbox.backend import Reached
from bascule.scan.boundary import Judged
from bascule.scan.bypass import listening_at, sockets_of
from bascule.scan.finding import found
from bascule.scan.interfaces import own_addresses
from bascule.scan.local_view import look
from bascule.scan.rules.boundary import BYPASS
from bascule.storage import boundary_verdicts

CONFIG = load('[connectors.time]\ncommand = ["time-server"]\n', source="bascule.toml")


class Hosted:
    """Stdio servers of which one wanted to reach something."""

    def __init__(self, **refused: UnixTime) -> None:
        self._refused = {"time": {f"{it}.example:443": at for it, at in refused.items()}}

    def processes(self) -> Mapping[str, frozenset[int]]:
        return {"time": frozenset()}

    def kept_off(self) -> Mapping[str, Mapping[str, UnixTime]]:
        found, self._refused = self._refused, {}
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(data_directory(tmp_path / "data"), CONFIG.server)
    yield made
    made.close()


def watch(place: Place, tmp_path: Path, hosted: Hosted, config: Config) -> BoundaryWatch:
    return BoundaryWatch(place, tmp_path / "bascule.toml", lambda: config, hosted)


def probe(
    place: Place, tmp_path: Path, hosted: Hosted, config: Config = CONFIG
) -> BoundaryWatch:
    made = watch(place, tmp_path, hosted, config)
    asyncio.run(made._probe_when_due())
    return made


def recorded(place: Place, type: str) -> int:
    return sum(1 for _ in rows(place.log().files(), Filter(type=type), 0))


def rules_of(place: Place, config: Config = CONFIG) -> list[str]:
    kept = place.open_state().read(boundary_verdicts.every)
    seen = standings(kept, config, system_clock())["time"].seen
    return [it.rule for judged in seen.values() for it in judged.findings]


def test_what_a_sandbox_refused_is_recorded_once_and_outlives_a_start(
    place: Place, tmp_path: Path
) -> None:
    now = system_clock()
    long_ago = UnixTime(now - 8 * 86_400)
    made = probe(place, tmp_path, Hosted(evil=now, old=long_ago))
    # It does not run, and nothing would enclose it if it did.
    assert made.counts == {"inside": 0, "outside": 0, "unknown": 1}
    assert rules_of(place) == ["boundary-reach-refused"]
    assert recorded(place, "boundary.finding") == 1
    probe(place, tmp_path, Hosted())  # a start later
    assert rules_of(place) == ["boundary-reach-refused"]
    assert recorded(place, "boundary.finding") == 1
    assert recorded(place, "boundary.cleared") == 0
    other = load('[connectors.time]\ncommand = ["other"]\n', source="bascule.toml")
    probe(place, tmp_path, Hosted(), other)
    assert rules_of(place, other) == []


def test_what_sandboxes_refuse_is_told_once(place: Place, tmp_path: Path) -> None:
    hosts = StdioHosts(place, CONFIG, tmp_path / "bascule.toml")
    refused = Reached("evil.example", 443, allowed=False, reason="not in `may_reach`")
    asyncio.run(hosts._reached("time", refused))
    asyncio.run(hosts._reached("time", Reached("good.example", 443, allowed=True)))
    (places,) = hosts.kept_off().values()
    assert list(places) == ["evil.example:443"]
    assert hosts.kept_off() == {}
    assert recorded(place, "egress.refuse") == 1
    assert hosts.processes() == {"time": frozenset()}


def test_nothing_is_probed_where_the_rule_is_never(place: Place, tmp_path: Path) -> None:
    never = load(
        '[boundary]\nevery_minutes = 0\n[connectors.time]\ncommand = ["x"]\n',
        source="bascule.toml",
    )
    assert probe(place, tmp_path, Hosted(), never).counts == {}
    assert place.open_state().read(boundary_verdicts.every) == []


def test_a_breach_goes_on_until_it_was_seen_to_be_over() -> None:
    finding = found(BYPASS, "connectors.desk", "evidence")
    broken = Judged(inward="outside", outward="unknown", findings=(finding,))
    unknown = Judged(inward="unknown", outward="unknown")
    inside = Judged(inward="inside", outward="unknown")
    held = _not_forgotten(unknown, broken)
    assert (held.inward, held.findings) == ("outside", (finding,))
    assert _not_forgotten(inside, broken) is inside
    assert _not_forgotten(unknown, inside) is unknown
    assert _not_forgotten(unknown, held).findings == (finding,)


def test_sockets_of_a_server_and_of_what_it_started_are_found() -> None:
    listen = "import socket as s; x=s.create_server(('127.0.0.1', 0)); " + (
        "print(x.getsockname()[1], flush=True); x.accept()"
    )
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {listen!r}])"
    with (
        subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE) as parent,
        socket.create_server(("127.0.0.1", 0)),  # of this process, which is not asked for
    ):
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        (found_,) = sockets_of([parent.pid], look())
        assert (found_.address, found_.port) == ("127.0.0.1", port)
        assert sockets_of([], look()) == ()
        (listening,) = asyncio.run(listening_at([found_], own_addresses()))
        assert (listening.address, listening.beyond) == (f"127.0.0.1:{port}", False)
        assert listening.state not in {"open", "garbage_accepted"}


def test_work_on_a_loop_of_its_own_ends_with_who_waits() -> None:
    begun, ended = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    complaints: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, it: complaints.append(it["message"]))
        waiting = asyncio.create_task(in_own_loop(work))
        await asyncio.to_thread(begun.wait)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert await asyncio.to_thread(ended.wait, 60)
        # The thread ends with the default executor, which this waits for.
        await loop.shutdown_default_executor()
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(main())
    assert complaints == []


def test_a_loop_of_its_own_gives_what_comes_of_it() -> None:
    async def work() -> int:
        return threading.get_ident()

    async def fails() -> None:
        raise LookupError("x")

    assert asyncio.run(in_own_loop(work)) != threading.get_ident()
    with pytest.raises(LookupError):
        asyncio.run(in_own_loop(fails))
