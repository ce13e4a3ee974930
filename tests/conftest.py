"""What tests of all kinds share: databases of both engines."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from audit_logs import LogFolder, close_databases, new_log, use_database
from bascule.lock.resolve import Resolution
from bascule.storage.migrate import migrate
from bascule.storage.postgres import open_postgres
from bascule.storage.store import open_store
from memory import on_disk, write_into_memory
from ports import free_ports
from postgres import OpenStore, PostgresServer, postgres_cluster
from provenance import assets_once
from resolutions import FILESYSTEM, TIME, resolved_once
from supply_chain import InStore, installed_once

# A busy machine is no fault of what is tested.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

write_into_memory()


MOST_WORKERS = 12
"""Each has a PostgreSQL and a Chromium of its own, in time."""


def pytest_xdist_auto_num_workers() -> int:
    """Say what `-n auto` is: two workers for each core, since most tests wait."""
    return min(2 * len(os.sched_getaffinity(0)), MOST_WORKERS)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Give a folder: one on disk for tests that are marked so.

    Memory is below `/dev`, where no folder is granted to a server or looked at in a scan.
    """
    if request.node.get_closest_marker("on_disk") is None:
        yield tmp_path
        return
    with on_disk() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Give a PostgreSQL server that runs as long as the tests."""
    (port,) = free_ports(1)
    with postgres_cluster(port) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> str:
    """Give a database with all tables, to make others from."""
    name = postgres_server.create()
    with contextlib.closing(open_postgres(postgres_server.url(name))) as store:
        migrate(store)
    return name


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a file of SQLite with all tables, to copy."""
    path = tmp_path_factory.mktemp("migrated") / "state.db"
    with contextlib.closing(open_store(path)) as store:
        migrate(store)
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def open_empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Give what opens an empty database, of either engine."""
    if request.param == "sqlite":
        yield lambda: open_store(tmp_path / "state.db")
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.holding() as url:
        yield lambda: open_postgres(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def open_state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Give what opens a database with all tables, of either engine."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("migrated_file")
        path = shutil.copy(template, tmp_path / "state.db")
        yield lambda: open_store(path)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    database: str = request.getfixturevalue("migrated_template")
    with server.holding(template=database) as url:
        yield lambda: open_postgres(url)


@pytest.fixture(params=["folder", "postgresql"])
def any_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogFolder]:
    """Give a new log: in a folder, and in PostgreSQL."""
    data_dir = tmp_path / "data"
    if request.param == "folder":
        yield new_log(data_dir)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    template: str = request.getfixturevalue("migrated_template")
    with server.holding(template=template) as url:
        use_database(data_dir, url)
        try:
            yield new_log(data_dir)
        finally:
            close_databases()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder that all processes of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def time_resolution(shared_folder: Path) -> Resolution:
    """Give mcp-server-time, as the registry has it."""
    return resolved_once(shared_folder, "time", TIME)


@pytest.fixture(scope="session")
def filesystem_resolution(shared_folder: Path) -> Resolution:
    """Give @modelcontextprotocol/server-filesystem, as the registry has it."""
    return resolved_once(shared_folder, "filesystem", FILESYSTEM)


@pytest.fixture(scope="session")
def time_installed(shared_folder: Path, time_resolution: Resolution) -> InStore:
    """Give mcp-server-time in a store; not to be changed."""
    return installed_once(shared_folder, time_resolution)


@pytest.fixture(scope="session")
def filesystem_installed(shared_folder: Path, filesystem_resolution: Resolution) -> InStore:
    """Give @modelcontextprotocol/server-filesystem in a store; not to be changed."""
    return installed_once(shared_folder, filesystem_resolution)


@pytest.fixture(scope="session")
def assets(shared_folder: Path) -> Path:
    """Give a folder of real files of PyPI, each with the real document about it."""
    return assets_once(shared_folder)
