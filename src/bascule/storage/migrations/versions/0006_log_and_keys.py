"""Wrapped keys, and the log: lease, files, inbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and the one row of the lease: log 1, held by nobody."""
    op.create_table(
        "keys",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_keys"),
    )
    lease = op.create_table(
        "log_lease",
        sa.Column("id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("log", sa.BigInteger, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("held_until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_log_lease"),
    )
    op.bulk_insert(lease, [{"id": 1, "log": 1, "fence": 0, "held_until": 0}])
    op.create_table(
        "log_files",
        sa.Column("log", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("log", "name", name="pk_log_files"),
    )
    op.create_table(
        "log_segments",
        sa.Column("place", sa.BigInteger, nullable=False, autoincrement=True),
        sa.Column("log", sa.BigInteger, nullable=False),
        sa.Column("writer", sa.Text, nullable=False),
        sa.Column("boot", sa.Text, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("prev", sa.LargeBinary, nullable=False),
        sa.Column("head", sa.LargeBinary, nullable=False),
        sa.Column("leaves", sa.LargeBinary, nullable=False),
        sa.Column("openings", sa.LargeBinary, nullable=False),
        sa.Column("written_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("place", name="pk_log_segments"),
        sa.UniqueConstraint("log", "writer", "boot", "first", name="uq_log_segments_log"),
    )
