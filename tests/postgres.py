"""A real PostgreSQL server: a cluster of its own in a temporary folder."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bascule.clock import monotonic
from bascule.storage.store import Store
from patience import PATIENCE, until

OpenStore = Callable[[], Store]
"""Opens the same database each time, as another process would."""
PASSWORD = "postgres-password-canary"
_numbers = itertools.count(1)


def program(name: str) -> str:
    """Find a program of the server: Debian keeps them by version, off the PATH."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"),
        key=lambda path: int(path.parent.parent.name),
    )
    found = shutil.which(name) or (str(versions[-1]) if versions else None)
    assert found, f"`{name}` is missing: run `make system-packages`"
    return found


def _identity() -> dict[str, Any]:
    """Give the OS user for the server, which refuses root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@dataclass(slots=True)
class PostgresServer:
    """A cluster; runs between `start` and `stop`."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    options: list[str] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str = "postgres") -> str:
        """Give the URL of a database, by loopback and with the password."""
        return f"postgresql://bascule:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def create(self, *, template: str = "template0") -> str:
        """Make an empty database, or a copy of another; gives its name."""
        name = f"test_{next(_numbers)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    @contextlib.contextmanager
    def holding(self, *, template: str = "template0") -> Iterator[str]:
        """Make a database; gives its URL, and removes it at the end."""
        name = self.create(template=template)
        try:
            yield self.url(name)
        finally:
            self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run a statement of the tests themselves."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start the server; returns when it takes connections."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "max_connections": "150",
            "shared_buffers": "32MB",
            "log_min_messages": "panic",
            "logging_collector": "off",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        # It ends with the tests, however these end.
        bound = ("setpriv", "--pdeathsig", "QUIT")
        self.process = subprocess.Popen(
            [*bound, program("postgres"), "-D", str(self.data), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            **_identity(),
        )
        end = monotonic() + PATIENCE
        while not self._answers():
            assert self.process.poll() is None, "PostgreSQL did not start"
            assert monotonic() < end, "PostgreSQL does not answer"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT cuts connections and shuts down in order."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE)
            self.process = None


@contextlib.contextmanager
def postgres_cluster(port: int) -> Iterator[PostgresServer]:
    """Make a cluster and run it."""
    folder = Path(tempfile.mkdtemp(prefix="bascule-postgres-"))
    identity = _identity()
    password = folder / "password"
    password.write_text(PASSWORD)
    if identity:
        for path in (folder, password):
            os.chown(path, identity["user"], identity["group"])
    command = [program("initdb"), "-D", str(folder / "data"), "-U", "bascule"]
    command += ["--auth=scram-sha-256", f"--pwfile={password}", "--no-instructions"]
    command += ["--encoding=UTF8", "--locale=C"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder, **identity)
    server = PostgresServer(folder, port)
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)  # nothing of it is kept
        until(lambda: _is_removed(folder))


def _is_removed(folder: Path) -> bool:
    """Remove a folder; False when somebody, the server's last child, still writes there."""
    try:
        shutil.rmtree(folder)
    except OSError:
        return False
    return True
