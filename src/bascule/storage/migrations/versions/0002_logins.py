"""Passwords, passkeys, failed logins, sessions of browsers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "passwords",
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_name", name="pk_passwords"),
        sa.ForeignKeyConstraint(
            ["user_name"], ["users.name"], name="fk_passwords_user_name"
        ),
    )
    op.create_table(
        "passkeys",
        sa.Column("credential_id", sa.LargeBinary, nullable=False),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("user_handle", sa.LargeBinary, nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("sign_count", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("credential_id", name="pk_passkeys"),
        sa.ForeignKeyConstraint(
            ["user_name"], ["users.name"], name="fk_passkeys_user_name"
        ),
    )
    op.create_index("ix_passkeys_user_name", "passkeys", ["user_name"])
    op.create_table(
        "used_challenges",
        sa.Column("challenge_hash", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("challenge_hash", name="pk_used_challenges"),
    )
    op.create_table(
        "login_failures",
        sa.Column("account_hash", sa.LargeBinary, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("blocked_until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account_hash", "source", name="pk_login_failures"),
    )
    op.create_index("ix_login_failures_last_at", "login_failures", ["last_at"])
    op.create_table(
        "browser_sessions",
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_browser_sessions"),
        sa.UniqueConstraint("number", name="uq_browser_sessions_number"),
        sa.ForeignKeyConstraint(
            ["user_name"], ["users.name"], name="fk_browser_sessions_user_name"
        ),
    )
    op.create_index("ix_browser_sessions_user_name", "browser_sessions", ["user_name"])
    op.create_index("ix_browser_sessions_expires_at", "browser_sessions", ["expires_at"])
