"""Issue, revoke, disable, restore from a copy: a token counts when nothing has ended it.

The model knows the order of events. The state database knows only its counters, and may
be replaced by an older copy of itself, which takes a second at least. Otherwise the clock
stands still or jumps.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from bascule.clock import UnixTime
from bascule.identity.access_token import AccessToken
from bascule.identity.revocation import Kind
from bascule.storage import directory, high_water, revocations, tokens, users
from bascule.storage.directory import BUILT_IN_AGENT
from bascule.storage.migrate import migrate
from bascule.storage.postgres import open_postgres
from bascule.storage.store import Store, open_store
from postgres import PostgresServer

USERS = ("alice", "bob")
CONNECTORS = ("tickets", "notes")


@functools.cache
def _empty() -> Path:
    """Make an empty database once: migrating takes longer than all else here."""
    path = Path(tempfile.mkdtemp()) / "empty.db"
    with contextlib.closing(open_store(path)) as store:
        migrate(store)
    return path


class SqliteFiles:
    """A database that is a file, and copies of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._copies = 0
        shutil.copy(_empty(), folder / "state.db")

    def open(self) -> Store:
        return open_store(self._folder / "state.db")

    def copy(self) -> str:
        """Copy it, while nobody has it open."""
        self._copies += 1
        name = f"copy-{self._copies}.db"
        shutil.copy(self._folder / "state.db", self._folder / name)
        return name

    def restore(self, name: str) -> None:
        """Bring a copy back, while nobody has it open."""
        for leftover in self._folder.glob("state.db*"):
            leftover.unlink()
        shutil.copy(self._folder / name, self._folder / "state.db")


class PostgresDatabases:
    """A database of a server, and copies of it."""

    server: ClassVar[PostgresServer]
    template: ClassVar[str]

    def __init__(self, _: Path) -> None:
        self._name = self.server.create(template=self.template)

    def open(self) -> Store:
        return open_postgres(self.server.url(self._name))

    def copy(self) -> str:
        return self.server.create(template=self._name)

    def restore(self, name: str) -> None:
        self._name = self.server.create(template=name)


@dataclass
class Issued:
    """What the model knows of a token."""

    token: AccessToken
    connector: str
    ended: bool = False


class LifeOfTokens(RuleBasedStateMachine):
    """Runs the database beside the model."""

    copies = Bundle("copies")
    databases: type[SqliteFiles | PostgresDatabases] = SqliteFiles

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.database = self.databases(self.folder)
        self.mark = self.folder / "generation"
        self.now = UnixTime(1_800_000_000)
        self.issued: list[Issued] = []
        self.disabled: set[str] = set()
        self.store = self._open()
        for name in USERS:
            self._change(
                partial(
                    users.add,
                    name=name,
                    groups=(),
                    is_admin=False,
                    setup_hash=name.encode(),
                    setup_expires_at=self.now,
                    now=self.now,
                )
            )

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    def _open(self) -> Store:
        return self.database.open()

    def _change(self, work: object) -> None:
        self.store.run(work)  # type: ignore[arg-type]
        high_water.raise_to(self.mark, self.store.read(directory.generation))

    def _end(self, kind: Kind, key: str) -> None:
        for it in self.issued:
            named = {
                "all": "",
                "user": it.token.user,
                "connector": it.connector,
                "jti": it.token.jti,
            }
            it.ended = it.ended or named.get(kind) == key

    @rule(name=st.sampled_from(USERS), connector=st.sampled_from(CONNECTORS))
    def issue(self, name: str, connector: str) -> None:
        jti = f"j-{len(self.issued)}"
        number = self.store.run(
            partial(
                tokens.register,
                jti=jti,
                user=f"user:{name}",
                client_id=BUILT_IN_AGENT,
                connector=connector,
                scope="",
                issued_at=self.now,
                expires_at=UnixTime(self.now + 3600),
            )
        )
        assert (number is None) is (name in self.disabled)
        if number is None:
            return
        token = AccessToken(
            user=f"user:{name}",
            agent=BUILT_IN_AGENT,
            jti=jti,
            scopes=frozenset(),
            issued_at=self.now,
            expires_at=UnixTime(self.now + 3600),
            issue_number=number,
        )
        self.issued.append(Issued(token, connector))

    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        kind: Kind = data.draw(st.sampled_from(["all", "user", "connector", "jti"]))
        keys = {
            "all": [""],
            "user": [f"user:{name}" for name in USERS],
            "connector": list(CONNECTORS),
            "jti": [it.token.jti for it in self.issued] or ["j-0"],
        }
        key = data.draw(st.sampled_from(keys[kind]))
        self._change(
            partial(revocations.revoke, kind=kind, key=key, reason="r", now=self.now)
        )
        self._end(kind, key)

    @rule(name=st.sampled_from(USERS))
    def disable(self, name: str) -> None:
        self._change(partial(users.disable, name=name, now=self.now))
        self.disabled.add(name)
        self._end("user", f"user:{name}")

    @rule(name=st.sampled_from(USERS))
    def enable(self, name: str) -> None:
        self._change(partial(users.enable, name=name))
        self.disabled.discard(name)

    @rule(seconds=st.sampled_from([1, 60, 86400]))
    def time_passes(self, seconds: int) -> None:
        self.now = UnixTime(self.now + seconds)

    @rule(target=copies)
    def copy(self) -> tuple[str, int, frozenset[str]]:
        """Keep a copy as a careful operator does: of a database that nobody has open."""
        self.store.close()
        place = self.database.copy()
        self.store = self._open()
        generation = self.store.read(directory.generation)
        return place, generation, frozenset(self.disabled)

    @rule(copy=copies)
    def restore(self, copy: tuple[str, int, frozenset[str]]) -> None:
        """Bring a copy back. What happened since is known by the mark alone."""
        place, generation, disabled = copy
        self.now = UnixTime(self.now + 1)
        self.store.close()
        self.database.restore(place)
        self.store = self._open()
        known = high_water.read(self.mark)
        found = self.store.run(
            partial(revocations.distrust_restored, known_generation=known, now=self.now)
        )
        assert found is (generation < known)
        if found:
            high_water.raise_to(self.mark, self.store.read(directory.generation))
            assert self.store.read(directory.generation) > known
            self._end("all", "")
        self.disabled = set(disabled)

    @invariant()
    def what_was_ended_does_not_count_and_all_else_does(self) -> None:
        if not hasattr(self, "store"):
            return
        found = self.store.read(directory.load)
        for it in self.issued:
            counts = found.subject(it.token, it.connector) is not None
            blocked = str(it.token.user).removeprefix("user:") in self.disabled
            assert counts is not (it.ended or blocked)


LifeOfTokens.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLifeOfTokens = LifeOfTokens.TestCase


class LifeOfTokensInPostgres(LifeOfTokens):
    """The same in PostgreSQL, where making a database takes longer."""

    databases = PostgresDatabases


LifeOfTokensInPostgres.TestCase.settings = settings(
    LifeOfTokens.TestCase.settings, max_examples=5
)


@pytest.fixture(autouse=True, scope="module")
def postgres(postgres_server: PostgresServer, migrated_template: str) -> None:
    """Say where databases are made; a state machine takes no fixtures."""
    PostgresDatabases.server = postgres_server
    PostgresDatabases.template = migrated_template


TestLifeOfTokensInPostgres = LifeOfTokensInPostgres.TestCase
