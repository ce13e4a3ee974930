"""Migrations: one chain, forward only. Alembic is imported only when it is needed."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import inspect, text

from bascule.errors import BasculeError
from bascule.storage import schema
from bascule.storage.store import Store


class SchemaVersionError(BasculeError):
    """The database is of another version."""


def version(store: Store) -> str | None:
    """Give the version of a database, None for an empty one."""
    with store.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
        return None if row is None else str(row[0])


def require_current(store: Store) -> None:
    """Bring an empty database up; refuse one of another version.

    Raises `SchemaVersionError`.
    """
    found = version(store)
    if found is None:
        migrate(store)
    elif found != schema.VERSION:
        raise SchemaVersionError(
            f"the state database has schema {found}, this version of bascule needs "
            f"{schema.VERSION}: run `bascule db migrate` with the newer of the two"
        )


def migrate(store: Store) -> None:
    """Apply what is missing, in one transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with store.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
