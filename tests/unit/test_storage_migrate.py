"""The schema: what migrations make is what the code expects, and nothing else is used."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, inspect, text
from sqlalchemy.dialects import postgresql

import bascule.storage
from bascule.storage import schema
from bascule.storage.migrate import (
    SchemaVersionError,
    migrate,
    require_current,
    schema_problem,
    version,
)
from bascule.storage.store import Store, open_store
from postgres import OpenStore


@pytest.fixture
def store(open_empty: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_empty()) as opened:
        yield opened


def set_version(store: Store, number: str) -> None:
    change = text("UPDATE alembic_version SET version_num = :number")
    store.run(lambda conn: conn.execute(change, {"number": number}))


def test_an_empty_database_migrated_up_is_what_the_code_expects(store: Store) -> None:
    def differences(conn: Connection) -> Any:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(conn, opts=options)
        return compare_metadata(context, schema.metadata)

    migrate(store)
    assert store.read(differences) == []


def test_keys_and_references_are_what_the_code_expects(store: Store) -> None:
    """The comparison above leaves primary keys out."""
    migrate(store)
    found = inspect(store.engine)
    for table in schema.metadata.sorted_tables:
        primary = found.get_pk_constraint(table.name)
        assert primary["constrained_columns"] == [it.name for it in table.primary_key]
        assert primary["name"] == table.primary_key.name
        references = {it["name"] for it in found.get_foreign_keys(table.name)}
        assert references == {it.name for it in table.foreign_key_constraints}


def test_migrations_are_one_chain_that_ends_at_this_version() -> None:
    folder = Path(bascule.storage.__path__[0]) / "migrations"
    chain = list(ScriptDirectory(str(folder)).walk_revisions())
    assert chain[0].revision == schema.VERSION
    assert {it.revision for it in chain[1:]} == set(schema.EARLIER_VERSIONS)
    assert not any(hasattr(it.module, "downgrade") for it in chain)


def test_a_new_database_is_made_and_a_current_one_is_left(store: Store) -> None:
    assert version(store) is None
    require_current(store)
    assert version(store) == schema.VERSION
    require_current(store)
    migrate(store)
    assert version(store) == schema.VERSION


def test_a_database_of_a_newer_version_is_not_touched(store: Store) -> None:
    migrate(store)
    set_version(store, "9999")
    for use in (require_current, migrate):
        with pytest.raises(SchemaVersionError, match="newer version"):
            use(store)
    assert version(store) == "9999"


def test_what_is_older_is_told_how_to_get_newer() -> None:
    assert schema_problem(schema.VERSION) is None
    assert "bascule db migrate" in str(schema_problem(None))


def test_two_that_start_at_once_make_one_database(open_empty: OpenStore) -> None:
    """All see an empty database; the others find it made when their turn comes."""
    with contextlib.ExitStack() as stack:
        stores = [stack.enter_context(contextlib.closing(open_empty())) for _ in range(4)]
        assert [version(it) for it in stores] == [None] * 4
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(migrate, stores))
        assert {version(it) for it in stores} == {schema.VERSION}


def test_alembic_is_imported_only_to_migrate(tmp_path: Path) -> None:
    """It takes longer than most commands."""
    with contextlib.closing(open_store(tmp_path / "state.db")) as made:
        migrate(made)
    script = (
        "import sys; from pathlib import Path;"
        "from bascule.storage import migrate, store;"
        "migrate.require_current(store.open_store(Path(sys.argv[1])));"
        "print('alembic' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "state.db")]
    assert subprocess.check_output(command, text=True) == "False\n"


def test_psycopg_is_imported_only_for_postgresql(tmp_path: Path) -> None:
    """It is memory of each worker."""
    script = (
        "import sys; from pathlib import Path;"
        "from bascule.app.place import Place; from bascule.config.model import Server;"
        "import bascule.app.serve;"
        "place = Place(Path(sys.argv[1]), Server()); place.open_state(); place.log_keys();"
        "print('psycopg' in sys.modules)"
    )
    for part in ("audit", "keys"):
        (tmp_path / part).mkdir(mode=0o700)
    command = [sys.executable, "-c", script, str(tmp_path)]
    assert subprocess.check_output(command, text=True) == "False\n"


@pytest.mark.parametrize("table", schema.metadata.sorted_tables, ids=lambda it: it.name)
def test_postgresql_has_types_that_hold_all_of_it(table: Table) -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    types = {it.type.compile(dialect=dialect) for it in table.columns}
    assert types <= {"TEXT", "BIGINT", "BOOLEAN", "BYTEA"}
