"""`bascule user`: local accounts."""

from __future__ import annotations

from functools import partial

import click

from bascule.app.setup_links import (
    FIRST_ADMIN_SETUP_SECONDS,
    SETUP_SECONDS,
    new_setup_link,
)
from bascule.cli import foreigners
from bascule.cli.context import CommandContext
from bascule.cli.output import emit, emit_rows
from bascule.clock import UnixTime, system_clock
from bascule.errors import BasculeError
from bascule.storage import foreigners as foreign
from bascule.storage import users, vault
from bascule.storage.store import Transaction

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def user_name(text: str) -> str:
    """Read `alice` or `user:alice`. Raises `click.BadParameter`."""
    return _local_name(text, "user")


def group_name(text: str) -> str:
    """Read `support` or `group:support`. Raises `click.BadParameter`."""
    return _local_name(text, "group")


def _local_name(text: str, kind: str) -> str:
    name = text.removeprefix(f"{kind}:")
    if not users.is_name(name):
        raise click.BadParameter(
            f"`{text}` is no {kind} name: it begins with a letter or digit, has letters, "
            "digits and . _ @ - only, and 63 characters at most"
        )
    return name


@click.group()
def user() -> None:
    """Add, list, disable and enable local users."""


@user.command()
@click.argument("name")
@click.option("--group", "groups", multiple=True, help="Group the user is in; repeatable.")
@click.option("--admin", is_flag=True, help="May administer this server.")
@as_json_option
@click.pass_obj
def add(
    context: CommandContext, name: str, groups: tuple[str, ...], admin: bool, as_json: bool
) -> None:
    """Add a user and print the link by which it sets up its login."""
    link, seconds = add_user(context, name, groups=groups, admin=admin)
    found = f"user:{user_name(name)}"
    emit(
        {"user": found, "setup_link": link},
        text=f"added {found}\nset up the login within {_duration(seconds)}: {link}",
        as_json=as_json,
    )


def _duration(seconds: int) -> str:
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} hours" if hours else f"{minutes} minutes"


def add_user(
    context: CommandContext, name: str, *, groups: tuple[str, ...], admin: bool
) -> tuple[str, int]:
    """Add a user; gives its set-up link and how many seconds that is good for."""
    name = user_name(name)
    plain = tuple(group_name(group) for group in groups)
    store = context.store()
    first = admin and not store.read(users.admin_exists)
    link, digest = new_setup_link(context.config().server.public_url)
    if store.read(partial(users.get, name=name)) is not None:
        raise BasculeError(
            f"user `{name}` exists: `bascule user reset {name}` makes a new link"
        )
    context.record_admin(
        "user.add",
        {"groups": " ".join(plain), "admin": str(admin).lower()},
        user=f"user:{name}",
    )
    now = system_clock()
    seconds = FIRST_ADMIN_SETUP_SECONDS if first else SETUP_SECONDS
    added = context.change(
        lambda conn: users.add(
            conn,
            name=name,
            groups=plain,
            is_admin=admin,
            setup_hash=digest,
            setup_expires_at=UnixTime(now + seconds),
            now=now,
        )
    )
    if not added:
        raise BasculeError(f"user `{name}` exists")
    return link, seconds


@user.command(name="list")
@as_json_option
@click.pass_obj
def list_users(context: CommandContext, as_json: bool) -> None:
    """List all users, and those of foreign issuers that are disabled."""
    found_users = context.store().read(users.every)
    rows: list[dict[str, object]] = [
        {
            "user": f"user:{found.name}",
            "groups": [f"group:{group}" for group in found.groups],
            "admin": found.is_admin,
            "disabled": found.disabled,
        }
        for found in found_users
    ]
    names = {f"user:{found.name}" for found in found_users}
    rows += [
        {"user": key, "groups": [], "admin": False, "disabled": True}
        for key in foreigners.listed(context, "user")
        if key not in names
    ]
    emit_rows(rows, columns=("user", "groups", "admin", "disabled"), as_json=as_json)


@user.command()
@click.argument("name")
@as_json_option
@click.pass_obj
def reset(context: CommandContext, name: str, as_json: bool) -> None:
    """Make a new set-up link; the old one ends, and password, passkeys and sessions."""
    if foreigners.foreign_user(name) is not None:
        raise BasculeError(
            f"`{name}` signs in by an identity provider and has no login here to set up: "
            "`bascule revoke --user` ends all that it has, and `bascule user disable` "
            "keeps it out"
        )
    name = _existing(context, name)
    link = reset_user(context, name)
    emit({"user": f"user:{name}", "setup_link": link}, text=link, as_json=as_json)


def reset_user(context: CommandContext, name: str) -> str:
    """Make a new set-up link for an existing user."""
    link, digest = new_setup_link(context.config().server.public_url)
    context.record_admin("user.reset", {}, user=f"user:{name}")
    expires = UnixTime(system_clock() + SETUP_SECONDS)
    context.change(
        partial(users.reset, name=name, setup_hash=digest, setup_expires_at=expires)
    )
    return link


@user.command()
@click.argument("name")
@as_json_option
@click.pass_obj
def disable(context: CommandContext, name: str, as_json: bool) -> None:
    """Refuse a user from now on, and revoke all that was issued for it.

    NAME, or user:ISSUER|SUB for one of a foreign issuer.
    """
    who = foreigners.foreign_user(name)
    if who is not None:
        foreigners.disable(context, who, as_json=as_json)
        return
    name = _existing(context, name)
    context.record_admin("user.disable", {}, user=f"user:{name}")
    context.change(partial(users.disable, name=name, now=system_clock()))
    emit(
        {"user": f"user:{name}", "disabled": True},
        text=f"disabled user:{name}",
        as_json=as_json,
    )


@user.command()
@click.argument("name")
@as_json_option
@click.pass_obj
def enable(context: CommandContext, name: str, as_json: bool) -> None:
    """Let a disabled user in again; tokens of before stay revoked."""
    who = foreigners.foreign_user(name)
    if who is not None:
        foreigners.enable(context, who, as_json=as_json)
        return
    name = _existing(context, name)
    context.record_admin("user.enable", {}, user=f"user:{name}")
    context.change(partial(users.enable, name=name))
    emit(
        {"user": f"user:{name}", "disabled": False},
        text=f"enabled user:{name}",
        as_json=as_json,
    )


@user.command()
@click.argument("name")
@as_json_option
@click.pass_obj
def forget(context: CommandContext, name: str, as_json: bool) -> None:
    """Disable a user and destroy the key of all secrets that are kept for it.

    Tokens of its accounts at servers can be read by nobody any more, in backups of the
    database neither. NAME, or user:ISSUER|SUB for one of an issuer.
    """
    who = foreigners.foreign_user(name)
    key = f"user:{_existing(context, name)}" if who is None else who.key
    context.record_admin("user.forget", {}, user=key)
    now = system_clock()

    def work(conn: Transaction) -> None:
        if who is None:
            users.disable(conn, name=key.removeprefix("user:"), now=now)
        else:
            foreign.disable(conn, who=who, now=now)
        vault.remove_owner(conn, key)

    context.change(work)
    emit({"user": key, "forgotten": True}, text=f"forgot {key}", as_json=as_json)


def _existing(context: CommandContext, text: str) -> str:
    name = user_name(text)
    if context.store().read(partial(users.get, name=name)) is None:
        raise BasculeError(f"there is no user `{name}`: `bascule user list` shows all")
    return name
