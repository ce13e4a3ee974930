"""State databases with users and agents, for tests of grants, codes and refresh tokens."""

from __future__ import annotations

import functools
import shutil
import tempfile
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from bascule.clock import UnixTime
from bascule.identity.confirmation import Confirmation
from bascule.storage import agents, codes, grants, refresh_tokens, users
from bascule.storage.grants import Grant
from bascule.storage.migrate import migrate
from bascule.storage.store import Store, open_store

NOW = UnixTime(1_800_000_000)
WEEK = 7 * 86400
REDIRECT = "https://client.example/cb"


@functools.cache
def _empty() -> Path:
    """Make an empty database once: migrating takes longer than all else here."""
    path = Path(tempfile.mkdtemp()) / "empty.db"
    store = open_store(path)
    migrate(store)
    store.run(fill)
    store.close()
    return path


def fill(conn: Connection) -> None:
    for name in ("alice", "bob"):
        users.add(
            conn,
            name=name,
            groups=(),
            is_admin=False,
            setup_hash=name.encode(),
            setup_expires_at=NOW,
            now=NOW,
        )
    for client_id in ("app", "other"):
        agents.add(
            conn,
            client_id=client_id,
            secret_hash=None,
            jwks=None,
            redirect_uris=(REDIRECT,),
            now=NOW,
        )


def new_store(folder: Path) -> Store:
    """Open a SQLite database that is filled."""
    path = folder / "state.db"
    shutil.copy(_empty(), path)
    return open_store(path)


def add_grant(
    store: Store, grant_id: str = "g-1", *, user: str = "user:alice", now: int = NOW
) -> Grant:
    """Begin a family for `app`, its code being `code of GRANT`."""

    def work(conn: Connection) -> Grant | None:
        grant = grants.add(
            conn,
            grant_id=grant_id,
            user=user,
            client_id="app",
            connector="desk",
            scope="mcp:desk",
            now=UnixTime(now),
            expires_at=UnixTime(now + WEEK),
        )
        if grant is not None:
            codes.add(
                conn,
                code_hash=f"code of {grant_id}".encode(),
                grant=grant,
                redirect_uri=REDIRECT,
                code_challenge="challenge",
                now=UnixTime(now),
            )
        return grant

    found = store.run(work)
    assert found is not None
    return found


def redeem(store: Store, grant_id: str = "g-1", **change: object) -> object:
    """Redeem the code of a family, correctly but for `change`."""
    values: dict[str, object] = {
        "code_hash": f"code of {grant_id}".encode(),
        "client_id": "app",
        "redirect_uri": REDIRECT,
        "code_challenge": "challenge",
        "now": NOW,
        **change,
    }
    return store.run(partial(codes.redeem, **values))  # type: ignore[arg-type]


def rotate(
    store: Store,
    token: bytes,
    successor: bytes,
    *,
    now: int = NOW,
    client_id: str = "app",
    cnf: Confirmation | None = None,
) -> object:
    """Use a refresh token; its successor is sealed as `sealed SUCCESSOR`."""
    return store.run(
        partial(
            refresh_tokens.rotate,
            token_hash=token,
            client_id=client_id,
            successor_hash=successor,
            sealed_successor=b"sealed " + successor,
            now=UnixTime(now),
            cnf=cnf,
        )
    )


def add_refresh_token(store: Store, grant: Grant, token: bytes, *, now: int = NOW) -> None:
    """Keep the first refresh token of a family."""
    add = partial(refresh_tokens.add, token_hash=token, grant=grant, now=UnixTime(now))
    store.run(add)
