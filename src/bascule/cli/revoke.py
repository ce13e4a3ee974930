"""`bascule revoke`: end what was issued, everywhere, within two seconds."""

from __future__ import annotations

from functools import partial

import click

from bascule.cli.context import CommandContext
from bascule.cli.foreigners import foreign_user
from bascule.cli.output import emit
from bascule.cli.user import as_json_option, user_name
from bascule.clock import system_clock
from bascule.identity.revocation import Kind
from bascule.storage import access_grants, revocations, tokens

MAX_CHARACTERS = 2000
"""Of a name or a reason: a record of the log has an end."""


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
    named: dict[Kind, str | None] = {
        "user": None if user is None else user_key(user),
        "agent": agent,
        "connector": connector,
        "jti": jti,
        "grant": grant,
        "all": "" if everything else None,
    }
    kind, key = _only_one(named)
    require_text(reason, "--reason")
    now = system_clock()
    store = context.store()
    live = store.read(partial(tokens.count_live, kind=kind, key=key, now=now))
    count = partial(access_grants.count_revocable, kind=kind, key=key, now=now)
    grants = store.read(count)
    context.record_admin(
        "revoke",
        {"kind": kind, "key": key, "reason": reason},
        user=key if kind == "user" else None,
        agent=key if kind == "agent" else None,
        connector=key if kind == "connector" else None,
    )
    epoch = context.change(
        partial(revocations.revoke, kind=kind, key=key, reason=reason, now=now)
    )
    emit(
        {"revoked": 1, "epoch": epoch},
        text=f"revoked {kind} {key}".rstrip()
        + f"; live tokens that end: {live}"
        + (f", grants: {grants}" if grants else ""),
        as_json=as_json,
    )


def _only_one(named: dict[Kind, str | None]) -> tuple[Kind, str]:
    chosen = [(kind, key) for kind, key in named.items() if key is not None]
    if len(chosen) != 1:
        raise click.UsageError(
            "name exactly one of --user, --agent, --connector, --jti, --grant and --all"
        )
    kind, key = chosen[0]
    if kind != "all":
        require_text(key, f"--{kind}")
    return kind, key


def require_text(text: str, option: str) -> None:
    """Refuse a text that is empty or too long for a record."""
    if not text.strip() or len(text) > MAX_CHARACTERS:
        raise click.UsageError(f"{option} is 1 to {MAX_CHARACTERS} characters of text")


def user_key(text: str) -> str:
    """Read `alice`, `user:alice`, or `user:ISSUER|SUB` for one of a foreign issuer."""
    foreign = foreign_user(text)
    return f"user:{user_name(text)}" if foreign is None else foreign.key
