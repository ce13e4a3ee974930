"""What a reviewer wants to know of each package and only its files tell.

Where it lies, whether it brings machine code, what would run unasked, its licence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bascule.lock import wheel_records
from bascule.lock.install_npm import read_manifest
from bascule.lock.model import LockError, Package

_MACHINE_CODE = (
    b"\x7fELF",
    b"MZ",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"!<arch>\n",
)
"""How programs and libraries begin: Linux, Windows, macOS, archives of them."""
_RUN_AT_START = ("sitecustomize.py", "usercustomize.py")
INSTALL_SCRIPTS = ("preinstall", "install", "postinstall")
"""What npm runs of a package that comes from a registry."""
_LICENCE_CHARACTERS = 200


def facts_of_wheels(folder: Path, packages: Sequence[Package]) -> tuple[Package, ...]:
    """Fill in what the files of installed wheels tell. Raises `LockError`."""
    return tuple(_facts_of_wheel(folder, package) for package in packages)


def _facts_of_wheel(folder: Path, package: Package) -> Package:
    info = wheel_records.distribution_of(folder, package)
    files = [line.path for line in wheel_records.read(info)]
    top = {path.partition("/")[0] for path in files}
    return replace(
        package,
        paths=tuple(sorted(top)),
        native=_any_machine_code(folder / path for path in files),
        auto_exec=tuple(sorted(path for path in files if _runs_unasked(path))),
        license=_licence_of(_metadata(info)),
    )


def _runs_unasked(path: str) -> bool:
    """Tell whether Python runs a file when it starts in this folder."""
    return "/" not in path and (path.endswith(".pth") or path in _RUN_AT_START)


def _metadata(info: Path) -> Message:
    try:
        with (info / "METADATA").open("rb") as file:
            return BytesParser(policy=compat32).parse(file, headersonly=True)
    except OSError as exc:
        raise LockError(f"`{info.name}` has no METADATA") from exc


def _licence_of(metadata: Message) -> str:
    """Give the licence as the core metadata have it: expression, else text, else class."""
    stated = metadata.get("License-Expression") or metadata.get("License") or ""
    first = str(stated).strip().partition("\n")[0].strip()
    if first and first.upper() != "UNKNOWN":
        return first[:_LICENCE_CHARACTERS]
    classes = metadata.get_all("Classifier") or []
    licences = [str(it).rpartition(" :: ")[2] for it in classes if "License ::" in str(it)]
    return "; ".join(sorted(licences))[:_LICENCE_CHARACTERS]


def facts_of_npm(folder: Path, packages: Sequence[Package]) -> tuple[Package, ...]:
    """Fill in what the files of installed packages of npm tell. Raises `LockError`."""
    return tuple(_facts_of_npm(folder, package) for package in packages)


def _facts_of_npm(folder: Path, package: Package) -> Package:
    if not package.paths:
        return package
    places = [folder / path for path in package.paths]
    manifest = read_manifest(places[0])
    return replace(
        package,
        native=any(_any_machine_code(_own_files(place)) for place in places),
        install_scripts=install_scripts(places[0], manifest),
        license=_npm_licence(manifest),
    )


def facts_of_folder(folder: Path, package: Package) -> Package:
    """Fill in what the files of a whole tree tell of the one package in it."""
    return replace(package, native=_any_machine_code(_all_files(folder)))


def _all_files(folder: Path) -> Iterator[Path]:
    for path, _, names in os.walk(folder):
        yield from (Path(path, name) for name in names)


def install_scripts(place: Path, manifest: dict[str, Any]) -> tuple[str, ...]:
    """Give the scripts that an installation by npm would run."""
    scripts = manifest.get("scripts")
    named = scripts if isinstance(scripts, dict) else {}
    found = [name for name in INSTALL_SCRIPTS if named.get(name)]
    if not {"install", "preinstall"} & set(found) and (place / "binding.gyp").exists():
        found.append("install")  # npm makes one up: `node-gyp rebuild`
    return tuple(sorted(found))


def _npm_licence(manifest: dict[str, Any]) -> str:
    stated = manifest.get("license") or manifest.get("licenses") or ""
    if isinstance(stated, dict):
        stated = stated.get("type", "")
    if isinstance(stated, list):
        types = [it.get("type", "") if isinstance(it, dict) else it for it in stated]
        stated = "; ".join(sorted(map(str, types)))
    return str(stated)[:_LICENCE_CHARACTERS]


def _own_files(place: Path) -> Iterator[Path]:
    """Give a package's files without those of packages inside it."""
    for path, folders, names in os.walk(place):
        folders[:] = [name for name in folders if name != "node_modules"]
        yield from (Path(path, name) for name in names)


def _any_machine_code(files: Iterable[Path]) -> bool:
    return any(is_machine_code(path) for path in files)


def is_machine_code(path: Path) -> bool:
    """Tell whether a file is a program or library by how it begins."""
    if not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as file:
        return file.read(8).startswith(_MACHINE_CODE)
