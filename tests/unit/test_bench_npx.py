"""What `npx` has cached is found without asking anybody."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bascule.bench.npx import PACKAGE, NotCachedError, find_cached


def environment(folder: Path) -> dict[str, str]:
    """Give an environment with programs that name `folder` as npm's cache."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("npm", "npx", "node"):
        (programs / name).write_text(f'#!/bin/sh\necho "{folder}"\n')
        (programs / name).chmod(0o755)
    return {"PATH": f"{programs}{os.pathsep}/bin"}


def cache(folder: Path, *packages: str, bins: object) -> Path:
    kept = folder / "_npx" / "0123"
    package = kept / "node_modules" / PACKAGE
    package.mkdir(parents=True)
    (kept / "package.json").write_text(json.dumps({"_npx": {"packages": packages}}))
    (package / "package.json").write_text(json.dumps({"bin": bins}))
    return package


def test_the_program_of_the_cached_package_is_found(tmp_path: Path) -> None:
    package = cache(tmp_path, PACKAGE, bins={"server": "dist/index.js"})
    found = find_cached(environment(tmp_path))
    assert found.program == package / "dist/index.js"
    assert Path(found.npx).parent == tmp_path / "bin"


@pytest.mark.parametrize(
    ("packages", "bins"),
    [
        ((PACKAGE, "other"), {"server": "index.js"}),
        ((PACKAGE,), {"one": "1.js", "two": "2.js"}),
        ((PACKAGE,), "index.js"),
    ],
)
def test_what_npx_would_not_start_from_there_is_none(
    tmp_path: Path, packages: tuple[str, ...], bins: object
) -> None:
    cache(tmp_path, *packages, bins=bins)
    with pytest.raises(NotCachedError, match="npx -y"):
        find_cached(environment(tmp_path))


def test_without_npx_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotCachedError, match="PATH"):
        find_cached({"PATH": str(tmp_path)})
