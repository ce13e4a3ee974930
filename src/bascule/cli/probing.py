"""What commands need that ask the running gateway as a client would."""

from __future__ import annotations

from bascule.app.files import AlreadyRunningError
from bascule.app.state import exclusive
from bascule.cli.context import CommandContext
from bascule.cli.token import register, sign
from bascule.config.model import Config
from bascule.errors import BasculeError
from bascule.storage.directory import BUILT_IN_AGENT

TOKEN_SECONDS = 60
ELSEWHERE = "somewhere-else"
"""A connector that there need not be: a token for it is for another resource."""


def require_running(context: CommandContext) -> None:
    """Raise `BasculeError` unless `up` serves the data directory."""
    data_dir = context.data_dir()
    try:
        with exclusive(data_dir):
            pass
    except AlreadyRunningError:
        return
    raise BasculeError(f"`bascule up` does not serve `{data_dir}`: start it first")


def powerless_token(
    context: CommandContext, config: Config, connector: str, resource: str
) -> str:
    """Issue a token of the built-in agent by itself, without a scope; it is recorded."""
    claims = register(
        context,
        user=None,
        agent=BUILT_IN_AGENT,
        connector=connector,
        scopes=frozenset(),
        ttl=TOKEN_SECONDS,
    )
    return sign(context, config, claims, resource)
