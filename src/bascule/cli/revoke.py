"""`bascule revoke`: end what was issued, everywhere, within two seconds."""

from __future__ import annotations

from functools import partial

import click

from bascule.cli.context import CommandContext
from bascule.cli.output import emit
from bascule.cli.user import as_json_option, user_name
from bascule.clock import system_clock
from bascule.identity.revocation import Kind
from bascule.storage import revocations


@click.command()
@click.option("--user", help="All that was issued for this user.")
@click.option("--agent", help="All that was issued to this agent.")
@click.option("--connector", help="All that was issued for this connector.")
@click.option("--jti", help="One token.")
@click.option("--grant", help="All that came from one grant or login.")
@click.option("--all", "everything", is_flag=True, help="Everything.")
@click.option("--reason", required=True, help="Why; goes into the log.")
@as_json_option
@click.pass_obj
def revoke(
    context: CommandContext,
    user: str | None,
    agent: str | None,
    connector: str | None,
    jti: str | None,
    grant: str | None,
    everything: bool,
    reason: str,
    as_json: bool,
) -> None:
    """End tokens, sessions and grants issued until now.

    A new login stays possible; `bascule user disable` ends that too.
    """
    chosen: list[tuple[Kind, str]] = []
    if user is not None:
        chosen.append(("user", f"user:{user_name(user)}"))
    options: list[tuple[Kind, str | None]] = [
        ("agent", agent),
        ("connector", connector),
        ("jti", jti),
        ("grant", grant),
    ]
    chosen += [(kind, key) for kind, key in options if key is not None]
    if everything:
        chosen.append(("all", ""))
    if len(chosen) != 1:
        raise click.UsageError(
            "name exactly one of --user, --agent, --connector, --jti, --grant and --all"
        )
    kind, key = chosen[0]
    context.record_admin(
        "revoke",
        {"kind": kind, "key": key, "reason": reason},
        user=key if kind == "user" else None,
        agent=key if kind == "agent" else None,
        connector=key if kind == "connector" else None,
    )
    epoch = context.change(
        partial(revocations.revoke, kind=kind, key=key, reason=reason, now=system_clock())
    )
    emit(
        {"revoked": 1, "epoch": epoch},
        text=f"revoked {kind} {key}".rstrip(),
        as_json=as_json,
    )
