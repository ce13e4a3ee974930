"""Whatever is where a client's file should be: it is told, and nothing breaks or waits."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from msgspec.json import encode

from bascule.scan.clients.places import Home
from bascule.scan.config_files import LIMITS, ConfigFileError, read_document
from bascule.scan.config_inventory import Inventory, inventory
from bascule.scan.configs import scan_configs

pytestmark = pytest.mark.on_disk

SENTINEL = "sentinel-7f3a9c"


def scan(home: Path) -> Inventory:
    return inventory([Home(str(home), "linux")])


def told(found: Inventory) -> list[tuple[str, str]]:
    return [(gap.target, gap.why) for gap in found.gaps]


def put(home: Path, name: str, content: bytes) -> Path:
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


GOOD = b'{"mcpServers": {"one": {"command": "x", "env": {"T": "sentinel-7f3a9c"}}}}'


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        (".cursor/mcp.json", GOOD[:-20], "ends in the middle"),
        (".cursor/mcp.json", b'{"a": sentinel-7f3a9c}', "no JSON"),
        (".cursor/mcp.json", GOOD.replace(b"one", b"o\0e"), "null characters"),
        (".cursor/mcp.json", b"\xff\x00\xfe" + GOOD, "no text"),
        (".cursor/mcp.json", b"\x80\x81" + GOOD, "no text"),
        (".cursor/mcp.json", b"[" * 100_000, "nested too deep"),
        (".cursor/mcp.json", b'{"a":' * 3_000 + b"1" + b"}" * 3_000, "nested too deep"),
        (".cursor/mcp.json", b"[1]", "should be a map"),
        (".cursor/mcp.json", b'{"mcpServers": 5}', "is a number"),
        (".cursor/mcp.json", b'{"mcpServers": {"one": "x"}}', "is a text and no server"),
        (".cursor/mcp.json", b'{"mcpServers": {"one": [true]}}', "is a list and no server"),
        (".codex/config.toml", b"[mcp_servers.one\ncommand = 'sentinel-7f3a9c'", "no TOML"),
        (".codex/config.toml", b"a = " + b"[" * 5_000, "nested too deep"),
        (".codex/config.toml", b"a" + b".a" * 100_000 + b" = 1", "nested too deep"),
        (".codex/config.toml", b"'a'" + b" . 'a'" * 90 + b" = 1", "nested too deep"),
        (".continue/config.yaml", b"mcpServers: &a [*a]", "anchor within itself"),
        (".continue/config.yaml", b"mcpServers: {a: &a {b: *a}}", "anchor within itself"),
        (".continue/config.yaml", b"a: !!python/object/apply:os.system [x]", "data alone"),
        (".continue/config.yaml", b"a: 2020-99-99", "data alone"),
        (".continue/config.yaml", b"? {a: b}\n: sentinel-7f3a9c", "data alone"),
        (".continue/config.yaml", b"a: [", "data alone"),
        (".continue/config.yaml", b"a: " + b"[" * 5_000, ""),
        (".continue/config.yaml", b"a: " + b"9" * 5_000, "data alone"),
    ],
)
def test_what_cannot_be_understood_is_told_without_its_content(
    name: str, content: bytes, why: str, tmp_path: Path
) -> None:
    path = put(tmp_path, name, content)
    found = scan(tmp_path)
    assert found.servers == []
    ((target, reason),) = told(found)
    assert target == str(path)
    assert why in reason
    assert SENTINEL not in reason


def test_aliases_that_stand_for_billions_are_counted_first(tmp_path: Path) -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 40)
    ]
    put(tmp_path, ".continue/config.yaml", "\n".join(lines).encode())
    ((_, reason),) = told(scan(tmp_path))
    assert "aliases" in reason


def test_aliases_in_reason_are_read(tmp_path: Path) -> None:
    text = b"x: &x {command: npx}\nmcpServers:\n  - {<<: *x, name: one}\n"
    put(tmp_path, ".continue/config.yaml", text)
    found = scan(tmp_path)
    assert [(it.name, it.command) for it in found.servers] == [("one", ("npx",))]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD,
        GOOD.decode().encode("utf-16"),
        b"// comment\n" + GOOD[:-1] + b",}",
        b"/* a */" + GOOD,
    ],
)
def test_what_editors_write_is_read(content: bytes, tmp_path: Path) -> None:
    put(tmp_path, ".cursor/mcp.json", content)
    found = scan(tmp_path)
    assert [it.name for it in found.servers] == ["one"]
    assert told(found) == []


@pytest.mark.parametrize("content", [b"", b" \n", b"{}", b'{"mcpServers": null}', b"null"])
def test_an_empty_file_is_fine(content: bytes, tmp_path: Path) -> None:
    put(tmp_path, ".cursor/mcp.json", content)
    found = scan(tmp_path)
    assert (found.servers, told(found)) == ([], [])


def test_fifty_million_bytes_are_not_read(tmp_path: Path) -> None:
    path = put(tmp_path, ".claude.json", GOOD)
    os.truncate(path, 50_000_000)
    ((_, reason),) = told(scan(tmp_path))
    assert "50000000 bytes" in reason


def test_a_file_at_the_limit_is_read(tmp_path: Path) -> None:
    padding = LIMITS["json"] - len(GOOD)
    put(tmp_path, ".cursor/mcp.json", GOOD + b" " * padding)
    assert [it.name for it in scan(tmp_path).servers] == ["one"]


def test_pipes_sockets_devices_and_folders_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / ".cursor").mkdir()
    os.mkfifo(tmp_path / ".cursor/mcp.json")
    (tmp_path / ".qwen/settings.json").mkdir(parents=True)
    (tmp_path / ".kimi").mkdir()
    (tmp_path / ".kimi/mcp.json").symlink_to("/dev/zero")
    (tmp_path / ".trae").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(tmp_path / ".trae", os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{folder}/mcp.json")
        os.close(folder)
        reasons = " ".join(why for _, why in told(scan(tmp_path)))
    for kind in ("a named pipe", "a folder", "a socket", "outside of"):
        assert kind in reasons


def test_a_device_that_was_named_is_not_read() -> None:
    with pytest.raises(ConfigFileError, match="a device"):
        read_document("/dev/zero", "json", None)


def test_a_link_out_of_the_home_is_told_and_not_followed(tmp_path: Path) -> None:
    outside = put(tmp_path, "outside/secret.json", GOOD)
    link = tmp_path / "home/.cursor/mcp.json"
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    found = scan(tmp_path / "home")
    assert found.servers == []
    ((target, reason),) = told(found)
    assert target == str(link)
    assert str(outside) in reason


def test_a_folder_linked_out_of_the_home_is_told_and_not_followed(tmp_path: Path) -> None:
    put(tmp_path, "outside/.cursor/mcp.json", GOOD)
    home = tmp_path / "home"
    home.mkdir()
    (home / "project").symlink_to(tmp_path / "outside")
    (home / ".cursor").symlink_to(tmp_path / "outside/.cursor")
    found = scan(home)
    assert found.servers == []
    reasons = " ".join(why for _, why in told(found))
    assert f"{home}/project" in reasons
    assert "outside/.cursor/mcp.json" in reasons


def test_the_root_folder_can_be_a_home(tmp_path: Path) -> None:
    path = put(tmp_path, "mcp.json", GOOD)
    assert read_document(str(path), "json", "").value


def test_a_link_within_the_home_is_followed_once(tmp_path: Path) -> None:
    put(tmp_path, "dotfiles/cursor/mcp.json", GOOD)
    (tmp_path / ".cursor").symlink_to(tmp_path / "dotfiles/cursor")
    found = scan(tmp_path)
    assert [it.path for it in found.servers] == [str(tmp_path / ".cursor/mcp.json")]
    assert told(found) == []


@pytest.mark.parametrize("leads_to", ["nowhere", "mcp.json"])
def test_a_link_that_leads_nowhere_or_to_itself_is_told(
    leads_to: str, tmp_path: Path
) -> None:
    link = tmp_path / ".cursor/mcp.json"
    link.parent.mkdir()
    link.symlink_to(leads_to)
    ((target, reason),) = told(scan(tmp_path))
    assert target == str(link)
    assert "cannot be read" in reason


@contextmanager
def somebody() -> Iterator[Path]:
    """Be a user whom permissions hold, in a folder of that user's own."""
    with TemporaryDirectory() as folder:
        user = os.geteuid() or 65_534
        os.chown(folder, user, -1)
        before = os.geteuid()
        os.seteuid(user)
        try:
            yield Path(folder)
        finally:
            os.seteuid(before)


