"""Processes of stdio servers: what they get, what they leave, how they end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bascule.config.model import Limits
from bascule.launch.backoff import HEALTHY_SECONDS, LONGEST_SECONDS, Backoff
from bascule.launch.calls import ServerGoneError
from bascule.launch.command import Command, LaunchError
from bascule.launch.server import StdioServer
from bascule.launch.wanted import Wanted
from bascule.protocol import modern
from patience import until
from system.stdio_host import (
    SHARED,
    Host,
    child,
    content,
    environment,
    eventually,
    hosting,
    is_running,
    last,
    saw,
)

LEGACY = Wanted(user="", revision="2025-11-25")


def test_the_environment_is_minimal_and_what_was_declared(tmp_path: Path) -> None:
    declared = {"TZ": "Asia/Tokyo", "KEY": "declared"}

    async def work(host: Host) -> None:
        found = (await host.value("env"))["env"]
        # Python itself adds LC_CTYPE where there is no locale.
        found.pop("LC_CTYPE", None)
        private = tmp_path / "private" / "shared"
        assert found == {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(private / "home"),
            "TMPDIR": str(private / "tmp"),
            **declared,
        }

    command = Command("child", child(tmp_path), declared)
    with environment(OPERATORS_SECRET="canary", TZ="UTC", LANG="C.UTF-8"):
        hosting(tmp_path, work, command=command)


def test_home_and_temporary_directory_are_for_this_user_alone(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        found = await host.value("env")
        assert found["cwd"] == found["env"]["HOME"]
        modes = {stat.S_IMODE(mode) for mode in found["modes"].values()}
        assert modes == {0o700}
        assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o700

    hosting(tmp_path, work)


def test_no_descriptor_is_inherited(tmp_path: Path) -> None:
    leaky = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(leaky, True)

    async def work(host: Host) -> None:
        # 3 is the listing itself.
        assert (await host.value("env"))["fds"] == ["0", "1", "2", "3"]

    try:
        hosting(tmp_path, work)
    finally:
        os.close(leaky)


def test_it_cannot_gain_rights_by_programs_that_have_more(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        status = (await host.value("env"))["status"]
        assert "NoNewPrivs:\t1" in status
        assert ignored_signals(status) == {signal.SIGPIPE, signal.SIGXFSZ}  # by Python

    hosting(tmp_path, work)


def ignored_signals(status: str) -> set[int]:
    """Read `SigIgn`, but for 32 and 33: glibc keeps these two and lets nobody set them."""
    (line,) = (it for it in status.splitlines() if it.startswith("SigIgn:"))
    mask = int(line.split()[1], 16)
    return {it for it in range(1, 65) if mask >> (it - 1) & 1} - {32, 33}


def test_the_command_is_run_without_a_shell(tmp_path: Path) -> None:
    words = ["$(touch pwned)", "; touch pwned", "`touch pwned`", "*", "a b", ""]

    async def work(host: Host) -> None:
        argv = (await host.value("env"))["argv"]
        assert argv[-len(words) :] == words
        assert list((tmp_path / "private" / "shared" / "home").iterdir()) == []

    hosting(tmp_path, work, "--", *words)


@pytest.mark.parametrize(
    ("program", "says"),
    [("no-such-program", "is not on PATH"), ("/no/such/program", "does not exist")],
)
def test_a_missing_program_is_named_with_the_remedy(
    program: str, says: str, tmp_path: Path
) -> None:
    async def work(host: Host) -> None:
        with pytest.raises(LaunchError) as failed:
            await host.server.peer(SHARED)
        assert "connector `desk`" in str(failed.value)
        assert f"`{program}` {says}" in str(failed.value)

    hosting(tmp_path, work, command=Command("desk", (program,)))


def test_a_program_that_cannot_be_executed_is_told_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o700)

    async def work(host: Host) -> None:
        with pytest.raises(ServerGoneError):
            await host.server.peer(SHARED)

    with caplog.at_level(logging.INFO, "bascule.stdio"):
        hosting(tmp_path, work, command=Command("desk", (str(broken),)))
    assert "[desk] cannot execute" in caplog.text


def test_what_cannot_be_recorded_is_not_run(tmp_path: Path) -> None:
    async def refuse(*_: object) -> None:
        raise LaunchError("the log is full")

    async def work(host: Host) -> None:
        command = Command("child", child(tmp_path))
        folder = tmp_path / "private"
        server = StdioServer(command, folder, Limits(), host.ear, record=refuse)
        with pytest.raises(LaunchError, match="log is full"):
            await server.peer(SHARED)

    hosting(tmp_path, work)
    assert saw(tmp_path) == []


# Ends


def test_a_process_ends_when_its_input_closes(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        await host.value("echo")

    hosting(tmp_path, work)
    assert not is_running(saw(tmp_path)[0]["pid"])


def test_one_that_ignores_all_that_it_can_is_killed(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        await host.value("echo")

    hosting(tmp_path, work, "--stubborn")
    assert not is_running(saw(tmp_path)[0]["pid"])


def test_what_a_server_started_ends_with_it(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        started = (await host.value("spawns"))["pid"]
        assert is_running(started)
        with pytest.raises(ServerGoneError):
            await last(await host.call("dies"))
        await eventually(lambda: not is_running(started))

    hosting(tmp_path, work)


HOST = """
import asyncio, json, sys
from pathlib import Path
from system.stdio_host import hosting

