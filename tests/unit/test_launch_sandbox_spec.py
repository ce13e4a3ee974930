"""Which paths can be granted to a server, and which never."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path
from typing import Any

import pytest

from bascule.errors import BasculeError
from bascule.launch.command import LaunchError
from bascule.launch.sandbox.backend import report_nothing
from bascule.launch.sandbox.bubblewrap import INSTALL, Bubblewrap
from bascule.launch.sandbox.choose import choose
from bascule.launch.sandbox.egress import Place, hosts_file, places_of
from bascule.launch.sandbox.landlock import Landlock
from bascule.launch.sandbox.refusals import Refused, read_refusal
from bascule.launch.sandbox.spec import SandboxSpec, grants_of, installation_of

pytestmark = pytest.mark.on_disk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("data/store/tree", "data/keys", "shared/inner", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data" / "state.db").touch()
    (tmp_path / "link").symlink_to("data/keys")
    (tmp_path / "to-shared").symlink_to("shared")
    return tmp_path


def spec(folder: Path, **changed: Any) -> SandboxSpec:
    wanted: dict[str, Any] = {
        "connector": "boxed",
        "tree": folder / "data/store/tree",
        "interpreter": Path(sys.executable),
        "argv": ("python",),
        "forbidden": (folder / "data",),
        **changed,
    }
    return SandboxSpec(**wanted)


@pytest.mark.parametrize("option", ["read", "write"])
@pytest.mark.parametrize(
    "path",
    ["data", "data/keys", "data/state.db", "data/store/tree", "link", ".", "to-shared/.."],
)
def test_keys_and_state_are_never_granted(folder: Path, option: str, path: str) -> None:
    with pytest.raises(LaunchError, match="no server may reach"):
        grants_of(spec(folder, **{option: (folder / path,)}))


@pytest.mark.parametrize("option", ["read", "write"])
@pytest.mark.parametrize(
    "path", ["/", "/etc", "/etc/ssl", "/proc/self", "/sys", "/dev/pts", "/run"]
)
def test_what_is_the_machines_own_is_never_granted(
    folder: Path, option: str, path: str
) -> None:
    with pytest.raises(LaunchError, match=r"machine's own|no server may reach"):
        grants_of(spec(folder, **{option: (Path(path),)}))


def test_a_link_is_followed_once(folder: Path) -> None:
    """What is mounted is where it leads now, whatever it leads to later."""
    grants = grants_of(spec(folder, read=(folder / "to-shared",)))
    assert (folder / "shared", folder / "to-shared") in grants.read


def test_nothing_is_granted_inside_of_what_can_be_changed(folder: Path) -> None:
    """Else a server could put a link there, which its next start would follow."""
    shared = folder / "shared"
    for option in ("read", "write"):
        wanted = {"write": (shared,), option: (shared / "inner",)}
        if option == "write":
            wanted = {"write": (shared, shared / "inner")}
        with pytest.raises(LaunchError, match="which the server may change"):
            grants_of(spec(folder, **wanted))


def test_the_program_cannot_be_made_writable(folder: Path) -> None:
    with pytest.raises(LaunchError, match="programs are there"):
        grants_of(spec(folder, write=(folder / "data",), forbidden=()))


@pytest.mark.parametrize("path", ["python/lib", "python", "."])
def test_no_server_changes_an_interpreter(folder: Path, path: str) -> None:
    """Others run by it as well, and its bytecode is no part of what is locked."""
    (folder / "python/lib").mkdir(parents=True)
    wanted = {"installation": (folder / "python",), "forbidden": ()}
    read = {"read": (folder / "python/lib",)}
    assert grants_of(spec(folder, **wanted, **read))
    with pytest.raises(LaunchError, match="programs are there"):
        grants_of(spec(folder, **wanted, write=(folder / path,)))


@pytest.mark.parametrize("path", ["/usr", "/usr/bin", "/usr/lib"])
def test_no_server_changes_what_the_system_has_installed(folder: Path, path: str) -> None:
    with pytest.raises(LaunchError, match="programs are there"):
        grants_of(spec(folder, write=(Path(path),)))


@pytest.mark.parametrize("path", ["relative", "missing"])
def test_a_path_must_be_whole_and_there(folder: Path, path: str) -> None:
    named = Path(path) if path == "relative" else folder / path
    with pytest.raises(LaunchError, match=f"`{named}`"):
        grants_of(spec(folder, read=(named,)))


def test_an_interpreter_brings_its_installation(tmp_path: Path) -> None:
    executable = tmp_path / "node-20" / "bin" / "node"
    executable.parent.mkdir(parents=True)
    executable.touch()
    assert installation_of(executable) == tmp_path / "node-20"
    assert installation_of(Path("/bin/sh")) == Path("/usr")


def test_an_interpreter_does_not_bring_a_whole_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "bin").mkdir()
    for path, problem in (
        ("bin/node", "into a folder of its own"),
        ("node", "cannot be told"),
    ):
        (tmp_path / path).touch()
        with pytest.raises(LaunchError, match=problem):
            installation_of(tmp_path / path)


def test_the_interpreter_does_not_bring_keys(folder: Path) -> None:
    with pytest.raises(LaunchError, match="holds"):
        grants_of(spec(folder, installation=(folder,)))


def test_what_is_declared_does_not_replace_its_home(folder: Path) -> None:
    environment = spec(folder, environment={"HOME": "/x", "TZ": "Asia/Tokyo"})
    assert environment.whole_environment()["HOME"] == "/home/connector"
    assert environment.whole_environment()["TZ"] == "Asia/Tokyo"


def test_each_host_has_an_address_of_its_own() -> None:
    listed = ["A.example:443", "a.example.:80", "b.example:443", "10.1.2.3:5432"]
    places = places_of(listed, private=["B.example:443"])
    assert places == [
        Place("a.example", 443, "22.1.0.1"),
        Place("a.example", 80, "22.1.0.1"),
        Place("b.example", 443, "127.1.0.2"),
        Place("10.1.2.3", 5432, "10.1.2.3"),
    ]
    assert hosts_file(places).splitlines() == [
        "127.0.0.1 localhost",
        "::1 localhost",
        "22.1.0.1 a.example",
        "127.1.0.2 b.example",
    ]
    # Servers that refuse what is private take the one for public and not the other.
    assert ipaddress.ip_address(places[0].inside).is_global
    assert not ipaddress.ip_address(places[2].inside).is_global


def test_what_is_no_host_and_port_is_refused() -> None:
    with pytest.raises(BasculeError, match="is no HOST:PORT"):
        places_of(["*.example"])


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        pytest.param(
            "45000028000040004006000008080808 7f000001"
            "0035d3aa 00000000 00000001 5014 0000 0000 0000",
            Refused("8.8.8.8", 53),
            id="a reset",
        ),
        pytest.param("", None, id="nothing"),
        pytest.param("45", None, id="cut"),
        pytest.param("f" * 200, None, id="noise"),
    ],
)
def test_a_refusal_is_read(packet: str, expected: Refused | None) -> None:
    assert read_refusal(bytes.fromhex(packet)) == expected


class _Missing(Bubblewrap):
    """Bubblewrap on a machine without it."""

    def unavailable(self) -> str | None:
        return INSTALL


def test_without_a_backend_enforce_refuses_and_others_go_on(folder: Path) -> None:
    """Landlock is no choice for who may reach something."""
    wanted = spec(folder, may_reach=("a.example:443",), scratch=folder / "scratch")
    with pytest.raises(LaunchError, match="apt-get install bubblewrap"):
        choose(wanted, "enforce", bubblewrap=_Missing())
    for mode in ("warn", "observe"):
        chosen = choose(wanted, mode, bubblewrap=_Missing())
        assert chosen.name == "none"
        start = chosen.prepare(wanted, report_nothing)
        assert start.environment["TZ"] == "UTC"
        assert start.folder.startswith(str(folder / "scratch"))


def test_landlock_is_the_second_choice_for_who_reaches_nothing(folder: Path) -> None:
    wanted = spec(folder)
    assert choose(wanted, "enforce").name == "bubblewrap"
    assert choose(wanted, "enforce", bubblewrap=_Missing()).name == "landlock"
    with pytest.raises(LaunchError, match="single hosts"):
        Landlock().prepare(spec(folder, may_reach=("a.example:1",)), report_nothing)
