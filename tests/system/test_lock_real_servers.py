"""Real servers of both registries: installed from their locks, run from the store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bascule.lock.install import install
from bascule.lock.store import DriftedTreeError, Store
from supply_chain import InStore

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def answer(argv: tuple[str, ...]) -> dict[str, object]:
    """Give what a server answers to `initialize`, run with an empty environment."""
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}, cwd="/"
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        process.stdin.flush()
        reply: dict[str, object] = json.loads(process.stdout.readline())
        process.kill()
    return reply


def test_mcp_server_time_runs_from_the_store(time_installed: InStore) -> None:
    assert "result" in answer(time_installed.argv())
    time_installed.store.verify(time_installed.installed.tree)
    packages = {it.purl.split("@")[0]: it for it in time_installed.installed.packages}
    assert packages["pkg:pypi/cryptography"].native
    assert not packages["pkg:pypi/mcp-server-time"].native
    assert all(it.license and it.paths for it in packages.values())


def test_the_filesystem_server_runs_from_the_store(
    filesystem_installed: InStore, tmp_path: Path
) -> None:
    assert "result" in answer(filesystem_installed.argv(str(tmp_path)))
    filesystem_installed.store.verify(filesystem_installed.installed.tree)
    packages = filesystem_installed.installed.packages
    assert not any(it.install_scripts or it.native for it in packages)


def test_a_second_installation_elsewhere_gives_the_same_tree(
    time_installed: InStore, tmp_path: Path
) -> None:
    again = install(
        time_installed.order,
        Store(tmp_path / "a" / "longer" / "path"),
        time_installed.runtime,
        environment=os.environ,
    )
    assert again == time_installed.installed


@pytest.mark.soak
def test_a_second_installation_of_packages_of_npm_gives_the_same_tree(
    filesystem_installed: InStore, tmp_path: Path
) -> None:
    again = install(
        filesystem_installed.order,
        Store(tmp_path / "a" / "longer" / "path"),
        filesystem_installed.runtime,
        environment={**os.environ, "npm_config_cache": str(tmp_path / "cache")},
    )
    assert again == filesystem_installed.installed


def test_nothing_in_a_real_tree_can_be_written_or_is_shared(
    time_installed: InStore, filesystem_installed: InStore
) -> None:
    for made in (time_installed, filesystem_installed):
        statuses = [path.lstat() for path in made.place.rglob("*") if path.is_file()]
        assert all(it.st_nlink == 1 and not it.st_mode & 0o222 for it in statuses)


ANYWHERE = (
    "mcp_server_time/server.py",
    "mcp_server_time/__pycache__/server.*.pyc",
    "mcp_server_time-*.dist-info/METADATA",
    "tzdata/zoneinfo/Europe/Berlin",
    "_cffi_backend.*.so",
)


def test_a_byte_changed_anywhere_is_seen(time_installed: InStore, tmp_path: Path) -> None:
    store, tree = Store(tmp_path / "store"), time_installed.installed.tree
    with store.fresh() as folder:
        shutil.copytree(time_installed.place, folder, dirs_exist_ok=True)
        assert store.add(folder) == tree
    for pattern in ANYWHERE:
        (victim,) = store.path(tree.sha256).glob(pattern)
        change_a_byte(victim)
        with pytest.raises(DriftedTreeError, match=victim.name):
            store.verify(tree)
        change_a_byte(victim)
        store.verify(tree)


def change_a_byte(path: Path) -> None:
    """Change the byte in the middle of a read-only file; twice is not at all."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(mode)
