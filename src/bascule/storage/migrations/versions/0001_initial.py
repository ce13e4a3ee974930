"""Users, agents, tokens, revocations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "users",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("disabled_at", sa.BigInteger),
        sa.Column("is_admin", sa.Boolean, nullable=False),
        sa.Column("setup_hash", sa.LargeBinary),
        sa.Column("setup_expires_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("name", name="pk_users"),
        sa.UniqueConstraint("setup_hash", name="uq_users_setup_hash"),
    )
    op.create_table(
        "user_groups",
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("group_name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("user_name", "group_name", name="pk_user_groups"),
        sa.ForeignKeyConstraint(
            ["user_name"], ["users.name"], name="fk_user_groups_user_name"
        ),
    )
    op.create_table(
        "agents",
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("disabled_at", sa.BigInteger),
        sa.Column("secret_hash", sa.LargeBinary),
        sa.Column("jwks", sa.Text),
        sa.PrimaryKeyConstraint("client_id", name="pk_agents"),
    )
    op.create_table(
        "agent_redirects",
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("client_id", "redirect_uri", name="pk_agent_redirects"),
        sa.ForeignKeyConstraint(
            ["client_id"], ["agents.client_id"], name="fk_agent_redirects_client_id"
        ),
    )
    op.create_table(
        "tokens",
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("jti", sa.Text, nullable=False),
        sa.Column("user_name", sa.Text),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("connector", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_tokens"),
        sa.UniqueConstraint("jti", name="uq_tokens_jti"),
    )
    op.create_index("ix_tokens_expires_at", "tokens", ["expires_at"])
    op.create_table(
        "revocations",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("up_to", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name="pk_revocations"),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
