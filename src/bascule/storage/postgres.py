"""The state in PostgreSQL, by psycopg 3, which is imported only where it is used."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from bascule.errors import BasculeError
from bascule.storage.store import StateUnavailableError, Store

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
}
"""Connection parameters (libpq) unless the URL has them: a server that is gone is noticed
within about ten seconds, here and there."""
SESSION = (
    "SET statement_timeout = '15s'",
    "SET idle_in_transaction_session_timeout = '15s'",
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 2",
    "SET tcp_keepalives_count = 3",
)


_NO_URL = "`server.database` does not refer to a postgresql:// URL"


def open_postgres(url: str) -> Store:
    """Open a PostgreSQL database, not yet migrated; connects when it is used.

    No message has the URL, which may hold a password. Raises `BasculeError`.
    """
    engine = create_engine(
        _parsed(url),
        isolation_level="SERIALIZABLE",
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_timeout=POOL_SECONDS,
        pool_pre_ping=True,
        connect_args=_missing(url),
    )
    event.listen(engine, "connect", _prepare)
    return Store(engine, reading=_reading, one_at_a_time=_one_at_a_time)


def _parsed(url: str) -> URL:
    try:
        found = make_url(url)
    except (ArgumentError, ValueError) as exc:
        raise BasculeError(_NO_URL) from exc
    if found.drivername not in {"postgresql", "postgres"}:
        raise BasculeError(_NO_URL)
    return found.set(drivername="postgresql+psycopg")


def _missing(url: str) -> dict[str, str]:
    """Give our parameters, but for those that the URL sets itself."""
    return {k: v for k, v in PARAMETERS.items() if k not in _parsed(url).query}


def _prepare(connection: Any, _: object) -> None:
    """Set what holds for a connection, and refuse one whose commits may be lost."""
    with connection.cursor() as cursor:
        for statement in SESSION:
            cursor.execute(statement)
        for name, good in (("synchronous_commit", DURABLE), ("fsync", ("on",))):
            cursor.execute(f"SHOW {name}")
            (value,) = cursor.fetchone()
            if value not in good:
                connection.rollback()
                raise StateUnavailableError(
                    f"PostgreSQL has {name} = {value}, so that a commit may be lost: set "
                    f"{name} = {good[0]} for the server, the database and the role"
                )
    connection.commit()


_reading = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
_one_at_a_time = "SELECT pg_advisory_xact_lock(4702111234474983745)"
