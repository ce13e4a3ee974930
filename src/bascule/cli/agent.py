"""`bascule agent`: OAuth clients that the operator registers."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import click

from bascule.cli import foreigners
from bascule.cli.context import CommandContext
from bascule.cli.output import emit, emit_rows
from bascule.cli.user import as_json_option
from bascule.clock import system_clock, system_entropy
from bascule.errors import BasculeError
from bascule.identity.client_keys import public_jwks
from bascule.identity.keys import BadKeyError
from bascule.identity.redirect_uri import redirect_uri_problem
from bascule.storage import agents
from bascule.storage.directory import BUILT_IN_AGENT

SECRET_PREFIX = "bsc_ck_"  # noqa: S105 - how a secret begins, no secret
SECRET_BYTES = 32
MAX_CLIENT_ID_CHARACTERS = 255


@click.group()
def agent() -> None:
    """Add, list, disable and enable agents."""


@agent.command()
@click.argument("client_id")
@click.option("--secret", is_flag=True, help="Make a client secret and print it once.")
@click.option(
    "--jwks",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Public keys with which the agent authenticates (private_key_jwt).",
)
@click.option(
    "--workload",
    is_flag=True,
    help="It authenticates by tokens of its platform, as `[workloads]` says, or by a "
    "certificate, as `[agents.certificates]` does.",
)
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Repeatable.")
@as_json_option
@click.pass_obj
def add(
    context: CommandContext,
    client_id: str,
    secret: bool,
    jwks: Path | None,
    workload: bool,
    redirect_uris: tuple[str, ...],
    as_json: bool,
) -> None:
    """Register an agent by its client id."""
    _check_client_id(client_id)
    if secret + workload + (jwks is not None) > 1:
        raise click.UsageError("an agent has either --secret, --jwks or --workload")
    for uri in redirect_uris:
        _check_redirect(uri)
    keys = None if jwks is None else _public_keys(jwks)
    value = SECRET_PREFIX + system_entropy(SECRET_BYTES).hex() if secret else None
    if context.store().read(partial(agents.get, client_id=client_id)) is not None:
        raise BasculeError(f"agent `{client_id}` exists: `bascule agent list` shows all")
    without = "workload" if workload else "none"
    authenticates = "secret" if secret else "jwks" if keys is not None else without
    context.record_admin(
        "agent.add",
        {"authenticates": authenticates, "redirect_uris": " ".join(redirect_uris)},
        agent=client_id,
    )
    added = context.change(
        partial(
            agents.add,
            client_id=client_id,
            secret_hash=None if value is None else hashlib.sha256(value.encode()).digest(),
            jwks=keys,
            redirect_uris=redirect_uris,
            now=system_clock(),
            auth_method="workload" if workload else None,
        )
    )
    if not added:
        raise BasculeError(f"agent `{client_id}` exists")
    result: dict[str, object] = {"agent": client_id}
    text = f"added agent {client_id}"
    if value is not None:
        result["client_secret"] = value
        text += f"\nclient secret, shown only now: {value}"
    emit(result, text=text, as_json=as_json)


@agent.command(name="list")
@as_json_option
@click.pass_obj
def list_agents(context: CommandContext, as_json: bool) -> None:
    """List all registered agents, and those of foreign issuers that are disabled."""
    rows: list[dict[str, object]] = [
        {
            "agent": found.client_id,
            "origin": found.origin,
            "name": found.name,
            "authenticates": found.authenticates,
            "verified": found.verified,
            "redirect_uris": list(found.redirect_uris),
            "disabled": found.disabled,
        }
        for found in context.store().read(agents.every)
    ]
    rows += [
        {
            "agent": key,
            "origin": "issuer",
            "name": None,
            "authenticates": False,
            "verified": False,
            "redirect_uris": [],
            "disabled": True,
        }
        for key in foreigners.listed(context, "agent")
    ]
    columns = ("agent", "origin", "verified", "redirect_uris", "disabled")
    emit_rows(rows, columns=columns, as_json=as_json)


@agent.command()
@click.argument("client_id")
@as_json_option
@click.pass_obj
def disable(context: CommandContext, client_id: str, as_json: bool) -> None:
    """Refuse an agent from now on, and revoke all that was issued for it.

    CLIENT_ID, or ISSUER|CLIENT_ID for one of a foreign issuer.
    """
    who = foreigners.foreign_agent(client_id)
    if who is not None:
        foreigners.disable(context, who, as_json=as_json)
        return
    _require(context, client_id)
    context.record_admin("agent.disable", {}, agent=client_id)
    context.change(partial(agents.disable, client_id=client_id, now=system_clock()))
    result = {"agent": client_id, "disabled": True}
    emit(result, text=f"disabled agent {client_id}", as_json=as_json)


@agent.command()
@click.argument("client_id")
@as_json_option
@click.pass_obj
def enable(context: CommandContext, client_id: str, as_json: bool) -> None:
    """Let a disabled agent in again; tokens of before stay revoked."""
    who = foreigners.foreign_agent(client_id)
    if who is not None:
        foreigners.enable(context, who, as_json=as_json)
        return
    _require(context, client_id)
    context.record_admin("agent.enable", {}, agent=client_id)
    context.change(partial(agents.enable, client_id=client_id))
    result = {"agent": client_id, "disabled": False}
    emit(result, text=f"enabled agent {client_id}", as_json=as_json)


def _check_client_id(client_id: str) -> None:
    visible = all("!" <= char <= "~" for char in client_id)
    if not client_id or not visible or len(client_id) > MAX_CLIENT_ID_CHARACTERS:
        raise click.BadParameter("a client id is 1 to 255 visible ASCII characters")
    if client_id == BUILT_IN_AGENT:
        raise click.BadParameter(f"`{BUILT_IN_AGENT}` is built in")
    if "|" in client_id:
        raise click.BadParameter("`|` is kept for agents of foreign issuers")


def _check_redirect(uri: str) -> None:
    problem = redirect_uri_problem(uri)
    if problem is not None:
        raise click.BadParameter(f"`{uri}` {problem}")


def _public_keys(path: Path) -> str:
    try:
        return public_jwks(path.read_bytes())
    except (OSError, BadKeyError) as exc:
        raise BasculeError(f"cannot use `{path}`: {exc}") from exc


def _require(context: CommandContext, client_id: str) -> None:
    if context.store().read(partial(agents.get, client_id=client_id)) is None:
        raise BasculeError(
            f"there is no agent `{client_id}`: `bascule agent list` shows all"
        )
