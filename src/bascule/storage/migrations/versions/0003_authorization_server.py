"""Authorization server: requests, grants, codes, refresh tokens, consents, clients."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what clients need to get tokens by themselves."""
    _agents_and_tokens()
    _authorization()
    _grants()
    op.create_table(
        "used_assertions",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_used_assertions"),
    )
    op.create_index("ix_used_assertions_expires_at", "used_assertions", ["expires_at"])


def _agents_and_tokens() -> None:
    for column in (
        sa.Column("origin", sa.Text, nullable=False, server_default="operator"),
        sa.Column("auth_method", sa.Text, nullable=False, server_default="none"),
        sa.Column("name", sa.Text),
        sa.Column("expires_at", sa.BigInteger),
    ):
        op.add_column("agents", column)
    op.execute(
        "UPDATE agents SET auth_method = 'client_secret' WHERE secret_hash IS NOT NULL"
    )
    op.execute("UPDATE agents SET auth_method = 'private_key_jwt' WHERE jwks IS NOT NULL")
    op.add_column("tokens", sa.Column("grant_id", sa.Text))
    op.create_index("ix_tokens_grant_id", "tokens", ["grant_id"])


def _authorization() -> None:
    op.create_table(
        "authorization_requests",
        sa.Column("id_hash", sa.LargeBinary, nullable=False),
        sa.Column("session_number", sa.BigInteger, nullable=False),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("state", sa.Text),
        sa.Column("code_challenge", sa.Text, nullable=False),
        sa.Column("connector", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("decision", sa.Text),
        sa.Column("sealed_code", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id_hash", name="pk_authorization_requests"),
    )
    op.create_index(
        "ix_authorization_requests_expires_at", "authorization_requests", ["expires_at"]
    )
    op.create_table(
        "consents",
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("connector", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "user_name",
            "client_id",
            "redirect_uri",
            "connector",
            "scope",
            name="pk_consents",
        ),
    )


def _grants() -> None:
    op.create_table(
        "grants",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("connector", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_grants"),
    )
    op.create_index("ix_grants_expires_at", "grants", ["expires_at"])
    op.create_table(
        "authorization_codes",
        sa.Column("code_hash", sa.LargeBinary, nullable=False),
        sa.Column("grant_id", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("code_challenge", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("code_hash", name="pk_authorization_codes"),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["grants.id"], name="fk_authorization_codes_grant_id"
        ),
    )
    op.create_index("ix_authorization_codes_grant_id", "authorization_codes", ["grant_id"])
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        sa.Column("grant_id", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
        sa.Column("successor_hash", sa.LargeBinary),
        sa.Column("sealed_successor", sa.LargeBinary),
        sa.PrimaryKeyConstraint("token_hash", name="pk_refresh_tokens"),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["grants.id"], name="fk_refresh_tokens_grant_id"
        ),
    )
    op.create_index("ix_refresh_tokens_grant_id", "refresh_tokens", ["grant_id"])
