"""`bascule decide`: what a call would be answered, or why one was refused."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
from msgspec import UNSET

from bascule.audit.record import AuthzPart, Record, decode
from bascule.cli.audit_records import find_record, log_files
from bascule.cli.context import CommandContext
from bascule.cli.explanation import Decided, decided, page
from bascule.cli.facts import as_served, read_facts
from bascule.cli.output import cell, emit
from bascule.decision.explain import explain
from bascule.errors import BasculeError

DENIED = 1
"""Exit code."""


@click.command()
@click.argument(
    "facts",
    required=False,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--code", help="Look up the refusal that a client was given this code for.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def decide(
    ctx: click.Context, facts: Path | None, code: str | None, *, as_json: bool
) -> None:
    """Decide the call that FACTS describes, and say why; exit 1 when it is denied."""
    context: CommandContext = ctx.obj
    if (facts is None) == (code is None):
        raise click.UsageError("give either FACTS or --code CODE")
    if code is not None:
        found, text = _looked_up(context, code)
    else:
        assert facts is not None  # noqa: S101 - the other of the two
        config = context.config()
        snapshot = context.snapshot(config)
        explained = explain(as_served(read_facts(facts), snapshot), snapshot, config)
        found, text = decided(explained.decision), page(explained)
    emit(msgspec.to_builtins(found), text=text, as_json=as_json)
    ctx.exit(DENIED if found.decision == "deny" else 0)


def _looked_up(context: CommandContext, code: str) -> tuple[Decided, str]:
    """Read the decision behind a code from the log. Raises `BasculeError`."""
    seq, leaf = find_record(log_files(context), code)
    record = decode(leaf)
    if record.code != code or not isinstance(record.authz, AuthzPart):
        raise BasculeError(f"`{code}` is no code of a refusal: see `bascule audit show`")
    authz = record.authz
    found = Decided(authz.decision, authz.reason, authz.policies, record=seq)
    return found, f"{found.line}\nrecord {seq}: {_who_and_what(record)}"


def _who_and_what(record: Record) -> str:
    """Say on one line who asked for what."""
    user = None if record.user is UNSET else record.user.sub
    agent = None if record.agent is UNSET else record.agent.client_id
    connector = None if record.connector is UNSET else record.connector
    method = name = None
    if record.mcp is not UNSET:
        method, name = record.mcp.method, record.mcp.name
    words = (user, agent, connector, method, None if name is UNSET else name)
    return "  ".join(map(cell, words))
