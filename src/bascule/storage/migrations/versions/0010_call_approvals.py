"""Call approvals: calls that wait for a human, and what humans said."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "call_approvals",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("binding", sa.Text, nullable=False),
        sa.Column("user_name", sa.Text),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("connector", sa.Text, nullable=False),
        sa.Column("tool", sa.Text, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("arguments_digest", sa.Text, nullable=False),
        sa.Column("policy_digest", sa.Text, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("sealed_arguments", sa.LargeBinary),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("round", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_call_approvals"),
    )
    op.create_index("ix_call_approvals_binding", "call_approvals", ["binding"])
    op.create_index("ix_call_approvals_expires_at", "call_approvals", ["expires_at"])
    op.create_table(
        "call_approval_votes",
        sa.Column("approval_id", sa.Text, nullable=False),
        sa.Column("approver", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("decided_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("approval_id", "approver", name="pk_call_approval_votes"),
        sa.ForeignKeyConstraint(
            ["approval_id"],
            ["call_approvals.id"],
            name="fk_call_approval_votes_approval_id",
        ),
    )
