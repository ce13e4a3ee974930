"""A server on PostgreSQL: nothing but caches beside it, nothing done without it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from patience import until
from ports import free_ports
from postgres import PASSWORD, PostgresServer, postgres_cluster, program
from system.recorder import Recorder
from system.replicas import KEY_ENCRYPTION, on_postgres
from system.server import Installation


@pytest.fixture
def database(postgres_server: PostgresServer, migrated_template: str) -> str:
    return postgres_server.create(template=migrated_template)


@pytest.fixture
def own(
    tmp_path: Path, recorder: Recorder, postgres_server: PostgresServer, database: str
) -> Iterator[Installation]:
    made = on_postgres(tmp_path, recorder, postgres_server.url(database))
    try:
        yield made
    finally:
        made.kill()


def test_calls_are_served_and_recorded_and_all_commands_read_the_log(
    own: Installation, tmp_path: Path
) -> None:
    own.start()
    token = own.token()
    assert own.tool(token, "echo").status == 200
    assert own.tool(token, "forbidden").status == 400
    own.wait_for_records("--type", "call.end")
    rows = own.records()
    assert {"user.add", "agent.add", "token.issue", "call.start", "authz.decision"} <= {
        row["type"] for row in rows
    }
    assert own.ask("audit", "show", "0")["type"] == "user.add"
    assert own.cli("audit", "tail").exit_code == 0
    assert own.ask("audit", "verify")["ok"]
    proof = own.cli("audit", "prove", "0")
    assert proof.exit_code == 0
    (tmp_path / "proof").write_text(proof.stdout)
    assert own.stop() == 0
    assert "legacy sessions" in own.log
    verdict = own.ask("audit", "verify")
    assert (verdict["ok"], verdict["pending"]) == (True, 0)


def test_a_role_that_owns_its_database_and_nothing_else_is_enough(
    tmp_path: Path, recorder: Recorder, postgres_server: PostgresServer
) -> None:
    postgres_server.execute(f"CREATE ROLE owner LOGIN PASSWORD '{PASSWORD}'")
    postgres_server.execute("CREATE DATABASE owned OWNER owner")
    url = f"postgresql://owner:{PASSWORD}@127.0.0.1:{postgres_server.port}/owned"
    own = on_postgres(tmp_path, recorder, url)
    own.start()
    try:
        assert own.tool(own.token(), "echo").status == 200
        own.wait_for_records("--type", "call.end")
        assert own.stop() == 0
        assert own.ask("audit", "verify")["ok"]
    finally:
        own.kill()


def test_the_data_directory_holds_neither_state_nor_keys_nor_log(
    own: Installation, postgres_server: PostgresServer, database: str
) -> None:
    own.start()
    own.tool(own.token(), "echo")
    own.stop()
    names = {path.name for path in own.data.rglob("*") if path.is_file()}
    assert not {name for name in names if name.endswith((".db", ".jwk", ".key"))}
    assert not (own.data / "audit" / "state").exists()
    kept = {name for (name,) in postgres_server.execute("SELECT name FROM keys", database)}
    assert {"log.key", "openings.key", "handles.key"} <= kept


def test_no_password_and_no_key_is_shown_or_passed_on(
    own: Installation, postgres_server: PostgresServer, database: str
) -> None:
    own.start()
    assert own.process is not None
    arguments = Path(f"/proc/{own.process.pid}/cmdline").read_bytes().decode()
    own.tool(own.token(), "echo")
    own.stop()
    rows = postgres_server.execute("SELECT wrapped FROM keys", database)
    files = postgres_server.execute("SELECT data FROM log_files", database)
    stored = b"".join(bytes(data) for (data,) in [*rows, *files])
    for secret in (PASSWORD, KEY_ENCRYPTION):
        assert secret not in own.log + arguments
        assert secret.encode() not in stored
    assert b'"d":' not in stored, "a private key lies open"
    assert b"PRIVATE+KEY" not in stored


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("bm90IHRoZSBrZXkgdGhhdCB3cmFwcGVkIHRoZW0uLi4=", "was not wrapped by this"),
        ("too short", "32 random bytes"),
        ("", "32 random bytes"),
    ],
)
def test_the_wrong_key_encryption_key_refuses_to_start(
    own: Installation, key: str, words: str
) -> None:
    (own.folder / "key-encryption").write_text(key)
    result = own.run_up()
    assert result.returncode == 3
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_keys_in_a_database_without_one_that_wraps_them_refuse_to_start(
    own: Installation,
) -> None:
    lines = own.config.read_text().splitlines()
    own.config.write_text("\n".join(it for it in lines if "key_encryption" not in it))
    result = own.run_up()
    assert result.returncode == 3
    assert "server.key_encryption" in result.stderr


def test_a_schema_of_another_version_refuses_to_start(
    own: Installation, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.execute("UPDATE alembic_version SET version_num = '9999'", database)
    result = own.run_up()
    assert result.returncode == 3
    assert "newer version" in result.stderr


def test_an_empty_database_is_made_by_the_first_start_or_by_migrating(
    tmp_path: Path, recorder: Recorder, postgres_server: PostgresServer
) -> None:
    url = postgres_server.url(postgres_server.create())
    made = on_postgres(tmp_path, recorder, url)
    assert made.ask("db", "migrate")["to"] == made.ask("db", "migrate")["from"]
    assert [row["type"] for row in made.records()].count("db.migrate") == 2


def test_rows_that_were_changed_are_found_by_verifying(
    own: Installation, postgres_server: PostgresServer, database: str
) -> None:
    assert own.ask("audit", "verify")["ok"]
    changed = postgres_server.execute(
        "UPDATE log_files SET data = overlay(data PLACING '\\x58' FROM 40 FOR 1)"
        " WHERE name LIKE 'tile/entries/%' RETURNING name",
        database,
    )
    assert changed
    result = own.cli("audit", "verify", "--json")
    assert result.exit_code == 1
    assert own.run_up().returncode == 3


def test_a_record_that_waits_cannot_be_changed_or_taken_away(
    own: Installation, postgres_server: PostgresServer, database: str
) -> None:
    own.start()
    token = own.token()
    # Records stay in the inbox as long as somebody else seems to be the sequencer.
    take = "UPDATE log_lease SET fence = fence + 1, held_until = 9999999999999"
    postgres_server.execute(take, database)
    for _ in range(3):
        own.tool(token, "echo")
    own.kill()
    # Those of the server; a command's chain is its one record.
    gateway = "FROM log_segments WHERE writer = 'gateway'"
    ((waiting, first),) = postgres_server.execute(
        f"SELECT count(*), min(place) {gateway}", database
    )
    assert waiting > 1
    postgres_server.execute(f"DELETE {gateway} AND place = {first}", database)
    postgres_server.execute("UPDATE log_lease SET held_until = 0", database)
    result = own.cli("audit", "verify", "--json")
    assert result.exit_code == 1
    assert "missing" in result.stdout


def test_records_that_nobody_takes_in_make_it_unready_and_then_taken_in_ready(
    own: Installation, postgres_server: PostgresServer, database: str
) -> None:
    def readyz() -> int:
        return own.send(b"", {}, path="/readyz", verb="GET").status

    own.start()
    token = own.token()
    until(lambda: readyz() == 200)
    # Another host took the lease and hangs: nobody takes records in, calls go on.
    postgres_server.execute(
        "UPDATE log_lease SET fence = fence + 1, held_until = 9999999999999", database
    )
    assert own.tool(token, "echo").status == 200
    until(lambda: readyz() == 503)
    assert own.tool(token, "echo").status == 200
    # Long enough, and calls are refused.
    postgres_server.execute(
        "UPDATE log_segments SET written_at = written_at - 60000", database
    )
    until(lambda: own.tool(token, "echo").status == 503)
    postgres_server.execute("UPDATE log_lease SET held_until = 0", database)
    until(lambda: readyz() == 200)
    until(lambda: own.tool(token, "echo").status == 200)


def test_calls_of_a_killed_worker_are_closed_by_the_end_of_its_connection(
    own: Installation, recorder: Recorder
) -> None:
    def outcomes() -> dict[str, str]:
        records = own.whole_records()
        return {it["parent"]: it["result"]["outcome"] for it in records if "parent" in it}

    own.start("--workers", "2")
    token = own.token()
    recorder.take()
    held = own.abandoned(token, "hangs")
    recorder.wait()
    assert own.process is not None
    pid = own.process.pid
    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(workers) == 2
    for worker in workers:
        os.kill(int(worker), signal.SIGKILL)
    held.close()
    (call,) = own.wait_for_records("--type", "call.start", "--name", "hangs")
    until(lambda: outcomes().get(call["id"]) == "outcome_unknown")
    until(lambda: own.process is not None and own.log.count("is replaced") == 2)
    assert own.tool(token, "echo").status == 200
    assert own.stop() == 0
    verdict = own.ask("audit", "verify")
    assert (verdict["ok"], verdict["pending"]) == (True, 0)


def test_an_older_dump_brought_back_revokes_what_was_issued_and_is_no_log(
    own: Installation, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    token = own.token()
    url = (own.folder / "database").read_text().strip()
    dump = tmp_path / "dump"
    command = [program("pg_dump"), "--format=custom", f"--file={dump}", url]
    subprocess.run(command, check=True, capture_output=True)
    epoch = own.ask("revoke", "--user", "bob", "--reason", "left")["epoch"]
    name = postgres_server.create()
    restored = postgres_server.url(name)
    command = [program("pg_restore"), "--dbname", restored, str(dump)]
    subprocess.run(command, check=True, capture_output=True)
    (own.folder / "database").write_text(restored)
    # Records were signed that the dump does not have: this log may not go on.
    result = own.run_up()
    assert result.returncode == 3
    assert "ahead of the log" in result.stderr
    own.ask("audit", "restart", "--reason", "restored from a dump")
    own.start()
    # On a busy machine it can be that nothing is confirmed for a while, which is a 503.
    until(lambda: own.tool(token, "echo").status != 503)
    assert own.tool(token, "echo").status == 401
    assert own.ask("revoke", "--jti", "none", "--reason", "r")["epoch"] > epoch
    assert own.tool(own.token(), "echo").status == 200


def test_without_its_database_nothing_is_served_and_with_it_all_is_again(
    tmp_path: Path, recorder: Recorder
) -> None:
    (port,) = free_ports(1)
    with postgres_cluster(port) as server:
        own = on_postgres(tmp_path, recorder, server.url(server.create()))
        try:
            own.start()
            token = own.token()
            assert own.tool(token, "echo").status == 200
            stream = own.stream(token, "tools/call", {"name": "opens", "arguments": {}})
            stream.expect()
            server.stop()
            recorder.take()
            assert own.tool(token, "echo").status == 503
            until(lambda: own.send(b"", {}, path="/readyz", verb="GET").status == 503)
            assert stream.next() is None, "revocations can no longer be heard of"
            stream.close()
            assert recorder.take() == []
            server.start()
            until(lambda: own.tool(token, "echo").status == 200)
            until(lambda: own.send(b"", {}, path="/readyz", verb="GET").status == 200)
            assert own.stop() == 0
            assert own.ask("audit", "verify")["ok"]
        finally:
            own.kill()
