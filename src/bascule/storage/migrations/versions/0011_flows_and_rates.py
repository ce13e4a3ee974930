"""What identities have touched, and calls that were drawn from rates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "touches",
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("open_until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_name", "client_id", "label", name="pk_touches"),
    )
    op.create_index("ix_touches_open_until", "touches", ["open_until"])
    op.create_table(
        "drawn_calls",
        sa.Column("rate", sa.Text, nullable=False),
        sa.Column("holder_hash", sa.LargeBinary, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("drawn", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("rate", "holder_hash", "ends_at", name="pk_drawn_calls"),
    )
    op.create_index("ix_drawn_calls_ends_at", "drawn_calls", ["ends_at"])
