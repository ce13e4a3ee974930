"""A gateway of our own to measure: configuration, policies, a user, tokens, its log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from bascule.app.files import data_directory
from bascule.app.place import Place
from bascule.audit.log_files import FolderFiles
from bascule.audit.state import read_state
from bascule.bench.peers import RULES
from bascule.bench.request import CONNECTOR, FRESH, LISTERS, TOOL, USER
from bascule.clock import UnixTime, new_id, system_clock, system_micros
from bascule.config.model import Server
from bascule.identity.access_token import AccessToken, issue
from bascule.identity.keys import SigningKey
from bascule.identity.resource import baseline_scope, resource_identifier
from bascule.storage import key_files, tokens, users
from bascule.storage.directory import BUILT_IN_AGENT

TOKEN_SECONDS = 600


@dataclass(frozen=True, slots=True)
class BenchGateway:
    """Where its files are and where it listens."""

    folder: Path
    port: int
    admin_port: int

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self.folder / "bascule.toml"

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.folder / "data"

    @property
    def public_url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the loads show."""

    calls: list[str]
    """Of the one user who calls."""
    lists: list[str]
    """One of each user who asks for a list."""


def prepare(gateway: BenchGateway, *, upstream: int, count: int) -> Tokens:
    """Write what the gateway starts from, and issue `count` tokens for calls."""
    policies = gateway.folder / "policies"
    policies.mkdir(mode=0o700, parents=True)
    (policies / "bench.cedar").write_text("\n".join(map(_policy, range(RULES))))
    gateway.config.write_text(_configuration(gateway, upstream))
    data = data_directory(gateway.data)
    place = Place(data, Server())
    store = place.open_state()
    try:
        now = system_clock()
        store.run(partial(_add_users, now=now))
        place.note_change()
        key = key_files.load_or_create(place.keys, now=now).active()
        claims = store.run(partial(_register, names=[USER] * count, now=now))
        listers = store.run(partial(_register, names=LISTERS, now=now))
    finally:
        place.close()
    return Tokens(
        calls=[_sign(gateway, key, each) for each in claims],
        lists=[_sign(gateway, key, each) for each in listers],
    )


def records(gateway: BenchGateway) -> tuple[int, int]:
    """Give how many records are in the tree, and how many wait."""
    inbox = Place(gateway.data, Server()).log().inbox()
    try:
        waiting = inbox.count()
    finally:
        inbox.close()
    state = read_state(FolderFiles(gateway.data / "audit"))
    return (0 if state is None else state.size), waiting


def _configuration(gateway: BenchGateway, upstream: int) -> str:
    return f"""\
[server]
public_url = "{gateway.public_url}"
listen = "127.0.0.1:{gateway.port}"
admin_listen = "127.0.0.1:{gateway.admin_port}"

[connectors.{CONNECTOR}]
mode = "observe"
url = "http://127.0.0.1:{upstream}/mcp"

[roles.bench]
members = [{", ".join(f'"user:{name}"' for name in (USER, *LISTERS))}]
allow = ["{CONNECTOR}/{TOOL}", "{CONNECTOR}/{FRESH}*"]

[agents.ceilings]
{BUILT_IN_AGENT} = ["{CONNECTOR}/*"]
"""


def _policy(number: int) -> str:
    return f"""\
@id("bench-{number}")
permit(
  principal == Mcp::User::"user-{number}",
  action == Mcp::Action::"call_tool",
  resource == Mcp::Tool::"{CONNECTOR}/tool{number}"
);
"""


def _add_users(connection: Connection, now: UnixTime) -> None:
    for name in (USER, *LISTERS):
        users.add(
            connection,
            name=name,
            groups=(),
            is_admin=False,
            setup_hash=name.encode(),
            setup_expires_at=now,
            now=now,
        )


def _register(
    connection: Connection, *, names: Sequence[str], now: UnixTime
) -> list[AccessToken]:
    return [_register_one(connection, f"user:{name}", now) for name in names]


def _register_one(connection: Connection, user: str, now: UnixTime) -> AccessToken:
    scope = baseline_scope(CONNECTOR)
    jti, expires = new_id(system_micros()), UnixTime(now + TOKEN_SECONDS)
    number = tokens.register(
        connection,
        jti=jti,
        user=user,
        client_id=BUILT_IN_AGENT,
        connector=CONNECTOR,
        scope=scope,
        issued_at=now,
        expires_at=expires,
    )
    return AccessToken(
        user=user,
        agent=BUILT_IN_AGENT,
        jti=jti,
        scopes=frozenset({scope}),
        issued_at=now,
        expires_at=expires,
        issue_number=number,
    )


def _sign(gateway: BenchGateway, key: SigningKey, claims: AccessToken) -> str:
    url = gateway.public_url
    return issue(claims, issuer=url, resource=resource_identifier(url, CONNECTOR), key=key)
