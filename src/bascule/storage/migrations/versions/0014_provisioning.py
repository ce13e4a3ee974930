"""Users and groups that identity providers provision; logins that ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.drop_index("ix_federated_users_provider", "federated_users")
    op.create_index(
        "ix_federated_users_external_id", "federated_users", ["issuer", "external_id"]
    )
    _scim_users()
    _scim_groups()
    op.create_table(
        "scim_ended",
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("issuer", "external_id", name="pk_scim_ended"),
    )
    op.create_table(
        "ended_logins",
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("tries", sa.BigInteger, nullable=False),
        sa.Column("next_try_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("owner", "name", name="pk_ended_logins"),
    )
    op.create_index("ix_ended_logins_next_try_at", "ended_logins", ["next_try_at"])


def _scim_users() -> None:
    op.create_table(
        "scim_users",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("user_name_key", sa.Text, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_scim_users"),
        sa.UniqueConstraint("issuer", "external_id", name="uq_scim_users_issuer"),
        sa.UniqueConstraint("issuer", "user_name_key", name="uq_scim_users_user_name_key"),
    )


def _scim_groups() -> None:
    op.create_table(
        "scim_groups",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_scim_groups"),
        sa.UniqueConstraint("issuer", "display_name", name="uq_scim_groups_issuer"),
    )
    op.create_table(
        "scim_members",
        sa.Column("group_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("group_id", "user_id", name="pk_scim_members"),
        sa.ForeignKeyConstraint(
            ["group_id"], ["scim_groups.id"], name="fk_scim_members_group_id"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["scim_users.id"], name="fk_scim_members_user_id"
        ),
    )
    op.create_index("ix_scim_members_user_id", "scim_members", ["user_id"])
