"""Clients that said when they registered that their tokens are to be bound."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what they said."""
    bound = sa.Column("dpop_bound", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("agents", bound)
