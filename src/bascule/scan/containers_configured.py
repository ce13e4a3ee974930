"""Servers that Docker starts: of its MCP catalog, and of Compose files.

Both are written as the `docker run` that they amount to, so that one set of rules
judges all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bascule.scan.config_shapes import Raw

_IS_MCP = re.compile(r"(?:^|[^a-z])mcp(?:[^a-z]|$)")
_MOST = 500


def of_registry(registry: object, catalog: object) -> Iterator[Raw]:
    """Give the servers that are switched on, with what the catalog says of them."""
    for name in list(_map(_map(registry).get("registry")))[:_MOST]:
        known = _map(_map(_map(catalog).get("registry")).get(name))
        remote = _map(known.get("remote"))
        image = known.get("image")
        if isinstance(remote.get("url"), str):
            value: dict[str, Any] = {**remote, "type": remote.get("transport_type", "http")}
        elif isinstance(image, str):
            value = {"command": ["docker", "run", "-i", "--rm", image]}
        else:
            value = {"command": ["docker", "mcp", "gateway", "run", "--servers", str(name)]}
        yield Raw(str(name), f"registry.{name}", value)


def of_compose(compose: object) -> Iterator[Raw]:
    """Give the services whose name, image or command says that they speak MCP."""
    for name, service in list(_map(_map(compose).get("services")).items())[:_MOST]:
        if isinstance(service, dict) and _speaks_mcp(str(name), service):
            value = {"command": _docker_run(service), "env": service.get("environment")}
            yield Raw(str(name), f"services.{name}", value)


def _speaks_mcp(name: str, service: Mapping[str, Any]) -> bool:
    words = [name, str(service.get("image", "")), *_words(service.get("command"))]
    words += _words(service.get("entrypoint"))
    return any(_IS_MCP.search(word.lower()) for word in words)


def _docker_run(service: Mapping[str, Any]) -> list[str]:
    words = ["docker", "run"]
    if service.get("privileged") in (True, "true"):
        words.append("--privileged")
    for option, key in (("-v", "volumes"), ("-p", "ports"), ("--cap-add", "cap_add")):
        for each in _list(service.get(key)):
            words += [option, each]
    for option, key in (("--network", "network_mode"), ("--pid", "pid"), ("--ipc", "ipc")):
        if isinstance(service.get(key), str):
            words += [option, service[key]]
    image = service.get("image")
    words.append(image if isinstance(image, str) else "built-here")
    return words + _words(service.get("command"))


def _list(value: object) -> list[str]:
    """Give the entries of a list, in the short form where there is a long one."""
    if not isinstance(value, list):
        return []
    found = []
    for each in value:
        if isinstance(each, str | int):
            found.append(str(each))
        elif isinstance(each, dict):
            ends = (each.get("host_ip"), each.get("source", each.get("published")))
            found.append(":".join(str(it) for it in (*ends, each.get("target")) if it))
    return found


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return value.split()
    return [it for it in value if isinstance(it, str)] if isinstance(value, list) else []


def _map(value: object) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}
