"""Approvals: statements, the signers in force, what was approved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "approvals",
        sa.Column("connector", sa.Text, nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("entry_digest", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("approver", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("completes", sa.Boolean, nullable=False),
        sa.Column("void", sa.Boolean, nullable=False),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("connector", "place", name="pk_approvals"),
        sa.UniqueConstraint("connector", "digest", name="uq_approvals_connector"),
    )
    op.create_table(
        "approver_sets",
        sa.Column("place", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("place", name="pk_approver_sets"),
    )
    op.create_table(
        "approver_votes",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_approver_votes"),
    )
    op.create_table(
        "approved_documents",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_approved_documents"),
    )
    op.create_table(
        "entry_authors",
        sa.Column("connector", sa.Text, nullable=False),
        sa.Column("entry_digest", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "connector", "entry_digest", "author", name="pk_entry_authors"
        ),
    )
