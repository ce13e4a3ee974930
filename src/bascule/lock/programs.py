"""Finding the program of a package: console scripts of Python, `bin` of npm."""

from __future__ import annotations

import re
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from bascule.lock import wheel_records
from bascule.lock.entry_point import (
    CALL,
    ISOLATED,
    NODE,
    RUN_MODULE,
    TREE,
    in_tree,
    refuse_placeholders,
)
from bascule.lock.install_npm import read_manifest
from bascule.lock.launcher import Asked
from bascule.lock.model import LockError, Package
from bascule.lock.purl import name_of

_REFERENCE = re.compile(
    r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)\s*:\s*"
    r"(?P<path>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)\s*(\[.*\])?",
    re.ASCII,
)
"""Packaging user guide, "Entry points specification": `importable.module:object.attr`."""


def python_argv(folder: Path, root: Package, asked: Asked) -> tuple[str, ...]:
    """Give what runs a package of PyPI that lies in `folder`.

    Raises `LockError` when it has no such program, or one that is not in the tree.
    """
    refuse_placeholders(asked.arguments)
    if asked.is_module:
        _refuse_missing(folder, asked.entry)
        return (*ISOLATED, "-c", RUN_MODULE, TREE, asked.entry, *asked.arguments)
    scripts = console_scripts(wheel_records.distribution_of(folder, root))
    name = _chosen(scripts, asked.entry, name_of(root.purl))
    reference = _REFERENCE.fullmatch(scripts[name])
    if reference is None:
        raise LockError(
            f"program `{name}`: `{scripts[name]}` is no reference to a function"
        )
    module, path = reference["module"], reference["path"]
    _refuse_missing(folder, module)
    return (*ISOLATED, "-c", CALL, TREE, module, path, name, *asked.arguments)


def console_scripts(info: Path) -> dict[str, str]:
    """Give the programs of a distribution with what they call; none is fine."""
    parser = ConfigParser(delimiters=("=",), interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string((info / "entry_points.txt").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, ConfigParserError) as exc:
        raise LockError(f"`{info.name}`: its entry points cannot be read") from exc
    if not parser.has_section("console_scripts"):
        return {}
    return dict(parser.items("console_scripts"))


def _refuse_missing(folder: Path, module: str) -> None:
    """Raise `LockError` when a module is not in the tree itself."""
    place = folder.joinpath(*module.split("."))
    compiled = list(place.parent.glob(f"{place.name}.*.so"))
    if not (place.is_dir() or place.with_name(f"{place.name}.py").is_file() or compiled):
        raise LockError(f"module `{module}` is not in the packages that were installed")


def node_argv(folder: Path, root: Package, asked: Asked) -> tuple[str, ...]:
    """Give what runs a package of npm that lies in `folder`.

    Raises `LockError` when it has no such program, or one that is not in its own folder.
    """
    refuse_placeholders(asked.arguments)
    place = f"node_modules/{name_of(root.purl)}"
    manifest = read_manifest(folder / place)
    programs = _bin(manifest)
    name = _chosen(programs, asked.entry, name_of(root.purl).rpartition("/")[2])
    path = f"{place}/{programs[name].removeprefix('./')}"
    element = in_tree(path)
    found = (folder / path).resolve()
    if not found.is_file() or not found.is_relative_to((folder / place).resolve()):
        raise LockError(f"program `{name}`: `{path}` is no file of the package")
    return (NODE, element, *asked.arguments)


def _bin(manifest: dict[str, Any]) -> dict[str, str]:
    """Give the programs of a package of npm (package.json, `bin`)."""
    stated = manifest.get("bin")
    if isinstance(stated, str):
        return {str(manifest.get("name", "")).rpartition("/")[2]: stated}
    if not isinstance(stated, dict):
        return {}
    return {str(name): path for name, path in stated.items() if isinstance(path, str)}


def _chosen(programs: dict[str, str], asked: str, package: str) -> str:
    """Choose as the launchers do: by name, by the package's, or the only one."""
    if asked:
        if asked in programs:
            return asked
        raise LockError(f"`{package}` has no program `{asked}`: {_names(programs)}")
    for name in programs:
        if canonicalize_name(name) == canonicalize_name(package):
            return name
    if len(programs) == 1:
        return next(iter(programs))
    raise LockError(f"`{package}` does not say which program is meant: {_names(programs)}")


def _names(programs: dict[str, str]) -> str:
    found = ", ".join(f"`{name}`" for name in sorted(programs))
    return f"it has {found}" if found else "it has none"
