"""From what a command asks for to the exact packages, all that they need included."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from bascule.clock import UnixTime
from bascule.lock.cooldown import Cooldown, Fixes, Rule, is_undated
from bascule.lock.invisible import visible
from bascule.lock.launcher import Asked
from bascule.lock.lock_file import NativeFormat
from bascule.lock.model import LockError, Package
from bascule.lock.names import Ecosystem, well_known
from bascule.lock.npm import PUBLIC_REGISTRY, Npm
from bascule.lock.npm_attested import with_npm_provenance
from bascule.lock.purl import name_of, told
from bascule.lock.pypi import PUBLIC_INDEX, Uv
from bascule.lock.pypi_attested import with_provenance
from bascule.lock.requirement import npm_source, python_name, python_source
from bascule.lock.resolver import NothingFoundError, Resolved

_REASON_CHARACTERS = 200

Progress = Callable[[str], None]
"""Hears what is being done, one sentence each."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The packages that a command runs, resolved at one time for one platform."""

    asked: Asked
    root: str = ""
    """purl of the package that was asked for; empty where nothing is published."""
    packages: tuple[Package, ...] = ()
    """Sorted by purl, the root among them."""
    native_lock: str | None = None
    """Text of the ecosystem's own lock, without hosts."""
    native_format: NativeFormat | None = None
    warnings: tuple[str, ...] = ()
    """What a reviewer has to know, one sentence each; sorted."""


def resolve(
    asked: Asked,
    *,
    folder: Path,
    now: UnixTime,
    cooldown: Cooldown,
    environment: Mapping[str, str],
    python: str = sys.executable,
    fixes: Fixes | None = None,
    own_names: Collection[str] = (),
    progress: Progress = lambda _: None,
) -> Resolution:
    """Resolve what a command asks for.

    `folder` is where relative paths of the command start. `environment` is the operator's:
    the resolvers find registries and credentials there. `python` is the interpreter that
    will run Python packages. `own_names` are the organisation's own packages, which must
    not come from a public registry; `*` in them matches any run of characters. Raises
    `LockError`.
    """
    rule = Rule(cooldown, now, fixes)
    match asked.source.kind:
        case "pypi":
            uv = Uv(environment, python, progress)
            with _hints(asked):
                found = uv.resolve(_requirements(asked), rule)
            found = _attested(found, progress)
            native_format: NativeFormat = "requirements"
        case "npm":
            npm = Npm(environment, progress)
            with _hints(asked):
                found = npm.resolve(_wanted(asked), rule)
            packages = with_npm_provenance(found.packages, npm.registry_of, PUBLIC_REGISTRY)
            found = replace(found, packages=packages)
            native_format = "package-lock"
            asked = _with_index(asked, npm.scope_index(asked.source.spec))
        case "path" | "mcpb":
            _refuse_missing(folder / Path(asked.source.spec).expanduser())
            return Resolution(asked, warnings=asked.notes)
        case "oci" | "http":
            return Resolution(asked, warnings=asked.notes)
    refuse_strangers(found, own_names)
    return Resolution(
        asked=asked,
        root=found.root,
        packages=found.packages,
        native_lock=found.native,
        native_format=native_format,
        warnings=tuple(
            sorted({*asked.notes, *_look_alikes(asked), *_remarks(found, rule)})
        ),
    )


@contextmanager
def _hints(asked: Asked) -> Iterator[None]:
    """Say what may have been meant when nothing is found."""
    try:
        yield
    except NothingFoundError as exc:
        raise NothingFoundError("; ".join((str(exc), *_look_alikes(asked)))) from exc


def _attested(found: Resolved, progress: Progress) -> Resolved:
    """Give packages of PyPI with what the index says of where they were built."""
    progress("asking the registry where they were built")
    is_public = found.index.rstrip("/") == PUBLIC_INDEX
    packages = with_provenance(found.packages, found.root, found.index, is_public=is_public)
    return replace(found, packages=packages)


def _requirements(asked: Asked) -> list[str]:
    return [f"{asked.source.spec}{asked.source.requested}", *asked.extra]


def _wanted(asked: Asked) -> list[tuple[str, str]]:
    sources = [asked.source, *map(npm_source, asked.extra)]
    return [(source.spec, source.requested or "latest") for source in sources]


def _with_index(asked: Asked, index: str) -> Asked:
    return replace(asked, source=msgspec.structs.replace(asked.source, index=index))


def _refuse_missing(path: Path) -> None:
    if not path.exists():
        raise LockError(f"`{path}` does not exist")


def refuse_strangers(found: Resolved, own_names: Collection[str]) -> None:
    """Raise `LockError` when a public registry gave what has an own package's name."""
    patterns = [_pattern(name) for name in own_names]
    for package in found.packages:
        name = name_of(package.purl)
        is_own = any(pattern.fullmatch(_plain(name)) for pattern in patterns)
        if is_own and package.purl in found.public:
            raise LockError(
                f"`{told(package.purl)}` has the name of a package of your own and comes "
                "from the public registry: configure the registry that has yours, and see "
                "who published this one"
            )


def _pattern(own_name: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(_plain(part)) for part in own_name.split("*")))


def _plain(name: str) -> str:
    """Give a name without what one of the registries overlooks (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _look_alikes(asked: Asked) -> list[str]:
    """Warn of names that somebody typed; what those need was named by their authors."""
    ecosystem: Ecosystem = "pypi" if asked.source.kind == "pypi" else "npm"
    if ecosystem == "pypi":
        extra = [python_source(each).spec for each in asked.extra]
        names = [python_name(each) for each in (asked.source.spec, *extra)]
    else:
        names = [asked.source.spec, *(npm_source(each).spec for each in asked.extra)]
    return [each for name in names for each in well_known().warnings(ecosystem, name)]


def _remarks(found: Resolved, rule: Rule) -> list[str]:
    """Say what a reviewer would not see in names and versions."""
    remarks = []
    for package in found.packages:
        name = told(package.purl)
        if package.yanked:
            remarks.append(f"`{name}` was yanked{_because(package.yanked)}")
        if package.deprecated:
            remarks.append(f"`{name}` is deprecated{_because(package.deprecated)}")
        if package.provenance.status == "invalid":
            remarks.append(f"`{name}` has an attestation that does not verify")
        if package.install_scripts:
            remarks.append(f"`{name}` has install scripts, and they are not run")
    undated = [package for package in found.packages if is_undated(package)]
    if undated and rule.cooldown.is_any:
        remarks.append(_age_not_assessed(undated))
    return remarks


def _because(reason: str) -> str:
    return "" if reason == "yes" else f": {visible(reason)[:_REASON_CHARACTERS]}"


def _age_not_assessed(undated: Sequence[Package]) -> str:
    names = ", ".join(f"`{told(package.purl)}`" for package in undated[:3])
    more = f" and {len(undated) - 3} more" if len(undated) > 3 else ""
    return f"not assessed: the registry does not say when {names}{more} was published"
