"""Surfaces of real servers, and of servers that do not want to be captured."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from bascule.launch.process import Process
from bascule.launch.start import plain_start
from bascule.lock.capture import CapturedSurface
from bascule.lock.capture_stdio import MAX_LINE_BYTES, capture_stdio
from bascule.lock.definition import MAX_DEFINITIONS
from bascule.lock.view import CaptureError
from conformance.rig import NODE, PACKAGES
from supply_chain import InStore

CHILD = Path(__file__).with_name("lock_child.py")
EVERYTHING = PACKAGES / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
TIME = str(Path(sys.executable).with_name("mcp-server-time"))


def captured(
    folder: Path, *command: str, zone: str = "UTC", seconds: float = 60.0
) -> CapturedSurface:
    """Capture what a command serves."""
    declared = {"TZ": zone, "LANG": "C.UTF-8"}
    environment = {**declared, "HOME": str(folder), "PATH": "/usr/bin:/bin"}

    async def start(process: Process) -> None:
        plain = plain_start(command[0], command, environment)
        await process.start(plain, limit=MAX_LINE_BYTES)

    return asyncio.run(capture_stdio("test", start, declared, seconds=seconds))


def of_child(folder: Path, manner: str, *, seconds: float = 60.0) -> CapturedSurface:
    """Capture what a misbehaving server serves."""
    command = (sys.executable, "-I", "-S", str(CHILD), manner)
    return captured(folder, *command, seconds=seconds)


@pytest.fixture(scope="module")
def time_surface(tmp_path_factory: pytest.TempPathFactory) -> CapturedSurface:
    """Capture the real `mcp-server-time`, which speaks both eras."""
    return captured(tmp_path_factory.mktemp("time"), TIME)


def test_a_server_of_both_eras_is_seen_in_both(time_surface: CapturedSurface) -> None:
    surface = time_surface
    assert surface.document.context.revisions == ("2025-11-25", "2026-07-28")
    assert set(surface.pins.tools) == {"convert_time", "get_current_time"}
    assert {len(each) for each in surface.pins.tools.values()} == {1}
    (server,) = surface.document.server
    assert server["serverInfo"]["name"] == "mcp-time"
    assert surface.document.refused == {}


def test_a_surface_depends_on_the_time_zone(
    tmp_path: Path, time_surface: CapturedSurface
) -> None:
    """`mcp-server-time` writes the local one into its schemas; so does the context."""
    elsewhere = captured(tmp_path, TIME, zone="Asia/Tokyo").pins
    assert elsewhere.tools["convert_time"] != time_surface.pins.tools["convert_time"]
    assert elsewhere.context != time_surface.pins.context


def test_a_server_that_shows_more_to_clients_that_can_more_is_seen_whole(
    tmp_path: Path,
) -> None:
    """The real `server-everything`: 13 tools for a client that can do nothing."""
    surface = captured(tmp_path, str(NODE), str(EVERYTHING))
    assert len(surface.pins.tools) == 19
    assert len(surface.pins.prompts) == 4
    assert len(surface.pins.resource_templates) == 2
    assert len(surface.pins.instructions) == 1


def test_the_real_filesystem_server_is_seen_from_its_locked_tree(
    tmp_path: Path, filesystem_installed: InStore
) -> None:
    """Its own version is another than the package's: it does not say what runs."""
    surface = captured(tmp_path, *filesystem_installed.argv(str(tmp_path)))
    assert {"read_text_file", "write_file", "list_allowed_directories"} <= set(
        surface.pins.tools
    )
    assert len(surface.pins.tools) == 14
    assert {len(each) for each in surface.pins.tools.values()} == {1}
    (server,) = surface.document.server
    assert server["serverInfo"]["version"] not in filesystem_installed.order.root


def test_definitions_that_depend_on_the_client_are_all_kept(tmp_path: Path) -> None:
    surface = of_child(tmp_path, "more")
    assert {name: len(each) for name, each in surface.pins.tools.items()} == {
        "read": 2,
        "write": 1,
    }


@pytest.mark.parametrize("manner", ["greeting", "asks", "once"])
def test_what_servers_do_beside_does_not_matter(tmp_path: Path, manner: str) -> None:
    """A greeting on standard output, a question, one change of the lists."""
    surface = of_child(tmp_path, manner)
    assert surface.pins.tools == of_child(tmp_path, "plain").pins.tools


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("doubled", "has a key twice"),
        ("large", "is larger than"),
        ("twice", "served twice"),
    ],
)
def test_what_cannot_be_pinned_is_left_out_alone(
    tmp_path: Path, manner: str, reason: str
) -> None:
    surface = of_child(tmp_path, manner)
    assert set(surface.pins.tools) == {"write"}
    assert reason in surface.document.refused["tools/read"]


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("huge", "a line longer than"),
        ("endless", "more than 200 pages"),
        ("round", "the same page again"),
        ("flood", f"more than {MAX_DEFINITIONS} definitions"),
        ("crash", r"(closed its output|has ended), and said: no UTC here \| \\x1b\[31mbye"),
        ("changing", "keeps changing"),
        ("garbage", "no JSON-RPC"),
    ],
)
def test_what_does_not_end_well_is_an_error_that_says_why(
    tmp_path: Path, manner: str, reason: str
) -> None:
    with pytest.raises(CaptureError, match=reason):
        of_child(tmp_path, manner)


@pytest.mark.parametrize("manner", ["hang", "silent"])
def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path, manner: str) -> None:
    with pytest.raises(CaptureError, match="not shown all within 1 s"):
        of_child(tmp_path, manner, seconds=1.0)


def test_instructions_that_differ_each_time_are_all_shown(tmp_path: Path) -> None:
    assert len(of_child(tmp_path, "unsteady").pins.instructions) == 2


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CaptureError):
        captured(tmp_path, "/nonexistent")
