"""Migrations: one chain, forward only. Alembic is imported only when it is needed."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from bascule.errors import BasculeError
from bascule.storage import schema
from bascule.storage.store import Store


class SchemaVersionError(BasculeError):
    """The database is of another version."""


def version(store: Store) -> str | None:
    """Give the version of a database, None for an empty one."""
    return store.read(_version)


def schema_problem(found: str | None) -> str | None:
    """Say what to do about a version that is not ours; None when it is ours."""
    if found == schema.VERSION:
        return None
    if found is None or found in schema.EARLIER_VERSIONS:
        return (
            f"the state database has schema {found or 'none'}, this version of bascule "
            f"needs {schema.VERSION}: run `bascule db migrate`"
        )
    return (
        f"the state database has schema {found}, which a newer version of bascule made; "
        f"this one knows {schema.VERSION}: use the newer version"
    )


def require_current(store: Store) -> None:
    """Bring an empty database up; refuse one of another version.

    Raises `SchemaVersionError`.
    """
    found = version(store)
    if found is None:
        migrate(store)
        return
    problem = schema_problem(found)
    if problem is not None:
        raise SchemaVersionError(problem)


def migrate(store: Store) -> None:
    """Apply what is missing, in one transaction. Raises `SchemaVersionError`."""
    store.run_alone(_upgrade)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    found = _version(connection)
    if found is not None and found not in (schema.VERSION, *schema.EARLIER_VERSIONS):
        raise SchemaVersionError(schema_problem(found))
    config = Config()
    scripts = Path(__file__).parent / "migrations"
    # `%` begins a reference in this kind of file.
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])
