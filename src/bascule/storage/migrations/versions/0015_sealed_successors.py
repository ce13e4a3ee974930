"""An index by which the refresh token before another is found while it is sealed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_SEALED = "sealed_successor IS NOT NULL"


def upgrade() -> None:
    """Make the index."""
    op.create_index(
        "ix_refresh_tokens_successor",
        "refresh_tokens",
        ["successor_hash"],
        sqlite_where=sa.text(_SEALED),
        postgresql_where=sa.text(_SEALED),
    )
