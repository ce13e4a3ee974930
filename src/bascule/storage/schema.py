"""Every table of the state. Times are whole seconds since 1970, digests are bytes."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

VERSION = "0001"
"""The migration that this code works with."""
EARLIER_VERSIONS: tuple[str, ...] = ()
"""Migrations before it, from which `bascule db migrate` leads here."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

users = Table(
    "users",
    metadata,
    Column("name", Text, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    Column("is_admin", Boolean, nullable=False),
    Column("setup_hash", LargeBinary, unique=True),
    Column("setup_expires_at", BigInteger),
)

user_groups = Table(
    "user_groups",
    metadata,
    Column("user_name", Text, ForeignKey("users.name"), primary_key=True),
    Column("group_name", Text, primary_key=True),
)

agents = Table(
    "agents",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    Column("secret_hash", LargeBinary),
    Column("jwks", Text),
)

agent_redirects = Table(
    "agent_redirects",
    metadata,
    Column("client_id", Text, ForeignKey("agents.client_id"), primary_key=True),
    Column("redirect_uri", Text, primary_key=True),
)

tokens = Table(
    "tokens",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("jti", Text, nullable=False, unique=True),
    Column("user_name", Text),
    Column("client_id", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("ix_tokens_expires_at", "expires_at"),
)

revocations = Table(
    "revocations",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("up_to", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""`issued`: highest issue number; `epoch`: raised by each revocation; `generation`: raised
by each change of users, groups, agents or revocations."""
