"""Where the servers are in a client's file, for each shape that there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bascule.scan.clients import Location
from bascule.scan.entry_words import clean, looks_like_server
from bascule.scan.redaction import redacted

OTHER_KEYS = (
    *("mcpServers", "servers", "mcp_servers", "context_servers", "mcp.servers"),
    *("amp.mcpServers", "augment.advanced.mcpServers", "mcp", "extensions"),
)
"""Where servers are in other clients' files: they learn from one another."""
_ANY_SHAPE = frozenset({"mcp.json", ".mcp.json", "mcp_config.json", "servers.json"})
"""Names of files that hold nothing but servers, so that they may stand at the top."""
_MOST = 500
"""Servers of one file."""


@dataclass(frozen=True, slots=True)
class Raw:
    """An entry that was found, not yet read."""

    name: str
    where: str
    value: Mapping[str, Any]
    project: str = ""


@dataclass(frozen=True, slots=True)
class Misshapen:
    """Something of another type than it should be."""

    where: str
    why: str


def entries_of(value: object, location: Location) -> Iterator[Raw | Misshapen]:
    """Give the servers that a file holds where the table says, and what cannot be one."""
    if value is None:
        return
    if not isinstance(value, dict):
        yield Misshapen("", f"it holds {_kind(value)} where there should be a map")
        return
    match location.reads:
        case "projects":
            yield from _of_projects(value.get(location.key))
        case "single":
            if looks_like_server(value):
                yield Raw(_name_of(value, location.client), "", value)
        case "extension":
            yield from _of_extension(value, location)
        case "servers":
            found = at(value, location.key)
            if found is not None:
                yield from _inside(*found)
        case _:
            pass  # no servers, or none by themselves


def entries_elsewhere(value: object, location: Location) -> Iterator[Raw | Misshapen]:
    """Give the servers of a file that has none where the table says: by their look."""
    if not isinstance(value, dict):
        return
    for key in OTHER_KEYS:
        other = at(value, key)
        if other is not None and _holds_servers(other[0]):
            yield from _inside(*other)
            return
    name = location.path.rpartition("/")[2]
    if name in _ANY_SHAPE and value and all(map(looks_like_server, value.values())):
        yield from named(value, "")


def at(value: object, key: str) -> tuple[object, str] | None:
    """Find what a dotted key leads to, whichever of its dots are part of a name.

    Gives the value and the key as it is spelt; the first that is not null.
    """
    if not key:
        return value, ""
    parts = key.split(".")
    for count in range(1, len(parts) + 1):
        name, rest = ".".join(parts[:count]), ".".join(parts[count:])
        if isinstance(value, dict) and value.get(name) is not None:
            found = at(value[name], rest)
            if found is not None:
                return found[0], f"{name}.{found[1]}".rstrip(".")
    return None


def named(value: object, where: str, project: str = "") -> Iterator[Raw | Misshapen]:
    """Give the servers of a map by name, or of a list of named ones."""
    if isinstance(value, dict):
        pairs = [(str(name), each) for name, each in value.items()]
    elif isinstance(value, list):
        pairs = [(_name_of(each, f"#{place}"), each) for place, each in enumerate(value, 1)]
    else:
        yield Misshapen(where, f"`{where}` is {_kind(value)} and no map of servers")
        return
    for name, each in pairs[:_MOST]:
        place = f"{where}.{clean(name)}".lstrip(".")
        if isinstance(each, dict):
            yield Raw(name, place, each, project)
        elif each is not None:
            yield Misshapen(place, f"`{redacted(place)}` is {_kind(each)} and no server")
    if len(pairs) > _MOST:
        yield Misshapen(
            where, f"`{where}` has more than {_MOST} servers: the rest was left out"
        )


def _inside(value: object, where: str) -> Iterator[Raw | Misshapen]:
    """Go one step further where the map of servers is in a map of its own."""
    for key in ("servers", "mcpServers"):
        inner = value.get(key) if isinstance(value, dict) else None
        if isinstance(inner, dict) and not looks_like_server(inner):
            yield from named(inner, f"{where}.{key}")
            return
    yield from named(value, where)


def _holds_servers(value: object) -> bool:
    if isinstance(value, dict):
        inner = value.get("servers", value.get("mcpServers"))
        return any(map(looks_like_server, value.values())) or (
            isinstance(inner, dict) and _holds_servers(inner)
        )
    return isinstance(value, list) and any(map(looks_like_server, value))


def _of_projects(value: object) -> Iterator[Raw | Misshapen]:
    if not isinstance(value, dict):
        return
    for folder, settings in value.items():
        inner = settings.get("mcpServers") if isinstance(settings, dict) else None
        if inner is not None:
            where = f"projects.{clean(str(folder))}.mcpServers"
            yield from named(inner, where, clean(str(folder)))


def _of_extension(value: dict[str, Any], location: Location) -> Iterator[Raw | Misshapen]:
    found = at(value, location.key)
    if found is not None and isinstance(found[0], dict):
        yield Raw(_name_of(value, location.client), found[1], found[0])


def _name_of(value: object, otherwise: str) -> str:
    name = value.get("name") if isinstance(value, dict) else None
    return name if isinstance(name, str) and name else otherwise


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "a yes or no"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "something else"
