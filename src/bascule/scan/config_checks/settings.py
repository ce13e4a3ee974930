"""What a client's settings let through for all servers, and who may write its files."""

from __future__ import annotations

from collections.abc import Iterator

from bascule.scan.clients import Location
from bascule.scan.config_files import Document
from bascule.scan.config_shapes import at
from bascule.scan.entry_words import clean
from bascule.scan.finding import Finding, found
from bascule.scan.plain_secrets import secret_in
from bascule.scan.redaction import redacted
from bascule.scan.rules.configs import (
    AUTO_APPROVE,
    CONFIG_WRITABLE,
    PLAIN_SECRET,
    PROJECT_AUTO_ENABLE,
    SERVERS_IMPORTED,
)

_UNASKED = ("chat.tools.autoApprove", "chat.tools.global.autoApprove", "yolo")
_DISCOVERY = "chat.mcp.discovery.enabled"
_DEEPEST = 6


def of_document(document: Document, location: Location) -> Iterator[Finding]:
    """Find what concerns a file as a whole."""
    path, value = clean(document.path), document.value
    if document.others_write:
        yield found(CONFIG_WRITABLE, path, f"{location.client} reads it", path=path)
    if not isinstance(value, dict):
        return
    if location.reads == "settings":
        yield from _of_claude(value, location, path)
    if location.reads == "values":
        yield from _of_values(value, path, "", 0)
    yield from _of_values(value.get("env"), path, "env", 1)
    yield from _of_inputs(value.get("inputs"), path)
    for key in _UNASKED:
        setting = at(value, key)
        if setting is not None and setting[0] is True:
            evidence = f"`{setting[1]}`: all tools of all servers"
            yield found(AUTO_APPROVE, path, evidence, key=key, severity="high", path=path)
    discovery = at(value, _DISCOVERY)
    if discovery is not None and _is_on(discovery[0]):
        yield found(SERVERS_IMPORTED, path, f"`{discovery[1]}` is on", path=path)


def _is_on(value: object) -> bool:
    return value is True or (isinstance(value, dict) and True in value.values())


def _of_claude(
    value: dict[str, object], location: Location, path: str
) -> Iterator[Finding]:
    if value.get("enableAllProjectMcpServers") is True:
        whose = "of this project" if location.scope == "project" else "of every project"
        evidence = f"`enableAllProjectMcpServers` is true, and lets in all servers {whose}"
        yield found(PROJECT_AUTO_ENABLE, path, evidence, path=path)
    permissions = value.get("permissions")
    allowed = permissions.get("allow") if isinstance(permissions, dict) else None
    for rule in allowed if isinstance(allowed, list) else ():
        if isinstance(rule, str) and _allows_whole_server(rule):
            shown = redacted(clean(rule))[:80]
            evidence = f"`permissions.allow` has `{shown}`: all tools of the server"
            yield found(AUTO_APPROVE, path, evidence, key=shown, path=path)


def _allows_whole_server(rule: str) -> bool:
    """Tell whether a rule names a server (`mcp__NAME`) and no tool of it."""
    parts = rule.split("__")
    return parts[0] == "mcp" and (len(parts) == 2 or parts[2:] == ["*"])


def _of_inputs(inputs: object, path: str) -> Iterator[Finding]:
    """Find what is offered as the answer where a client asks for a secret."""
    for place, each in enumerate(inputs if isinstance(inputs, list) else ()):
        offered = each.get("default") if isinstance(each, dict) else None
        if not isinstance(offered, str):
            continue
        name = "password" if each.get("password") is True else str(each.get("id"))
        kind = secret_in(name, offered)
        if kind is not None:
            where = f"inputs[{place}].default"
            yield found(PLAIN_SECRET, path, f"`{where}` holds {kind}", key=where, path=path)


def _of_values(value: object, path: str, where: str, depth: int) -> Iterator[Finding]:
    if not isinstance(value, dict) or depth > _DEEPEST:
        return
    for key, each in value.items():
        place = f"{where}.{redacted(clean(str(key)))[:80]}".lstrip(".")
        kind = secret_in(str(key), each) if isinstance(each, str) else None
        if kind is not None:
            yield found(PLAIN_SECRET, path, f"`{place}` holds {kind}", key=place, path=path)
        yield from _of_values(each, path, place, depth + 1)
