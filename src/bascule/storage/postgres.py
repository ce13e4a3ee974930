"""The state in PostgreSQL, by psycopg 3, which is imported only where it is used."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import URL, Connection, Executable, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, TimeoutError

from bascule.errors import BasculeError
from bascule.storage.store import StateUnavailableError, Store, Work, fail

POOL_SIZE = 4
POOL_SECONDS = 5.0
"""How long one waits for a connection of the pool."""
DURABLE = ("on", "remote_apply")
"""Values of `synchronous_commit` with which what was committed is on disk."""
PARAMETERS = {
    "application_name": "bascule",
    "connect_timeout": "3",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "target_session_attrs": "read-write",
}
"""Connection parameters (libpq) unless the URL has them: a server that is gone is noticed
within about ten seconds, here and there; of several
hosts the one that takes writes is used."""
SESSION = (
    "SET statement_timeout = '15s'",
    "SET idle_in_transaction_session_timeout = '15s'",
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 2",
    "SET tcp_keepalives_count = 3",
)
IDLE_TIMEOUT_SINCE = 140000
"""Version of PostgreSQL that came to have `idle_session_timeout`."""
_NO_URL = "`server.database` does not refer to a postgresql:// URL"
_ALONE = 4702111234474983745
"""A number of ours among advisory locks."""


class PostgresStore(Store):
    """Runs transactions, serializable; reads on a view of one moment."""

    def run_alone(self, work: Work[Any]) -> Any:
        """Do `work` in one transaction while no other such work is done.

        It sees what the one before has committed. Raises `StateUnavailableError`.
        """

        def alone(connection: Connection) -> Any:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # may take long
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ALONE})")
            return work(connection)

        return self.commit(alone)

    def commit(self, work: Work[Any]) -> Any:
        """Do `work` in one transaction that sees what others commit meanwhile.

        For work that locks what it depends on. Raises `StateUnavailableError`.
        """
        options = {"isolation_level": "READ COMMITTED"}
        try:
            with (
                self.engine.connect().execution_options(**options) as connection,
                connection.begin(),
            ):
                return work(connection)
        except (DatabaseError, TimeoutError) as exc:
            fail(exc)

    def fetch(
        self, query: Executable, values: Mapping[str, Any] | None = None
    ) -> list[Any]:
        """Give the rows of one query, without a transaction around it.

        Raises `StateUnavailableError`.
        """
        options = {"isolation_level": "AUTOCOMMIT"}
        try:
            with self.engine.connect().execution_options(**options) as connection:
                return list(connection.execute(query, values or {}))
        except (DatabaseError, TimeoutError) as exc:
            fail(exc)

    @contextlib.contextmanager
    def locked(self, number: int) -> Iterator[None]:
        """Wait for and hold an advisory lock, which goes with the connection.

        Raises `StateUnavailableError`.
        """
        options = {"isolation_level": "AUTOCOMMIT"}
        try:
            with self.engine.connect().execution_options(**options) as connection:
                connection.exec_driver_sql(f"SELECT pg_advisory_lock({number})")
                try:
                    yield
                finally:
                    connection.exec_driver_sql(f"SELECT pg_advisory_unlock({number})")
        except (DatabaseError, TimeoutError) as exc:
            fail(exc)


def open_postgres(url: str) -> PostgresStore:
    """Open a PostgreSQL database, not yet migrated; connects when it is used.

    No message has the URL, which may hold a password. Raises `BasculeError`.
    """
    parsed = _parsed(url)
    try:
        engine = create_engine(
            parsed,
            isolation_level="SERIALIZABLE",
            hide_parameters=True,
            pool_size=POOL_SIZE,
            max_overflow=POOL_SIZE,
            pool_timeout=POOL_SECONDS,
            pool_pre_ping=True,
            connect_args={k: v for k, v in PARAMETERS.items() if k not in parsed.query},
        )
    except ImportError as exc:
        raise BasculeError(
            "PostgreSQL needs its driver: run `pip install 'bascule[postgres]'`"
        ) from exc
    event.listen(engine, "connect", _prepare)
    reading = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    return PostgresStore(engine, reading=reading)


def _parsed(url: str) -> URL:
    try:
        found = make_url(url)
    except (ArgumentError, ValueError) as exc:
        raise BasculeError(_NO_URL) from exc
    if found.drivername not in {"postgresql", "postgres"}:
        raise BasculeError(_NO_URL)
    return found.set(drivername="postgresql+psycopg")


def _prepare(connection: Any, _: object) -> None:
    """Set what holds for a connection, and refuse one whose commits may be lost."""
    with connection.cursor() as cursor:
        for statement in SESSION:
            cursor.execute(statement)
        if connection.info.server_version >= IDLE_TIMEOUT_SINCE:
            # A connection that waits for the next record holds its writer's lock.
            cursor.execute("SET idle_session_timeout = 0")
        for name, good in (("synchronous_commit", DURABLE), ("fsync", ("on",))):
            cursor.execute(f"SHOW {name}")
            (value,) = cursor.fetchone()
            if value not in good:
                connection.rollback()
                raise StateUnavailableError(
                    f"PostgreSQL has {name} = {value}, so that a commit may be lost: set "
                    f"{name} = {good[0]} for the server, the database and the role"
                )
            if name == "synchronous_commit":
                # For this session, whatever the server's configuration comes to say.
                cursor.execute(f"SET {name} = {value}")
    connection.commit()
