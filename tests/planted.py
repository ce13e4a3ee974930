"""Servers written into clients' files, as each client would write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bascule.scan.clients import Location

SERVER = {"command": "npx", "args": ["-y", "@acme/tool@1.2.3"]}


def plant(
    root: Path, location: Location, name: str, server: Mapping[str, Any] = SERVER
) -> Path:
    """Write one server where a location says, below a home or a project; gives the file."""
    relative = location.path.removeprefix("~/").replace("**", "a/b").replace("*", "one")
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(WRITERS[location.format](location, name, server))
    return path


def _json(location: Location, name: str, server: Mapping[str, Any]) -> str:
    if location.reads == "projects":
        return json.dumps({"projects": {"/srv/one": {"mcpServers": {name: server}}}})
    if location.reads == "extension":
        return json.dumps({"name": name, "server": {"mcp_config": server}})
    if location.reads == "single":
        return json.dumps({"name": name, **server})
    if location.key == "amp.mcpServers":
        return json.dumps({location.key: {name: server}})
    value: Any = {name: server}
    for key in reversed(location.key.split(".")):
        value = {key: value}
    return json.dumps(value, indent=2)


def _toml(location: Location, name: str, server: Mapping[str, Any]) -> str:
    lines = [f"[{location.key}.{name}]"]
    return "\n".join(
        lines + [f"{key} = {json.dumps(each)}" for key, each in server.items()]
    )


def _yaml(location: Location, name: str, server: Mapping[str, Any]) -> str:
    if location.reads == "compose":
        return f"services:\n  {name}:\n    image: mcp/{name}:1\n"
    if location.reads == "registry":
        return f"registry:\n  {name}:\n    ref: ''\n"
    if location.key == "extensions":
        words = json.dumps(server["args"])
        return f"extensions:\n  {name}:\n    cmd: {server['command']}\n    args: {words}\n"
    return "mcpServers:\n  - " + json.dumps({"name": name, **server})


WRITERS: Mapping[str, Callable[[Location, str, Mapping[str, Any]], str]] = {
    "json": _json,
    "jsonc": lambda *told: f"// for people\n{_json(*told)}",
    "toml": _toml,
    "yaml": _yaml,
}
