"""Authorization details that a client asks for (RFC 9396): a part of what scopes cover."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bascule.authserver.errors import InvalidAuthorizationDetailsError
from bascule.authserver.words import scope_in_words
from bascule.config.model import Config
from bascule.decision.entries import Entry, EntryError, parse_entry
from bascule.identity.authorization_details import (
    Details,
    InvalidDetailsError,
    ToolCalls,
    parse,
    within,
)
from bascule.identity.resource import baseline_scope, resource_identifier
from bascule.lock.invisible import quoted, visible


def requested_details(
    config: Config, connector: str, scopes: Iterable[str], text: str | None
) -> Details | None:
    """Give the calls that a request is for; None when it does not say.

    Refused as a whole (§5) when one element cannot be read, is for another resource, or
    names a tool that none of the scopes covers. Raises `InvalidAuthorizationDetailsError`.
    """
    if text is None:
        return None
    details = _parsed(config, connector, text)
    if baseline_scope(connector) in scopes:
        return details
    covering = list(_entries(config, scopes))
    for calls in details:
        if not all(_covers(covering, connector, tool) for tool in calls.tools):
            raise InvalidAuthorizationDetailsError(
                "`authorization_details` names a tool that `scope` does not cover"
            )
    return details


def narrowed_details(
    config: Config, connector: str, granted: Details | None, text: str | None
) -> Details | None:
    """Give what a token of a grant is for: all that was granted, or a part of it (§6).

    Raises `InvalidAuthorizationDetailsError` when more is asked for.
    """
    if text is None:
        return granted
    asked = _parsed(config, connector, text)
    if granted is not None and not within(asked, granted):
        raise InvalidAuthorizationDetailsError(
            "`authorization_details` is more than the user has consented to"
        )
    return asked


def asked_in_words(
    config: Config, connector: str, scope: str, details: Details | None
) -> tuple[str, ...]:
    """Say what a client asks for, for the user who has to consent."""
    if details is None:
        return scope_in_words(config, connector, scope)
    return tuple(_in_words(connector, calls) for calls in details)


def recorded_details(details: Details | None) -> dict[str, str]:
    """Name the tools for a record; values of arguments stay out of the log."""
    if details is None:
        return {}
    return {"tools": " ".join(dict.fromkeys(tool for it in details for tool in it.tools))}


def _in_words(connector: str, calls: ToolCalls) -> str:
    """Say what calls they are; names stand in quotes, so that none reads as our words."""
    said = f"only calls of {' or '.join(map(quoted, calls.tools))} of {connector}"
    fixed = [f"{quoted(name)} = {visible(text)}" for name, text in calls.constraints]
    return f"{said} with {' and '.join(fixed)}" if fixed else said


def _parsed(config: Config, connector: str, text: str) -> Details:
    try:
        return parse(text, resource_identifier(config.server.public_url, connector))
    except InvalidDetailsError as exc:
        raise InvalidAuthorizationDetailsError(str(exc)) from exc


def _entries(config: Config, scopes: Iterable[str]) -> Iterator[Entry]:
    """Give the entries of scopes, toolsets opened."""
    for scope in scopes:
        for text in config.scopes.get(scope, ()):
            for written in config.toolsets.get(text, (text,)):
                try:
                    entry = parse_entry(written, where=scope)
                except EntryError:
                    continue
                if isinstance(entry, Entry):
                    yield entry


def _covers(entries: Iterable[Entry], connector: str, tool: str) -> bool:
    """Whether a scope reaches a tool; a pattern is compared as if it were a name.

    That refuses no pattern whose every tool is covered by a pattern of the scope that is as
    wide; of others the rest is refused at the call.
    """
    return any(entry.matches(connector, "tool", tool) for entry in entries)
