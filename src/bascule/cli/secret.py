"""`bascule secret`: what the configuration calls `vault:NAME`."""

from __future__ import annotations

import re
import sys
from functools import partial

import click

from bascule.app.secrets import MAX_BYTES, OPERATOR, secret_name
from bascule.cli.context import CommandContext
from bascule.cli.output import emit, emit_rows
from bascule.cli.user import as_json_option
from bascule.errors import BasculeError
from bascule.storage import vault as stored

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PREFIX = secret_name("")


@click.group()
def secret() -> None:
    """Keep secrets for the configuration, encrypted, under names."""


@secret.command("set")
@click.argument("name")
@as_json_option
@click.pass_obj
def set_(context: CommandContext, name: str, as_json: bool) -> None:
    """Keep what is on standard input; `vault:NAME` then refers to it.

    One line ending at its end is left out. On a terminal it is asked for, and not shown.
    What runs goes on with the value that it has until it is reloaded.
    """
    name = _named(name)
    value = _value()
    context.record_admin("secret.set", {"name": name})
    vault = context.place().vault(context.config().vault)
    put = partial(vault.put, owner=OPERATOR, name=secret_name(name), value=value)
    context.store().run(put)
    reference = f"vault:{name}"
    emit({"secret": reference}, text=f"kept as {reference}", as_json=as_json)


@secret.command("list")
@as_json_option
@click.pass_obj
def list_(context: CommandContext, as_json: bool) -> None:
    """List the names."""
    found = context.store().read(partial(stored.names, owner=OPERATOR))
    rows: list[dict[str, object]] = [
        {"secret": f"vault:{it.removeprefix(_PREFIX)}"}
        for it in found
        if it.startswith(_PREFIX)
    ]
    emit_rows(rows, columns=("secret",), as_json=as_json)


@secret.command()
@click.argument("name")
@as_json_option
@click.pass_obj
def remove(context: CommandContext, name: str, as_json: bool) -> None:
    """Forget a secret."""
    name = _named(name)
    known = context.store().read(partial(stored.names, owner=OPERATOR))
    if secret_name(name) not in known:
        raise BasculeError(f"there is no secret `vault:{name}`: `bascule secret list`")
    context.record_admin("secret.remove", {"name": name})
    gone = partial(stored.remove, owner=OPERATOR, name=secret_name(name))
    context.store().run(gone)
    emit({"secret": f"vault:{name}", "removed": True}, text="removed", as_json=as_json)


def _named(text: str) -> str:
    name = text.removeprefix("vault:")
    if _NAME.fullmatch(name) is None:
        raise click.BadParameter(
            f"`{text}` is no name of a secret: it begins with a letter or digit, has "
            "letters, digits and . _ - only, and 63 characters at most"
        )
    return name


def _value() -> bytes:
    if sys.stdin.isatty():
        text = click.prompt("Secret", hide_input=True, err=True)
        value = str(text).encode()
    else:
        value = sys.stdin.buffer.read(MAX_BYTES + 1)
        value = value.removesuffix(b"\n").removesuffix(b"\r")
    if not value or len(value) > MAX_BYTES:
        raise click.UsageError(f"a secret is 1 to {MAX_BYTES} bytes on standard input")
    try:
        value.decode()
    except UnicodeDecodeError as exc:
        raise click.UsageError("a secret is text in UTF-8") from exc
    return value
