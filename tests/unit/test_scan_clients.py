"""The table of clients: complete, and read rightly on each system."""

from __future__ import annotations

from os import chown, geteuid
from pathlib import Path

import pytest

from bascule.scan.clients import Location, System, table
from bascule.scan.clients.homes import named_home, users_homes
from bascule.scan.clients.places import Home, is_absolute, places
from bascule.scan.config_inventory import inventory
from bascule.scan.opened import opened
from planted import plant

pytestmark = pytest.mark.on_disk

SYSTEMS: tuple[System, ...] = ("linux", "mac", "windows")
HOLD_NO_SERVERS = {"settings", "workspace", "catalog", "values"}


def with_servers(os: System, *scopes: str) -> list[Location]:
    return [
        it
        for it in table().locations
        if it.os in (os, "any") and it.scope in scopes and it.reads not in HOLD_NO_SERVERS
    ]


def test_the_table_has_every_client() -> None:
    assert len({it.client for it in table().locations}) == 49
    assert len(table().locations) >= 174


@pytest.mark.parametrize("os", SYSTEMS)
def test_a_server_in_each_location_of_a_home_is_found(os: System, tmp_path: Path) -> None:
    """One home for each client and location, so that none stands in for another."""
    missing = []
    for number, location in enumerate(with_servers(os, "user")):
        home, name = tmp_path / f"home{number}", f"server-{number}"
        path = plant(home, location, name)
        found = inventory([Home(str(home), os)], walk=0)
        if [(it.name, it.path) for it in found.servers] != [(name, str(path))]:
            missing.append(location)
    assert missing == []


def test_a_server_in_each_file_of_a_project_that_nobody_opened_is_found(
    tmp_path: Path,
) -> None:
    locations = with_servers("linux", "project")
    expected = {}
    for number, location in enumerate(locations):
        name = f"server-{number}"
        path = plant(tmp_path / "code" / f"p{number}" / "part", location, name)
        expected[str(path)] = name
    found = inventory([Home(str(tmp_path), "linux")])
    assert {it.path: it.name for it in found.servers} == expected


@pytest.mark.parametrize(
    ("os", "environ", "path"),
    [
        ("linux", {}, "/h/.config/Code/User/mcp.json"),
        ("linux", {"XDG_CONFIG_HOME": "/x"}, "/x/Code/User/mcp.json"),
        ("linux", {"XDG_CONFIG_HOME": "/x"}, "/h/.config/Code/User/mcp.json"),
        ("linux", {"XDG_CONFIG_HOME": "/x"}, "/x/mcp-config.json"),
        ("linux", {"CLAUDE_CONFIG_DIR": "/c"}, "/c/.claude.json"),
        ("linux", {"CLAUDE_CONFIG_DIR": "/c"}, "/c/settings.json"),
        ("linux", {"CODEX_HOME": "/c"}, "/c/config.toml"),
        ("linux", {"CLINE_DIR": "/c"}, "/c/data/settings/cline_mcp_settings.json"),
        ("linux", {"OPENCODE_CONFIG": "/o/mine.json"}, "/o/mine.json"),
        ("linux", {"OPENCODE_CONFIG_DIR": "/o"}, "/o/opencode.jsonc"),
        ("linux", {"OPENCLAW_STATE_DIR": "/o"}, "/o/openclaw.json"),
        ("linux", {}, "/etc/codex/config.toml"),
        ("mac", {}, "/h/Library/Application Support/Claude/claude_desktop_config.json"),
        ("mac", {}, "/Library/Application Support/ClaudeCode/managed-mcp.json"),
        ("mac", {}, "/h/.config/zed/settings.json"),
        ("windows", {}, "/h/AppData/Roaming/Zed/settings.json"),
        (
            "windows",
            {"APPDATA": r"D:\Roaming"},
            "D:/Roaming/Claude/claude_desktop_config.json",
        ),
        ("windows", {}, "C:/ProgramData/OpenAI/Codex/config.toml"),
        ("windows", {"PROGRAMDATA": r"E:\Data"}, "E:/Data/OpenAI/Codex/config.toml"),
        ("windows", {}, "C:/Program Files/ClaudeCode/managed-mcp.json"),
    ],
)
def test_variables_and_systems_move_places(
    os: System, environ: dict[str, str], path: str
) -> None:
    home = Home("/h", os, environ)
    assert path in {place.pattern for place in places(table(), home)}


