"""What tests of all kinds share: databases of both engines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from audit_logs import LogFolder, close_databases, new_log, use_database
from bascule.storage.migrate import migrate
from bascule.storage.postgres import open_postgres
from bascule.storage.store import open_store
from postgres import OpenStore, PostgresServer, postgres_cluster
from system.server import free_ports

# A busy machine is no fault of what is tested.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


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


@pytest.fixture(params=["sqlite", "postgresql"])
def open_empty(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Give what opens an empty database, of either engine."""
    if request.param == "sqlite":
        return lambda: open_store(tmp_path / "state.db")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.url(server.create())
    return lambda: open_postgres(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def open_state(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Give what opens a database with all tables, of either engine."""
    if request.param == "sqlite":
        with contextlib.closing(open_store(tmp_path / "state.db")) as made:
            migrate(made)
        return lambda: open_store(tmp_path / "state.db")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    template: str = request.getfixturevalue("migrated_template")
    url = server.url(server.create(template=template))
    return lambda: open_postgres(url)


@pytest.fixture(params=["folder", "postgresql"])
def any_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogFolder]:
    """Give a new log: in a folder, and in PostgreSQL."""
    data_dir = tmp_path / "data"
    if request.param == "folder":
        yield new_log(data_dir)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    template: str = request.getfixturevalue("migrated_template")
    use_database(data_dir, server.url(server.create(template=template)))
    try:
        yield new_log(data_dir)
    finally:
        close_databases()
