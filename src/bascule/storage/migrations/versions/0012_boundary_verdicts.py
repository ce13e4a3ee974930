"""What the last probe of each connector's boundary came to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "boundary_verdicts",
        sa.Column("connector", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("inward", sa.Text, nullable=False),
        sa.Column("outward", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("checked_at", sa.BigInteger, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("connector", "place", name="pk_boundary_verdicts"),
    )
