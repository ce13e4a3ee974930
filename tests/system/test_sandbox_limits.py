"""What a sandboxed server can use up, and how it ends."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bascule.launch.sandbox.control_group import make_control_group
from system.boxed import WHO, Box, left_of

pytestmark = pytest.mark.on_disk

FORKS = """
import json, os, signal
count = 0
try:
    while count < 500:
        if os.fork() == 0:
            signal.pause()
            os._exit(0)
        count += 1
except OSError as exc:
    print(json.dumps([count, exc.strerror]))
else:
    print(json.dumps([count, "never refused"]))
"""

MEMORY = """
import json
held = []
try:
    while len(held) < 1024:
        held.append(b"x" * (1 << 20))
except MemoryError:
    print(json.dumps(len(held)))
"""


@pytest.fixture(params=WHO)
def who(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["bubblewrap", "landlock"])
def box(request: pytest.FixtureRequest, tmp_path: Path, who: str) -> Box:
    return Box(tmp_path, who, str(request.param))


def counts_root() -> bool:
    """Tell whether this machine lets us bound the number of root's processes."""
    made = make_control_group(memory_bytes=1 << 30, processes=10)
    try:
        return any((it / "pids.max").exists() for it in made.folders)
    finally:
        made.remove()


def test_a_fork_bomb_is_bounded(box: Box) -> None:
    """The kernel does not count root's processes: there it takes a control group."""
    if box.who == "root" and not counts_root():
        ran = box.run("print(1)")
        assert "the number of its processes is not bounded" in ran.errors
        return
    count, problem = box.run(FORKS, processes=40).json
    assert problem == "Resource temporarily unavailable"
    assert count <= 41


def test_memory_is_bounded(box: Box) -> None:
    held = box.run(MEMORY, memory_bytes=256 << 20).json
    assert 100 <= held < 256


def test_its_own_folders_are_bounded(tmp_path: Path) -> None:
    code = """
import json, os
written = 0
try:
    with open(os.environ["TMPDIR"] + "/large", "wb") as file:
        while written < 1024:
            file.write(bytes(1 << 20))
            written += 1
except OSError as exc:
    print(json.dumps([written, exc.strerror]))
"""
    written, problem = Box(tmp_path).run(code).json
    assert problem == "No space left on device"
    assert written <= 256


def test_a_server_is_asked_to_end_before_it_is_killed(box: Box) -> None:
    """SIGTERM reaches the server itself through bubblewrap, which would die of it."""
    code = """
import signal, sys, time
def end(*_):
    print("asked to end", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(60)
"""
    assert box.run(code, ends_after="ready").out == ["ready", "asked to end"]


def test_a_server_that_ignores_it_is_killed(box: Box) -> None:
    code = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
print("ready", os.getpid(), flush=True)
time.sleep(60)
"""
    ran = box.run(code, ends_after="ready")
    assert ran.out[0].startswith("ready")
    assert not left_of(box.folder)


@pytest.mark.parametrize("backend", ["bubblewrap", "landlock"])
def test_rights_of_a_service_are_not_inherited(tmp_path: Path, backend: str) -> None:
    """A unit of systemd gives some for listening; bubblewrap would not even start."""
    code = """
import json
rows = (line.split(":") for line in open("/proc/self/status"))
print(json.dumps({name: value.strip() for name, value in rows if name.startswith("Cap")}))
"""
    ran = Box(tmp_path, WHO[-1], backend, ambient="net_bind_service").run(code)
    rights = {it: ran.json[it] for it in ("CapInh", "CapPrm", "CapEff", "CapAmb")}
    if backend == "landlock":
        rights.pop("CapInh")  # no right by itself, and only programs with some could use it
    assert set(rights.values()) == {"0" * 16}


def test_nothing_is_left_on_the_disk(box: Box) -> None:
    """Whatever rights the server gave its last files."""
    scratch = box.folder / "scratch"
    scratch.mkdir(mode=0o777)
    scratch.chmod(0o777)
    code = """
import os
import subprocess
inner = os.environ["HOME"] + "/a/b"
os.makedirs(inner)
open(inner + "/file", "w").close()
print("made")
"""
    ran = box.run(code, scratch=str(scratch))
    assert ran.out == ["made"]
    assert list(scratch.iterdir()) == []


def test_without_a_group_that_is_ours_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text("0::/user.slice/session\n")
    (tmp_path / "mountinfo").write_text(
        f"1 1 0:1 / {tmp_path}/fs rw - cgroup2 cgroup2 rw\n"
    )
    assert make_control_group(memory_bytes=1, processes=1, proc=tmp_path).folders == []


def test_a_delegated_group_passes_limits_on(tmp_path: Path) -> None:
    """With files in the kernel's place: the machine that tests run on may have none."""
    service = tmp_path / "fs" / "bascule.service"
    (service / "main").mkdir(parents=True)
    (service / "cgroup.subtree_control").write_text("")
    (tmp_path / "cgroup").write_text("0::/bascule.service/main\n")
    (tmp_path / "mountinfo").write_text(
        f"1 1 0:1 / {tmp_path}/fs rw - cgroup2 cgroup2 rw\n"
    )
    made = make_control_group(memory_bytes=1, processes=1, proc=tmp_path)
    assert (service / "cgroup.subtree_control").read_text() == "+pids +memory"
    assert made.folders == []  # an ordinary folder has no limits to set
    assert [it.name for it in service.iterdir() if it.is_dir()] == ["main"]


def test_what_a_killed_one_left_is_swept_away(tmp_path: Path) -> None:
    """Folders are named by the process that made them; one with no process is nobody's."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    scratch = tmp_path / "scratch"
    (scratch / f"bascule-box-{dead.pid}-left" / "home").mkdir(parents=True)
    (scratch / "bascule-0-used").mkdir()
    (scratch / f"bascule-box-{os.getpid()}-used").mkdir()
    box = Box(tmp_path, backend="landlock")
    assert box.run("print(1)", scratch=str(scratch)).out == ["1"]
    assert {it.name for it in scratch.iterdir()} == {
        "bascule-0-used",
        f"bascule-box-{os.getpid()}-used",
    }
