"""How the program of a bundle is started: its manifest's `mcp_config`, for this platform.

Of the variables that a manifest may use, `${__dirname}` is the tree. Values of a user's
configuration (`${user_config.…}`) are arguments that stand behind the bundle's path in the
connector's command, in their place at the end.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bascule.lock.bundle import BundleError
from bascule.lock.entry_point import (
    ISOLATED,
    NODE,
    RUN_FILE,
    TREE,
    in_tree,
    refuse_placeholders,
)
from bascule.lock.package_facts import is_machine_code
from bascule.lock.runtime import Kind

_HERE = "${__dirname}"
_SYSTEMS = {"Linux": "linux", "Darwin": "darwin", "Windows": "win32"}
_KINDS: Mapping[str, Kind] = {"node": "node", "python": "python", "binary": "none"}
_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "node": ("node",),
    "python": ("python", "python3"),
}


def runtime_of_bundle(manifest: Mapping[str, Any]) -> Kind:
    """Tell which interpreter a bundle needs.

    Raises `BundleError` for one that would fetch something when it starts.
    """
    kind = _object(manifest, "server").get("type")
    if kind == "uv":
        raise BundleError(
            "the bundle is of type `uv` and would fetch packages when it starts: lock the "
            "package itself, with `uvx`"
        )
    if not isinstance(kind, str) or kind not in _KINDS:
        raise BundleError(f"the bundle's server is of type `{kind}`, which is not known")
    return _KINDS[kind]


def bundle_argv(
    manifest: Mapping[str, Any], folder: Path, arguments: tuple[str, ...]
) -> tuple[str, ...]:
    """Give what runs a bundle that was unpacked into `folder`. Raises `BundleError`."""
    refuse_placeholders(arguments)
    _refuse_other_platforms(manifest)
    kind = runtime_of_bundle(manifest)
    config = _config(manifest)
    command, stated = config.get("command"), config.get("args", [])
    if not isinstance(command, str) or not isinstance(stated, list):
        raise BundleError("the bundle's `mcp_config` has no command and arguments")
    fixed = _fixed(stated, arguments)
    libraries = _libraries(config)
    if kind == "none":
        if libraries:
            raise BundleError("the bundle sets PYTHONPATH for a program of machine code")
        program = _path(command, "its command")
        _refuse_missing(folder, program)
        if not is_machine_code(folder / program.removeprefix(f"{TREE}/")):
            raise BundleError(f"`{program}` is a script: nobody says what interprets it")
        return (program, *fixed, *arguments)
    if command not in _COMMANDS[kind]:
        raise BundleError(f"the bundle's command `{command}` is not its type's interpreter")
    if not fixed or not fixed[0].startswith(f"{TREE}/"):
        raise BundleError("the bundle's first argument names no program in it")
    _refuse_missing(folder, fixed[0])
    if kind == "node":
        return (NODE, *fixed, *arguments)
    return (*ISOLATED, "-c", RUN_FILE, libraries or TREE, *fixed, *arguments)


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = holder.get(name, {})
    if not isinstance(found, dict):
        raise BundleError(f"the bundle's `{name}` is no object")
    return found


def _refuse_other_platforms(manifest: Mapping[str, Any]) -> None:
    platforms = _object(manifest, "compatibility").get("platforms")
    here = _SYSTEMS.get(platform.system(), "")
    if platforms is not None and (not isinstance(platforms, list) or here not in platforms):
        raise BundleError(f"the bundle is not made for `{here}`")


def _config(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    config = _object(_object(manifest, "server"), "mcp_config")
    overrides = _object(config, "platform_overrides")
    return {**config, **_object(overrides, _SYSTEMS.get(platform.system(), ""))}


def _fixed(stated: list[Any], arguments: tuple[str, ...]) -> list[str]:
    """Give the arguments that are the bundle's own; the user's stand at their end."""
    own = list(stated)
    while own and isinstance(own[-1], str) and own[-1].startswith("${user_config."):
        if not arguments:
            raise BundleError(
                f"the bundle wants a value for `{own[-1]}`: write it behind the bundle's "
                "path in `command`"
            )
        own.pop()
    return [_path(it, "an argument") if _HERE in str(it) else _plain(it) for it in own]


def _plain(argument: Any) -> str:
    if not isinstance(argument, str) or "${" in argument:
        raise BundleError(f"the bundle's argument `{argument}` cannot be filled in")
    refuse_placeholders((argument,))
    return argument


def _path(value: str, what: str) -> str:
    """Give the element for a path that begins with the bundle's folder."""
    path = value.replace("${/}", "/").removeprefix(f"{_HERE}/")
    if "${" in path or path == value:
        raise BundleError(f"the bundle has `{value}` as {what}, which is no path in it")
    return in_tree(path.removeprefix("./"))


def _libraries(config: Mapping[str, Any]) -> str:
    """Give the folder of modules that a bundle brings; empty without one."""
    value = _object(config, "env").get("PYTHONPATH", "")
    if not isinstance(value, str):
        raise BundleError("the bundle's PYTHONPATH is no text")
    return _path(value, "PYTHONPATH") if value else ""


def bundle_notes(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Say what a bundle wants in its environment, which only the configuration gives."""
    wanted = _object(_config(manifest), "env")
    names = sorted(str(name) for name in wanted if name != "PYTHONPATH")
    return tuple(
        f"the bundle asks for the variable `{name}` with the value `{wanted[name]}`: give "
        "it in the connector's `env` if it needs it"
        for name in names
    )


def _refuse_missing(folder: Path, element: str) -> None:
    if not (folder / element.removeprefix(f"{TREE}/")).is_file():
        raise BundleError(f"the bundle lacks its program `{element}`")