async def work(host):
    started = await host.value("spawns")
    (peer,) = host.server.peers
    print(json.dumps([started["pid"], peer.process.pid]), flush=True)
    await asyncio.Event().wait()

hosting(Path(sys.argv[1]), work, "--stubborn")
"""


def test_nothing_is_left_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    """The server ignores SIGTERM and the end of its input; so does what it started."""
    tests = str(Path(__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": tests},
    ) as supervisor:
        assert supervisor.stdout is not None
        pids = [*json.loads(supervisor.stdout.readline()), saw(tmp_path)[0]["pid"]]
        assert all(map(is_running, pids))
        supervisor.kill()
        supervisor.wait()
        until(lambda: not any(map(is_running, pids)))


def test_the_server_ends_when_its_warden_is_killed(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        pid = (await host.value("echo"))["pid"]
        (peer,) = host.server.peers
        os.kill(peer.process.pid, 9)
        await eventually(lambda: not is_running(pid) and not host.server.peers)
        assert (await host.value("echo"))["pid"] != pid

    hosting(tmp_path, work, "--stubborn")


def test_an_idle_process_ends_and_the_next_call_starts_another(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        first = (await host.value("echo"))["pid"]
        (peer,) = host.server.peers
        host.server.expire(peer.last_used + 9)
        assert host.server.peers == [peer]
        host.server.expire(peer.last_used + 11)
        assert host.server.peers == []
        await eventually(lambda: not is_running(first))
        assert (await host.value("echo"))["pid"] != first

    hosting(tmp_path, work, limits=Limits(stdio_idle_seconds=10))


def test_a_process_with_a_call_is_not_idle(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        call = await host.call("hangs")
        (peer,) = host.server.peers
        host.server.expire(peer.last_used + 100)
        assert host.server.peers == [peer]
        call.cancel("enough")

    hosting(tmp_path, work, limits=Limits(stdio_idle_seconds=10))


def test_a_retired_server_answers_what_it_is_at_and_ends(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        call = await host.call("asks", {"method": "roots/list"})
        host.server.retire()
        with pytest.raises(LaunchError):
            await host.server.peer(SHARED)
        assert content(await last(call))
        host.server.expire(0)
        await eventually(lambda: host.server.over)

    hosting(tmp_path, work)


# Failures


def test_waiting_grows_to_a_bound_and_starts_over_after_a_healthy_time() -> None:
    backoff = Backoff()
    assert backoff.left(0) <= 0
    waits = []
    for _ in range(20):
        backoff.failed(started=0, now=1)
        waits.append(backoff.left(1))
    assert waits[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert waits[-1] == LONGEST_SECONDS
    assert waits == sorted(waits)
    backoff.failed(started=0, now=HEALTHY_SECONDS)
    assert backoff.left(HEALTHY_SECONDS) == pytest.approx(0.1)


def test_a_server_that_keeps_failing_is_not_started_again_and_again(tmp_path: Path) -> None:
    script = f"open({str(tmp_path / 'starts')!r}, 'a').write('x')"

    async def work(host: Host) -> None:
        failed = 0
        while failed < 4:
            try:
                await host.server.peer(LEGACY)
            except ServerGoneError:
                failed += 1
            except LaunchError:
                await asyncio.sleep(0.01)
        # The next start is in 0.8 seconds, and nobody has the patience to wait for it.
        with pytest.raises(LaunchError, match="keeps failing"):
            await host.server.peer(LEGACY)
        assert (tmp_path / "starts").read_text() == "xxxx"

    command = Command("child", (sys.executable, "-c", script))
    hosting(tmp_path, work, command=command, patience=0)


def test_callers_share_one_start(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        peers = await asyncio.gather(*(host.server.peer(SHARED) for _ in range(10)))
        assert len(set(map(id, peers))) == 1

    hosting(tmp_path, work)
    assert len(saw(tmp_path)) == 1


def test_a_caller_that_goes_away_does_not_end_the_start(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        waiting = asyncio.ensure_future(host.server.peer(SHARED))
        await asyncio.sleep(0)
        waiting.cancel()
        await eventually(lambda: len(host.server.peers) == 1)

    hosting(tmp_path, work)


# One process for each user


def test_users_get_processes_and_directories_of_their_own(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        alice, bob, again = [
            content(await last(await host.call("env", wanted=Wanted(it, modern.VERSION))))
            for it in ("user:alice", "user:bob", "user:alice")
        ]
        assert alice["env"]["HOME"] != bob["env"]["HOME"]
        assert alice["env"]["HOME"] == again["env"]["HOME"]
        assert "alice" not in json.dumps(alice["env"])

    hosting(tmp_path, work)
    assert len({it["pid"] for it in saw(tmp_path)}) == 2


def test_all_processes_of_a_user_end_at_once(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        wanted = Wanted("user:alice", modern.VERSION)
        call = await host.call("hangs", wanted=wanted)
        other = await host.call("hangs", wanted=Wanted("user:bob", modern.VERSION))
        host.server.end_users(lambda user: user == "user:alice")
        with pytest.raises(ServerGoneError):
            await call.next()
        assert [it.calls for it in host.server.peers] == [[other]]

    hosting(tmp_path, work)


def test_processes_are_bounded_and_the_longest_idle_makes_room(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        alice, bob, carol = (
            Wanted(it, modern.VERSION) for it in ("user:a", "user:b", "user:c")
        )
        await last(await host.call("echo", wanted=alice))
        busy = await host.call("hangs", wanted=bob)
        held = await host.call("hangs", wanted=carol)
        assert [it.calls for it in host.server.peers] == [[busy], [held]]
        with pytest.raises(LaunchError, match="stdio_processes"):
            await host.server.peer(alice)

    hosting(tmp_path, work, limits=Limits(stdio_processes=2))


# Standard error


def test_standard_error_goes_to_the_log_without_secrets_and_escapes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = (
        "token=hunter2-secret-value\n"
        "\x1b]0;owned\x07\x1b[2Jred \u202etxt.exe\r\n"
        f"{'long' * 2000}\n\nno end"
    )

    async def work(host: Host) -> None:
        await host.value("stderr", text=text)
        await eventually(lambda: "longlong" in caplog.text)

    command = Command(
        "desk",
        child(tmp_path),
        {"TOKEN": "hunter2-secret-value"},
        frozenset({"hunter2-secret-value"}),
    )
    with caplog.at_level(logging.INFO, "bascule.stdio"):
        hosting(tmp_path, work, command=command)
    lines = [it.getMessage() for it in caplog.records]
    assert "[desk] token=[secret]" in lines
    assert "[desk] \\x1b]0;owned\\x07\\x1b[2Jred \\u202etxt.exe" in lines
    assert "[desk] no end" in lines
    assert "hunter2" not in caplog.text
    assert max(map(len, lines)) < 2100


def test_a_flood_on_standard_error_is_cut_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(host: Host) -> None:
        await host.value("stderr", text="noise\n" * 50_000)
        assert await host.value("echo")

    with caplog.at_level(logging.INFO, "bascule.stdio"):
        hosting(tmp_path, work)
    lines = [it.getMessage() for it in caplog.records]
    assert lines.count("[child] noise") == 200
    assert "[child] 49800 more lines are not shown" in lines


def test_secrets_do_not_stand_in_the_command_s_own_text() -> None:
    command = Command("desk", ("x",), {"KEY": "hunter2"}, frozenset({"hunter2"}))
    assert "hunter2" not in repr(command)
