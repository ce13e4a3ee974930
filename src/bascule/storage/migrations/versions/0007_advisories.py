"""Advisories of feeds that were imported."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "advisories",
        sa.Column("ecosystem", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("modified", sa.Text, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("ecosystem", "name", "id", name="pk_advisories"),
    )
    op.create_index("ix_advisories_id", "advisories", ["ecosystem", "id"])
    op.create_table(
        "advisory_feeds",
        sa.Column("ecosystem", sa.Text, nullable=False),
        sa.Column("newest", sa.Text, nullable=False),
        sa.Column("advisories", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("imported_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("ecosystem", name="pk_advisory_feeds"),
    )
