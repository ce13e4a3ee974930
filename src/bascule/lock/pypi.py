"""Packages of PyPI, resolved by the `uv` that Bascule brings along.

Two questions to it: a lock for all platforms, with every hash that the registry lists, and
the one file of each package that fits this platform's interpreter. Nothing is ever built,
since a build runs the package's code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from bascule.clock import UnixTime
from bascule.lock.cooldown import Cooldown, Rule, is_undated, rfc3339
from bascule.lock.model import LockError, Package
from bascule.lock.purl import name_of, purl_of
from bascule.lock.requirement import python_name
from bascule.lock.resolver import (
    RESOLVE_SECONDS,
    NothingFoundError,
    Resolved,
    complaint,
    run,
    scratch,
)
from bascule.lock.uv_output import Chosen, Pin, read_pylock, read_requirements, yanked

PUBLIC_INDEX = "https://pypi.org/simple"

_ASKED, _LOCKED, _CHOSEN = "asked.txt", "locked.txt", "pylock.toml"
_ONE_PLATFORM = ("--no-universal", "--format", "pylock.toml")
_NEEDS_PYTHON = re.compile(r"does not satisfy Python(?P<versions>[<>=!~][^\s,]*)")
_MIXING = ("UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
_FLAGS = (
    *("--no-build", "--no-header", "--no-progress", "--no-python-downloads"),
    *("--index-strategy", "first-index", "--resolution", "highest", "--no-sources"),
    *("--prerelease", "if-necessary", "--color", "never"),
    # What settings of the operator could add or leave out:
    *("--no-emit-index-url", "--no-emit-find-links", "--no-emit-build-options"),
    *("--annotate", "--annotation-style", "split"),
)


@dataclass(frozen=True, slots=True)
class Uv:
    """`uv`, for packages that one interpreter will run."""

    environment: Mapping[str, str]
    python: str
    progress: Callable[[str], None]
    seconds: float = RESOLVE_SECONDS
    """For each question to uv."""

    def resolve(self, requirements: Sequence[str], rule: Rule) -> Resolved:
        """Resolve requirements, the root first, to packages that are old enough.

        Raises `LockError` when there is no such set, and when registries would be mixed.
        """
        for variable in _MIXING:
            if self.environment.get(variable):
                raise LockError(
                    f"`{variable}` mixes registries, so that a stranger can publish a "
                    "package under the name of one of yours: unset it, and use one "
                    "registry that has them all"
                )
        root = python_name(requirements[0])

        def attempt(exempt: Collection[str] | None) -> Resolved:
            cut = [] if exempt is None else _cut(root, exempt, rule.cooldown, rule.now)
            with scratch(self.environment) as folder:
                return self._resolve(folder, requirements, cut)

        return _old_enough(attempt, rule)

    def _resolve(
        self, folder: Path, requirements: Sequence[str], cut: list[str]
    ) -> Resolved:
        (folder / _ASKED).write_text("".join(f"{each}\n" for each in requirements))
        self.progress("asking the registry which packages are needed")
        universal = ["--universal", "--generate-hashes", "--emit-index-annotation"]
        messages = self._compile(folder, _LOCKED, [*universal, *cut])
        pins, native = read_requirements((folder / _LOCKED).read_text())
        _refuse_mixed(pins)
        self.progress(f"choosing the files of {len(pins)} packages for this platform")
        self._compile(folder, _CHOSEN, ["-c", _LOCKED, *_ONE_PLATFORM, *cut])
        chosen = read_pylock((folder / _CHOSEN).read_text())
        packages = _packages(chosen, pins, yanked(messages))
        wanted = python_name(requirements[0])
        (root,) = (it.purl for it in packages if name_of(it.purl) == wanted)
        from_public = {pin.name for pin in pins if pin.index.rstrip("/") == PUBLIC_INDEX}
        public = (it.purl for it in packages if name_of(it.purl) in from_public)
        return Resolved(root, packages, native, frozenset(public), pins[0].index)

    def _compile(self, folder: Path, output: str, options: Sequence[str]) -> str:
        """Run `uv pip compile` on what was asked; gives its messages."""
        command = [find_uv_bin(), "pip", "compile", _ASKED, "-o", output, *_FLAGS]
        said = run(
            [*command, "--python", self.python, *options],
            folder=folder,
            environment=self.environment,
            seconds=self.seconds,
        )
        if "No solution found" in said.messages:
            raise NothingFoundError(_refusal(said.messages))
        if not said.succeeded:
            raise LockError(f"`uv` failed: {complaint(said.messages)}")
        return said.messages


def _cut(
    root: str, exempt: Collection[str], cooldown: Cooldown, now: UnixTime
) -> list[str]:
    """Give the options that leave out what is too young; `exempt` are names."""
    latest = {
        root: rfc3339(cooldown.cut(now, is_root=True)),
        **dict.fromkeys(exempt, "false"),
    }
    options = ["--exclude-newer", rfc3339(cooldown.cut(now, is_root=False))]
    for name, time in sorted(latest.items()):
        options += ["--exclude-newer-package", f"{name}={time}"]
    return options


def _old_enough(
    attempt: Callable[[Collection[str] | None], Resolved], rule: Rule
) -> Resolved:
    """Resolve with the cooldown; look without it at what fails, and at what has advisories.

    `attempt` takes the names that are exempt, None for no cooldown at all.
    """
    if not rule.cooldown.is_any:
        return attempt(None)
    failed: NothingFoundError | None = None
    affected: frozenset[str] = frozenset()
    try:
        cooled = attempt(())
    except NothingFoundError as exc:
        failed = exc
    else:
        rule.refuse(cooled.packages, cooled.root)
        affected = rule.affected(cooled.packages)
        if not affected:
            return cooled
    newest = attempt(None)
    exempt = rule.exempt(newest.packages, newest.root, affected=affected)
    undated = [it.purl for it in newest.packages if failed and is_undated(it)]
    if exempt or undated:
        found = attempt([name_of(purl) for purl in (*exempt, *undated)])
        rule.refuse(found.packages, found.root, exempt=exempt)
        return found
    if failed is None:
        return cooled
    rule.refuse(newest.packages, newest.root)
    raise failed


def _refuse_mixed(pins: Sequence[Pin]) -> None:
    if len({pin.index for pin in pins}) > 1:
        raise LockError(
            "the packages come from several registries, so that a stranger can publish one "
            "under the name of one of yours: configure one registry that has them all"
        )


def _packages(
    chosen: Sequence[Chosen], pins: Sequence[Pin], bad: Mapping[tuple[str, str], str]
) -> tuple[Package, ...]:
    """Join the files of this platform with what the universal lock knows of them."""
    by_key = {(pin.name, pin.version): pin for pin in pins}
    purls = {each.name: purl_of("pypi", each.name, each.version) for each in chosen}
    found = []
    for each in chosen:
        pin = by_key.get((each.name, each.version))
        own = f"sha256:{each.artifact.sha256}"
        if pin is None or own not in pin.hashes:
            raise LockError(f"the registry gave two answers about `{each.name}`: try again")
        found.append(
            Package(
                purl=purls[each.name],
                artifact=each.artifact,
                others=tuple(sorted(set(pin.hashes) - {own})),
                published_at=each.published_at,
                parents=tuple(sorted(purls[name] for name in pin.via if name in purls)),
                yanked=bad.get((each.name, each.version), ""),
            )
        )
    return tuple(sorted(found, key=lambda package: package.purl))


def _refusal(messages: str) -> str:
    if "building from source is disabled" in messages:
        return (
            "a package is published as source only, and building it would run its code: "
            f"ask for a version that has a wheel ({complaint(messages)})"
        )
    if needed := _NEEDS_PYTHON.search(messages):
        return (
            f"a package needs Python {needed['versions']}, and the interpreter that would "
            "run it is another: install such a Python, or ask for an older version "
            f"({complaint(messages)})"
        )
    return f"`uv` found no packages: {complaint(messages)}"
