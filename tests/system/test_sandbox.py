"""What a server can do in its sandbox: next to nothing that was not granted.

One program tries everything (`boxed_probe.py`), under each backend, as root and as a user
without rights; each test looks at one thing of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bascule.launch.sandbox.bubblewrap import Bubblewrap
from bascule.launch.sandbox.landlock import Landlock
from memory import on_disk
from system.boxed import WHO, Box, Ran

PROBE = Path(__file__).with_name("boxed_probe.py").read_text()
ELSEWHERE = (
    "169.254.169.254:80",
    "8.8.8.8:53",
    "[2001:4860:4860::8888]:443",
    "not-approved.example:443",
)


def test_this_machine_can_make_sandboxes() -> None:
    """Say it in one place when it cannot: all of what follows would fail."""
    assert Bubblewrap().unavailable() is None
    assert Landlock().unavailable() is None


@contextlib.contextmanager
def listening(place: socket.socket, name: Any) -> Iterator[Any]:
    with place:
        place.bind(name)
        place.listen(8)
        yield place.getsockname()


@pytest.fixture(scope="module", params=WHO)
def who(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Give a folder with things of the host that are no server's business."""
    with on_disk() as folder:
        data = folder / "data"
        for name in ("keys/log.key", "state.db", "run/admin.token"):
            path = data / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("secret")
        yield folder


@pytest.fixture(scope="module", params=["bubblewrap", "landlock"])
def tried(request: pytest.FixtureRequest, who: str, folder: Path) -> Ran:
    """Run the probe, with services of the host that it must not reach."""
    data = folder / "data"
    files = [
        *(str(Path.home()), "/etc/shadow", "/etc/ssl/private", "/home", "/var/log"),
        *(f"/proc/{os.getpid()}/environ", f"/proc/{os.getpid()}/root/etc/shadow"),
        *map(
            str, (data, data / "keys/log.key", data / "state.db", data / "run/admin.token")
        ),
    ]
    unix = str(data / "run" / f"{request.param}-{who}.sock")
    abstract = f"@bascule-test-{os.getpid()}"
    with (
        listening(socket.socket(), ("127.0.0.1", 0)) as (_, port),
        listening(socket.socket(socket.AF_UNIX), unix),
        listening(socket.socket(socket.AF_UNIX), "\0" + abstract[1:]),
    ):
        Path(unix).chmod(0o777)
        return Box(folder, who, str(request.param)).run(
            PROBE,
            ",".join(files),
            ",".join((f"127.0.0.1:{port}", *ELSEWHERE)),
            ",".join((unix, abstract)),
            str(os.getpid()),
            environment={"DECLARED": "yes"},
        )


@pytest.fixture
def backend(tried: Ran, request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["tried"])


def test_nothing_of_the_host_can_be_read(tried: Ran, backend: str) -> None:
    missing = {"ENOENT"} if backend == "bubblewrap" else {"EACCES", "ENOENT", "EPERM"}
    read = dict(tried.json["read"])
    # There is an empty one in the box, with its own HOME in it.
    home = read.pop("/home")
    assert home == ("done" if backend == "bubblewrap" else "EACCES")
    if backend == "bubblewrap" and sys.base_prefix.startswith(f"{Path.home()}/"):
        assert (
            read.pop(str(Path.home())) == "done"
        )  # a folder on the way to the interpreter
    assert set(read.values()) <= missing, read


def test_nothing_but_its_own_folders_can_be_written(tried: Ran) -> None:
    assert set(tried.json["write"].values()) <= {"EROFS", "EACCES"}
    assert set(tried.json["own"].values()) == {"done"}


def test_no_setting_of_the_kernel_can_be_written(tried: Ran) -> None:
    """The kernel asks who owns them, and not in which namespace: root is root there."""
    assert set(tried.json["kernel"].values()) <= {"EROFS", "EACCES"}


def test_no_place_of_the_network_can_be_reached(tried: Ran, backend: str) -> None:
    """Loopback of the host, its cloud's metadata, name servers, IPv6, other names."""
    errors = set(tried.json["connect"].values())
    assert errors <= (
        {"ECONNREFUSED", "-3"} if backend == "bubblewrap" else {"EACCES", "-3"}
    )


def test_no_unix_socket_of_the_host_can_be_reached(tried: Ran) -> None:
    assert set(tried.json["unix"].values()) <= {"ENOENT", "ECONNREFUSED", "EACCES"}
    assert tried.json["pair"] == "done"


