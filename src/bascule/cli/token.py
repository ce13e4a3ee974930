"""`bascule token`: access tokens from the command line."""

from __future__ import annotations

from functools import partial

import click

from bascule.authserver.details import recorded_details, requested_details
from bascule.authserver.errors import OAuthError
from bascule.cli.context import CommandContext
from bascule.cli.output import emit
from bascule.cli.revoke import user_key
from bascule.cli.user import as_json_option
from bascule.clock import UnixTime, new_id, system_clock, system_micros
from bascule.config.model import Config
from bascule.errors import BasculeError
from bascule.identity.access_token import AccessToken, issue
from bascule.identity.authorization_details import Details, document
from bascule.identity.resource import baseline_scope, resource_identifier
from bascule.storage import directory, key_files, tokens
from bascule.storage.directory import BUILT_IN_AGENT

DEFAULT_SECONDS = 600
MAX_SECONDS = 3600


@click.group()
def token() -> None:
    """Issue access tokens."""


@token.command(name="issue")
@click.option("--user", "user", help="User that the token stands for.")
@click.option("--agent", "agent", default=BUILT_IN_AGENT, show_default=True)
@click.option("--connector", required=True, help="Connector that the token is for.")
@click.option(
    "--scope", "scopes", multiple=True, help="Repeatable [default: mcp:CONNECTOR]."
)
@click.option(
    "--ttl",
    type=click.IntRange(1, MAX_SECONDS),
    default=DEFAULT_SECONDS,
    show_default=True,
    help="Seconds until it expires.",
)
@click.option(
    "--details",
    "text",
    help="JSON after RFC 9396: the calls that it is for, and nothing else.",
)
@as_json_option
@click.pass_obj
def issue_token(
    context: CommandContext,
    user: str | None,
    agent: str,
    connector: str,
    scopes: tuple[str, ...],
    ttl: int,
    text: str | None,
    as_json: bool,
) -> None:
    """Issue a token; what it may do is decided at each call, not here."""
    config = context.config()
    _check_target(config, connector, scopes)
    subject = None if user is None else user_key(user)
    _check_subject(context, subject, agent)
    wanted = frozenset(scopes) or frozenset({baseline_scope(connector)})
    resource = resource_identifier(config.server.public_url, connector)
    details = _details(config, connector, wanted, text)
    claims = register(
        context,
        user=subject,
        agent=agent,
        connector=connector,
        scopes=wanted,
        ttl=ttl,
        details=details,
    )
    signed = sign(context, config, claims, resource)
    emit(
        {
            "access_token": signed,
            "token_type": "Bearer",
            "expires_in": ttl,
            "scope": " ".join(sorted(wanted)),
            "jti": claims.jti,
            "resource": resource,
            **_shown(details, resource),
        },
        text=signed,
        as_json=as_json,
    )


def register(
    context: CommandContext,
    *,
    user: str | None,
    agent: str,
    connector: str,
    scopes: frozenset[str],
    ttl: int,
    details: Details | None = None,
) -> AccessToken:
    """Take the next issue number for a token of `ttl` seconds, once it is in the log."""
    scope = " ".join(sorted(scopes))
    now = system_clock()
    expires = UnixTime(now + ttl)
    jti = new_id(system_micros())
    context.record_admin(
        "token.issue",
        {"jti": jti, "scope": scope, "ttl": str(ttl), **recorded_details(details)},
        user=user,
        agent=agent,
        connector=connector,
    )
    number = context.store().run(
        partial(
            tokens.register,
            jti=jti,
            user=user,
            client_id=agent,
            connector=connector,
            scope=scope,
            issued_at=now,
            expires_at=expires,
        )
    )
    if number is None:
        raise BasculeError("the user or the agent was disabled a moment ago")
    return AccessToken(
        user=user,
        agent=agent,
        jti=jti,
        scopes=scopes,
        issued_at=now,
        expires_at=expires,
        issue_number=number,
        details=details,
    )


def sign(
    context: CommandContext, config: Config, claims: AccessToken, resource: str
) -> str:
    """Sign a token for a resource with the newest key."""
    keys = key_files.load_or_create(context.place().keys, now=system_clock())
    issuer = config.server.public_url
    return issue(claims, issuer=issuer, resource=resource, key=keys.active())


def _check_target(config: Config, connector: str, scopes: tuple[str, ...]) -> None:
    if connector not in config.connectors:
        known = ", ".join(sorted(config.connectors)) or "none yet"
        raise BasculeError(
            f"there is no connector `{connector}` (known: {known}); `bascule add` makes one"
        )
    for scope in scopes:
        if scope not in config.scopes and scope != baseline_scope(connector):
            raise BasculeError(
                f"there is no scope `{scope}`: use `{baseline_scope(connector)}` or one of "
                "`[scopes]`"
            )


def _details(
    config: Config, connector: str, scopes: frozenset[str], text: str | None
) -> Details | None:
    try:
        return requested_details(config, connector, scopes, text)
    except OAuthError as exc:
        raise BasculeError(exc.description) from exc


def _shown(details: Details | None, resource: str) -> dict[str, object]:
    if details is None:
        return {}
    return {"authorization_details": document(details, resource)}


def _check_subject(context: CommandContext, user: str | None, agent: str) -> None:
    found = context.store().read(directory.load)
    if user is not None and user not in found.groups:
        raise BasculeError(
            f"there is no enabled user `{user}`: `bascule user add` makes one, "
            "`bascule user enable` lets one in again"
        )
    if agent not in found.verified_agents:
        raise BasculeError(
            f"there is no enabled agent `{agent}`: `bascule agent add` registers one, "
            "`bascule agent enable` lets one in again"
        )
