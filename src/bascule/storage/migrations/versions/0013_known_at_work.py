"""Users of identity providers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "federated_users",
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("checked_at", sa.BigInteger, nullable=False),
        sa.Column("asking_until", sa.BigInteger, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("user_name", name="pk_federated_users"),
        sa.ForeignKeyConstraint(
            ["user_name"], ["users.name"], name="fk_federated_users_user_name"
        ),
    )
    op.create_index(
        "ix_federated_users_provider", "federated_users", ["provider", "external_id"]
    )
    _login_tables()
    _link_tables()
    _possession()
    _sealed_index()
    _vault_tables()


def _login_tables() -> None:
    op.create_table(
        "provider_logins",
        sa.Column("state_hash", sa.LargeBinary, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("browser_hash", sa.LargeBinary, nullable=False),
        sa.Column("next", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name="pk_provider_logins"),
    )
    op.create_index("ix_provider_logins_expires_at", "provider_logins", ["expires_at"])
    op.create_table(
        "provider_sessions",
        sa.Column("session_number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("sid", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("session_number", name="pk_provider_sessions"),
    )
    op.create_index("ix_provider_sessions_sid", "provider_sessions", ["provider", "sid"])


def _link_tables() -> None:
    op.create_table(
        "link_requests",
        sa.Column("id_hash", sa.LargeBinary, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("connector", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("state_hash", sa.LargeBinary),
        sa.Column("flow", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id_hash", name="pk_link_requests"),
        sa.UniqueConstraint("state_hash", name="uq_link_requests_state_hash"),
    )
    op.create_index(
        "ix_link_requests_user_name", "link_requests", ["user_name", "connector"]
    )
    op.create_table(
        "linked_accounts",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("connector", sa.Text, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("linked_at", sa.BigInteger, nullable=False),
        sa.Column("refreshed_at", sa.BigInteger, nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("end_reason", sa.Text),
        sa.Column("tries", sa.BigInteger, nullable=False),
        sa.Column("next_try_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_linked_accounts"),
    )
    live = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_linked_accounts_live",
        "linked_accounts",
        ["user_name", "connector"],
        unique=True,
        sqlite_where=live,
        postgresql_where=live,
    )
    op.create_index(
        "ix_linked_accounts_ended_at", "linked_accounts", ["ended_at", "next_try_at"]
    )


def _possession() -> None:
    op.add_column("authorization_requests", sa.Column("dpop_jkt", sa.Text))
    op.add_column("grants", sa.Column("cnf", sa.Text))
    op.create_table(
        "shown_once",
        sa.Column("since", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("since", "digest", name="pk_shown_once"),
    )


def _vault_tables() -> None:
    op.create_table(
        "vault_keys",
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_vault_keys"),
    )
    op.create_table(
        "vault_entries",
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("owner", "name", name="pk_vault_entries"),
    )


def _sealed_index() -> None:
    sealed = sa.text("sealed_successor IS NOT NULL")
    op.create_index(
        "ix_refresh_tokens_sealed",
        "refresh_tokens",
        ["used_at"],
        sqlite_where=sealed,
        postgresql_where=sealed,
    )
