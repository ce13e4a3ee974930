"""Run by Alembic: migrations within the transaction that the caller began."""

from __future__ import annotations

from alembic import context

from bascule.storage import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