def test_odd_sockets_cannot_be_made(tried: Ran, backend: str) -> None:
    found = {
        it: tried.json[it] for it in ("raw socket", "packet socket", "netlink", "vsock")
    }
    if backend == "landlock":
        assert set(found.values()) == {"EACCES"}
    else:
        assert found.pop("raw socket") == "EPERM"
        assert set(found.values()) == {"EAFNOSUPPORT"}
        assert tried.json["sctp"] == "EPROTONOSUPPORT"


def test_what_was_wanted_of_the_network_is_told(tried: Ran, backend: str) -> None:
    if backend == "landlock":
        assert tried.reached == []  # refused by the kernel, which tells nobody
        return
    refused = tried.refused()
    assert ("169.254.169.254", 80) in refused
    assert ("8.8.8.8", 53) in refused
    assert ("2001:4860:4860::8888", 443) in refused
    assert ("9.9.9.9", 4444) in refused
    assert ("not-approved.example", 0) in refused
    assert ("registry.not-approved.example", 0) in refused
    assert any(host == "127.0.0.1" for host, _ in refused)
    assert tried.allowed() == []


def test_the_environment_holds_what_is_declared_and_nothing_else(tried: Ran) -> None:
    environment = dict(tried.json["environment"])
    assert environment.pop("DECLARED") == "yes"
    assert {it: environment.pop(it) for it in ("LANG", "TZ")} == {
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }
    # By the sandbox itself; the last ones keep package managers from trying for minutes.
    assert environment.keys() <= {
        *("PATH", "HOME", "TMPDIR", "PWD", "PYTHONDONTWRITEBYTECODE"),
        *("npm_config_fetch_retries", "PIP_RETRIES", "UV_HTTP_RETRIES"),
    }


def test_it_inherits_three_descriptors(tried: Ran) -> None:
    # The fourth is the listing's own.
    assert tried.json["descriptors"] == ["0", "1", "2", "3"]


def test_it_has_no_rights_and_a_filter(tried: Ran, backend: str) -> None:
    status = tried.json["status"]
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    if backend == "bubblewrap":
        assert status["CapEff"] == status["CapBnd"] == "0" * 16
        assert tried.json["uid"] == 1000
        # Its init, itself, and nobody else.
        assert len(tried.json["processes"]) == 2


@pytest.mark.parametrize(
    "call",
    [
        *("unshare user", "clone user", "mount", "ptrace", "chroot", "bpf", "io_uring"),
        *("keyctl", "userfaultfd", "TIOCSTI", "TIOCSTI, high bits"),
    ],
)
def test_a_way_out_is_not_permitted(tried: Ran, call: str) -> None:
    assert tried.json[call] == "EPERM"


@pytest.mark.parametrize("call", ["clone3", "openat2", "of tomorrow"])
def test_a_call_that_no_filter_can_read_does_not_exist(tried: Ran, call: str) -> None:
    assert tried.json[call] == "ENOSYS"


def test_calls_of_another_architecture_end_the_process(tried: Ran) -> None:
    if os.uname().machine == "x86_64":
        # A kernel without IA-32 emulation has no such door at all.
        assert tried.json["other architecture"] in {signal.SIGSYS, signal.SIGSEGV}
        assert tried.json["x32"] == signal.SIGSYS


def test_other_processes_are_out_of_its_hands(tried: Ran) -> None:
    assert tried.json["signal out"] in {"ESRCH", "EPERM"}
    assert tried.json["memory of init"] in {"EACCES", "EPERM", "EIO", "EROFS"}
    assert tried.json["root of init"] in {"ENOENT", "EACCES", "EPERM"}


def test_files_with_a_borrowed_identity_cannot_be_made(tried: Ran) -> None:
    assert tried.json["set-id"] == tried.json["set-id at once"] == "EPERM"
    assert tried.json["hard link out"] in {"EXDEV", "EPERM", "EACCES"}


def test_its_limits_are_set_and_stay(tried: Ran) -> None:
    limits = tried.json["limits"]
    assert limits["RLIMIT_CORE"] == [0, 0]
    assert limits["RLIMIT_NOFILE"] == [1024, 1024]
    assert limits["RLIMIT_DATA"] == [2 << 30, 2 << 30]
    assert tried.json["raise limit"] in {"EPERM", "ValueError"}
