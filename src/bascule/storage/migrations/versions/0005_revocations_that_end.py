"""Revocations of what expires by itself need not be kept for ever."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add when a revocation is no longer needed."""
    op.add_column("revocations", sa.Column("expires_at", sa.BigInteger))
