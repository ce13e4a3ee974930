"""Copying a program of this machine into a tree: one file, or the folder of its project.

The file's nearest folder upwards that says it is a project (`package.json`,
`pyproject.toml`) is copied whole; without one, the file alone is. What is left out: version
control, caches, virtual environments (they are tied to their place), `.env` files (they
hold secrets), and the folder that holds the store. Links stay links, and files with several
names become files of their own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from bascule.lock.entry_point import (
    ISOLATED,
    NODE,
    RUN_FILE,
    TREE,
    in_tree,
    refuse_placeholders,
)
from bascule.lock.launcher import Asked
from bascule.lock.model import LockError
from bascule.lock.package_facts import is_machine_code

MAX_FILES = 100_000
_PROJECT = {"node": "package.json", "python": "pyproject.toml"}
_LEFT_OUT = {
    *(".git", ".hg", ".svn", ".venv", ".tox", ".nox", ".idea", ".vscode", ".DS_Store"),
    *("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".cache"),
}


def project_of(asked: Asked, base: Path) -> tuple[Path, Path]:
    """Give the folder or file that is copied, and the program's path in the tree.

    Relative paths start at `base`. Raises `LockError` when there is no such program.
    """
    path = base / Path(asked.source.spec).expanduser()
    if not path.exists():
        raise LockError(f"`{asked.source.spec}` does not exist")
    path = path.parent.resolve() / path.name
    if path.is_dir():
        return path, Path()
    if not path.is_file():
        raise LockError(f"`{asked.source.spec}` is neither a file nor a folder")
    marker = _PROJECT.get(asked.entry)
    if marker is not None:
        for folder in path.parents:
            if folder in {Path.home(), Path("/")}:
                break
            if (folder / marker).is_file():
                return folder, path.relative_to(folder)
    return path, Path(path.name)


def copy_project(source: Path, folder: Path) -> None:
    """Copy a file or what belongs to a project into an empty folder. Raises `LockError`."""
    try:
        if source.is_file():
            shutil.copy(source, folder / source.name)
            return
        folder = folder.resolve()
        for number, path in enumerate(_belonging(source, folder)):
            if number >= MAX_FILES:
                raise LockError(f"`{source}` has more than {MAX_FILES} files")
            target = folder / path.relative_to(source)
            if path.is_symlink():
                target.symlink_to(path.readlink())
            elif path.is_dir():
                target.mkdir()
            elif path.is_file():
                shutil.copy(path, target)
            else:
                raise LockError(f"`{path}` is neither file, folder nor link")
    except OSError as exc:
        raise LockError(f"cannot copy `{source}`: {exc}") from exc


def _belonging(source: Path, target: Path) -> Iterator[Path]:
    """Give what is copied, folders before what is in them.

    A folder in which the target lies is left out: it holds the store, and keys beside it.
    """
    for parent, folders, names in os.walk(source):
        here = Path(parent)
        kept = [
            name
            for name in folders
            if not _is_left_out(here / name) and not target.is_relative_to(here / name)
        ]
        folders[:] = [it for it in kept if not (here / it).is_symlink()]
        yield from (here / name for name in kept)
        yield from (here / name for name in names if not _is_left_out(here / name))


def _is_left_out(path: Path) -> bool:
    name = path.name
    if name in _LEFT_OUT or name == ".env" or name.startswith(".env."):
        return True
    return (path / "pyvenv.cfg").exists()


def path_argv(folder: Path, program: Path, asked: Asked) -> tuple[str, ...]:
    """Give what runs a program that was copied into `folder`. Raises `LockError`."""
    refuse_placeholders(asked.arguments)
    element = in_tree(program.as_posix()) if program.parts else TREE
    if asked.entry == "python":
        if not program.parts and not (folder / "__main__.py").is_file():
            raise LockError(f"`{asked.source.spec}` is a folder without `__main__.py`")
        return (*ISOLATED, "-c", RUN_FILE, TREE, element, *asked.arguments)
    if asked.entry == "node":
        return (NODE, element, *asked.arguments)
    if not program.parts:
        raise LockError(f"`{asked.source.spec}` is a folder: name the program in it")
    place = folder / program
    if not place.stat().st_mode & 0o111:
        raise LockError(f"`{asked.source.spec}` cannot be executed: run `chmod +x` on it")
    if not is_machine_code(place):
        raise LockError(
            f"`{asked.source.spec}` is a script, and what interprets it would not be "
            "locked: write `python` or `node` in front of it"
        )
    return (element, *asked.arguments)