@pytest.mark.parametrize("named", ["relative", "", "//host/share", r"\\host\share"])
def test_a_variable_that_names_no_local_folder_moves_nothing(named: str) -> None:
    """To look at a share of Windows would send a proof of the user's password there."""
    assert not is_absolute(named)
    without = set(places(table(), Home("/h", "windows")))
    assert set(places(table(), Home("/h", "windows", {"APPDATA": named}))) == without


def test_a_named_home_is_read_as_its_system_lays_it_out(tmp_path: Path) -> None:
    (tmp_path / "mac/Library/Application Support").mkdir(parents=True)
    (tmp_path / "win/AppData/Roaming").mkdir(parents=True)
    assert named_home(tmp_path / "mac").os == "mac"
    assert named_home(tmp_path / "win").os == "windows"


def test_root_reads_the_homes_of_people_and_of_no_service(tmp_path: Path) -> None:
    owner = tmp_path.stat().st_uid
    passwd, service = tmp_path / "passwd", tmp_path / "service"
    service.mkdir()
    if geteuid() == 0:
        chown(service, 2, -1)
    lines = [
        f"alice:x:{owner}:0::{tmp_path}:/bin/sh",
        f"other:x:{owner + 1000}:0::{tmp_path}/theirs:/bin/sh",
        f"daemon:x:2:2::{service}:/usr/sbin/nologin",
        "sync:x:1001:1::/:/bin/sync",
        "broken",
    ]
    passwd.write_text("\n".join(lines))
    assert list(users_homes(passwd)) == ([str(tmp_path)] if owner in (0, 1000) else [])


def test_two_clients_that_share_a_file_are_one_row(tmp_path: Path) -> None:
    (tmp_path / ".mcp.json").write_text('{"mcpServers": {"one": {"command": "x"}}}')
    found = inventory([Home(str(tmp_path), "linux")])
    assert [(it.client, it.name) for it in found.servers] == [("Claude Code", "one")]


def test_servers_one_map_further_in_are_found(tmp_path: Path) -> None:
    path = tmp_path / "p/.devcontainer/devcontainer.json"
    path.parent.mkdir(parents=True)
    servers = '{"servers": {"one": {"url": "https://x"}, "two": {}}, "inputs": []}'
    path.write_text(f'{{"customizations": {{"vscode": {{"mcp": {servers}}}}}}}')
    found = inventory([Home(str(tmp_path), "linux")])
    assert [it.name for it in found.servers] == ["one", "two"]


def test_a_folder_that_a_client_opened_is_read_wherever_it_is(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "srv" / "project"
    storage = home / ".config/Code/User/workspaceStorage/abc"
    storage.mkdir(parents=True)
    (storage / "workspace.json").write_text(f'{{"folder": "file://{elsewhere}"}}')
    (elsewhere / ".vscode").mkdir(parents=True)
    (elsewhere / ".vscode/mcp.json").write_text(
        '{"servers": {"one": {"url": "https://x"}}}'
    )
    found = inventory([Home(str(home), "linux")])
    assert [it.name for it in found.servers] == ["one"]


@pytest.mark.parametrize(
    "folder",
    ["file://host/share/x", "//host/share/x", "vscode-remote://ssh/x", "/proc/1", 5],
)
def test_a_folder_elsewhere_is_not_touched(folder: object) -> None:
    workspace = next(it for it in table().locations if it.reads == "workspace")
    assert list(opened({"folder": folder}, workspace)) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"servers": {"one": {"command": "x"}}}', "one"),
        ('{"one": {"command": "x"}}', "one"),
        ('{"mcp": {"one": {"type": "local", "command": ["x"]}}}', "one"),
        ('{"mcp": {"servers": {"one": {"url": "https://x"}}}}', "one"),
        ('{"mcpServers": [{"name": "one", "command": "x"}]}', "one"),
    ],
)
def test_a_file_in_another_clients_shape_is_understood(
    text: str, name: str, tmp_path: Path
) -> None:
    path = tmp_path / ".cursor/mcp.json"
    path.parent.mkdir()
    path.write_text(text)
    assert [it.name for it in inventory([Home(str(tmp_path), "linux")]).servers] == [name]
