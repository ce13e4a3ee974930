"""The state in PostgreSQL: gone and back, or refused, and its password never shown."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from functools import partial

import pytest
from sqlalchemy import Connection, text

from bascule.errors import BasculeError
from bascule.storage import counters
from bascule.storage.migrate import require_current
from bascule.storage.postgres import PostgresStore, open_postgres
from bascule.storage.store import StateUnavailableError
from patience import until
from ports import free_ports
from postgres import PASSWORD, PostgresServer, postgres_cluster


@pytest.mark.parametrize("level", ["off", "local", "remote_write"])
def test_a_database_that_may_lose_commits_is_refused(
    level: str, postgres_server: PostgresServer
) -> None:
    name = postgres_server.create()
    postgres_server.execute(f"ALTER DATABASE {name} SET synchronous_commit = {level}")
    with (
        contextlib.closing(open_postgres(postgres_server.url(name))) as store,
        pytest.raises(StateUnavailableError, match=f"synchronous_commit = {level}"),
    ):
        require_current(store)


def test_the_url_cannot_ask_for_less_than_durable_commits(
    postgres_server: PostgresServer,
) -> None:
    url = postgres_server.url(postgres_server.create())
    with (
        contextlib.closing(
            open_postgres(f"{url}?options=-csynchronous_commit%3Doff")
        ) as it,
        pytest.raises(StateUnavailableError, match="synchronous_commit = off"),
    ):
        require_current(it)


def test_commits_stay_durable_when_the_server_is_told_otherwise(
    postgres_server: PostgresServer,
) -> None:
    def level(store: PostgresStore) -> object:
        return store.fetch(text("SHOW synchronous_commit"))[0][0]

    url = postgres_server.url(postgres_server.create())
    with contextlib.closing(open_postgres(url)) as store:
        assert level(store) == "on"
        postgres_server.execute("ALTER SYSTEM SET synchronous_commit = off")
        try:
            postgres_server.execute("SELECT pg_reload_conf()")
            off = "SHOW synchronous_commit"
            until(lambda: postgres_server.execute(off) == [("off",)])
            assert level(store) == "on"
            with (
                contextlib.closing(open_postgres(url)) as fresh,
                pytest.raises(StateUnavailableError),
            ):
                level(fresh)
        finally:
            postgres_server.execute("ALTER SYSTEM RESET synchronous_commit")
            postgres_server.execute("SELECT pg_reload_conf()")
        until(lambda: postgres_server.execute(off) == [("on",)])


def test_a_server_that_only_reads_is_not_used(postgres_server: PostgresServer) -> None:
    name = postgres_server.create()
    postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with (
        contextlib.closing(open_postgres(postgres_server.url(name))) as store,
        pytest.raises(StateUnavailableError, match="read-only"),
    ):
        require_current(store)


def test_a_role_that_may_not_make_tables_is_told_so(
    postgres_server: PostgresServer,
) -> None:
    name = postgres_server.create()
    postgres_server.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    url = f"postgresql://{name}:{PASSWORD}@127.0.0.1:{postgres_server.port}/{name}"
    with (
        contextlib.closing(open_postgres(url)) as store,
        pytest.raises(StateUnavailableError, match="permission denied"),
    ):
        require_current(store)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:///x",
        "mysql://a:canary@b/c",
        "postgresql+asyncpg://a:canary@b/c",
        "postgresql://a:canary@b:port/c",
        "canary",
    ],
)
def test_what_is_no_url_of_postgresql_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BasculeError) as caught:
        open_postgres(url)
    assert "postgresql://" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "password"), [("127.0.0.1", "wrong-canary"), ("127.0.0.2", PASSWORD)]
)
def test_a_server_that_does_not_let_us_in_is_told_without_the_password(
    host: str, password: str, postgres_server: PostgresServer
) -> None:
    url = f"postgresql://bascule:{password}@{host}:{postgres_server.port}/postgres"
    with (
        contextlib.closing(open_postgres(url)) as store,
        pytest.raises(StateUnavailableError) as caught,
    ):
        require_current(store)
    assert password not in str(caught.value)
    assert "not available" in str(caught.value)


def test_without_its_driver_it_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from bascule.errors import BasculeError\n"
        "from bascule.storage.postgres import open_postgres\n"
        "try: open_postgres('postgresql://a@b/c')\n"
        "except BasculeError as exc: print(exc)"
    )
    said = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert "pip install 'bascule[postgres]'" in said


def test_parameters_of_the_url_come_first(postgres_server: PostgresServer) -> None:
    url = postgres_server.url(postgres_server.create()) + "?application_name=mine"
    with contextlib.closing(open_postgres(url)) as store:
        shown = store.read(
            lambda conn: conn.exec_driver_sql("SHOW application_name").scalar()
        )
    assert shown == "mine"


def test_what_takes_long_alone_is_not_cut_off_and_sessions_may_idle(
    postgres_server: PostgresServer,
) -> None:
    name = postgres_server.create()
    postgres_server.execute(f"ALTER DATABASE {name} SET idle_session_timeout = '1s'")

    def shown(conn: Connection) -> list[object]:
        names = ("statement_timeout", "idle_session_timeout")
        return [conn.exec_driver_sql(f"SHOW {it}").scalar() for it in names]

    with contextlib.closing(open_postgres(postgres_server.url(name))) as store:
        assert store.run_alone(shown) == ["0", "0"]
        assert store.read(shown) == ["15s", "0"]


def test_a_server_that_comes_back_is_used_again() -> None:
    (port,) = free_ports(1)
    with (
        postgres_cluster(port) as server,
        contextlib.closing(open_postgres(server.url(server.create()))) as store,
    ):
        require_current(store)
        store.run(partial(counters.advance, name="epoch"))
        server.stop()
        with pytest.raises(StateUnavailableError):
            store.run(partial(counters.advance, name="epoch"))
        with pytest.raises(StateUnavailableError):
            store.read(partial(counters.value, name="epoch"))
        server.start()
        assert store.run(partial(counters.advance, name="epoch")) == 2
