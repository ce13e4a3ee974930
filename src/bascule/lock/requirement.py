"""Packages as commands name them, in the spelling of their registry."""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bascule.lock.model import LockError, Source

_NPM_PART = r"[A-Za-z0-9~][A-Za-z0-9._~-]*"
_NPM = re.compile(rf"(?P<name>(?:@{_NPM_PART}/)?{_NPM_PART})(?:@(?P<range>.+))?")
_NPM_RANGE = re.compile(r"[0-9A-Za-z.^~<>=|*+ -]+")
_NPM_NAME_LENGTH = 214
_NOT_PUBLISHED = re.compile(r"^(git\+|hg\+|svn\+|bzr\+|git@|github:|gitlab:|\.|/|~)|://")


def python_source(text: str, *, at_version: bool = False) -> Source:
    """Read a requirement of PyPI (PEP 508), its name normalised (PEP 503).

    `at_version` also takes `PKG@VERSION`, as `uvx` does. Raises `LockError` for URLs,
    files, markers and what is no requirement.
    """
    if _NOT_PUBLISHED.search(text):
        raise LockError(
            "only published packages can be locked: an address of a repository or a file "
            "names no artefact that stays; publish a wheel, and name that"
        )
    name, at, version = text.partition("@")
    if at and at_version:
        text = name if version == "latest" else f"{name}=={_version(version)}"
    try:
        found = Requirement(text)
    except InvalidRequirement as exc:
        raise LockError("the package is not named as `PKG` or `PKG==VERSION`") from exc
    if found.url or found.marker:
        raise LockError("a package is named without URL and without marker")
    return Source("pypi", _with_extras(found), _specifiers(found.specifier))


def python_name(requirement: str) -> str:
    """Give the name of a normalised requirement, without extras and versions."""
    return re.split(r"[\[<>=!~]", requirement, maxsplit=1)[0]


def npm_source(text: str) -> Source:
    """Read a package of npm: `PKG` or `PKG@RANGE`. Raises `LockError` for anything else."""
    match = _NPM.fullmatch(text)
    if match is None or len(match["name"]) > _NPM_NAME_LENGTH:
        raise LockError(
            "the package is not named as `PKG` or `PKG@VERSION`: git addresses, files and "
            "URLs cannot be locked; publish a package, and name that"
        )
    wanted = (match["range"] or "").strip()
    if match["range"] is not None and not _NPM_RANGE.fullmatch(wanted):
        raise LockError("the version is no version, range or tag of npm")
    return Source("npm", match["name"], "" if wanted in ("latest", "*") else wanted)


def _version(text: str) -> str:
    try:
        return str(Version(text))
    except InvalidVersion as exc:
        raise LockError("what stands behind `@` is no version") from exc


def _with_extras(found: Requirement) -> str:
    name = canonicalize_name(found.name)
    extras = sorted({canonicalize_name(extra) for extra in found.extras})
    return f"{name}[{','.join(extras)}]" if extras else name


def _specifiers(found: SpecifierSet) -> str:
    return ",".join(sorted(str(each) for each in found))