def test_what_may_not_be_read_is_told() -> None:
    with somebody() as home:
        put(home, ".cursor/mcp.json", GOOD).chmod(0)
        closed = home / ".kiro"
        closed.mkdir(mode=0)
        found = told(scan(home))
    assert {target for target, _ in found} == {f"{home}/.cursor/mcp.json", str(closed)}
    assert {why for _, why in found} == {"it cannot be read: permission denied"}


def test_the_search_for_projects_ends_and_says_where(tmp_path: Path) -> None:
    for number in range(30):
        put(tmp_path, f"p{number:02}/.mcp.json", GOOD)
    found = inventory([Home(str(tmp_path), "linux")], walk=10)
    assert 0 < len(found.servers) < 30
    assert any("ended before" in gap.why for gap in found.gaps)


def test_hidden_folders_are_searched_last(tmp_path: Path) -> None:
    for number in range(50):
        put(tmp_path, f".tool/x{number}/y", b"")
    put(tmp_path, "code/group/project/.mcp.json", GOOD)
    put(tmp_path, ".dotfiles/project/.mcp.json", GOOD)
    assert len(scan(tmp_path).servers) == 2
    few = inventory([Home(str(tmp_path), "linux")], walk=5).servers
    assert [it.path for it in few] == [f"{tmp_path}/code/group/project/.mcp.json"]


def test_folders_of_tools_are_not_searched(tmp_path: Path) -> None:
    for folder in ("node_modules/x", ".cache/x", ".venv/x", "env/x"):
        put(tmp_path, f"{folder}/.mcp.json", GOOD)
    put(tmp_path, "env/pyvenv.cfg", b"")
    put(tmp_path, "real/.mcp.json", GOOD)
    assert [it.path for it in scan(tmp_path).servers] == [f"{tmp_path}/real/.mcp.json"]


def test_names_that_are_no_text_do_not_break_a_report(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)  # noqa: PTH102 - a name that is no text
    with open(folder + b"/.mcp.json", "wb") as file:  # noqa: PTH123
        file.write(b'{"mcpServers": {"\\ud800": {"command": "x\\ud801"}}}')
    report = scan_configs([Home(str(tmp_path), "linux")]).report
    assert len(report.servers) == 1
    assert encode(report)


def test_a_file_or_folder_that_is_named_is_read_alone(tmp_path: Path) -> None:
    one = put(tmp_path, "a/anything.json", GOOD)
    put(tmp_path, "b/deep/.cursor/mcp.json", GOOD)
    assert [it.path for it in inventory(paths=[str(one)]).servers] == [str(one)]
    by_folder = inventory(paths=[str(tmp_path / "b")]).servers
    assert [it.path for it in by_folder] == [f"{tmp_path}/b/deep/.cursor/mcp.json"]
    link = tmp_path / "link.json"
    link.symlink_to(one)
    assert len(inventory(paths=[str(link)]).servers) == 1
