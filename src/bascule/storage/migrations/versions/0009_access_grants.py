"""Grants of access outside of roles; details of what a client asked for (RFC 9396)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and add the columns."""
    op.create_table(
        "access_grants",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("user_name", sa.Text),
        sa.Column("client_id", sa.Text),
        sa.Column("connector", sa.Text, nullable=False),
        sa.Column("entries", sa.Text, nullable=False),
        sa.Column("seconds", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("decision", sa.Text),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_at", sa.BigInteger),
        sa.Column("decision_reason", sa.Text),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("end_reason", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_access_grants"),
    )
    op.create_index("ix_access_grants_expires_at", "access_grants", ["expires_at"])
    for table in ("authorization_requests", "grants"):
        op.add_column(table, sa.Column("authorization_details", sa.Text))
