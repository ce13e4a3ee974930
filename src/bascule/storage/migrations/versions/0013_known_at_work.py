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
        sa.PrimaryKeyConstraint("user_name", name="pk_federated_users"),
        sa.ForeignKeyConstraint(
            ["user_name"], ["users.name"], name="fk_federated_users_user_name"
        ),
    )
    op.create_index(
        "ix_federated_users_provider", "federated_users", ["provider", "external_id"]
    )
