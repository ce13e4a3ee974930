"""The age that a version must have before it is locked.

Most malicious versions are found and taken down within days of their publication.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from bascule.clock import UnixTime
from bascule.lock.model import LockError, Package
from bascule.lock.purl import name_of, told

DAY_SECONDS = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Fixes:
    """What advisories say about versions, by purl."""

    is_affected: Callable[[str], bool]
    """An advisory is about this version, or may be."""
    is_fix: Callable[[str], bool]
    """An advisory names this version as the one that fixes it, and none is about it."""


@dataclass(frozen=True, slots=True)
class Cooldown:
    """Seconds since publication."""

    root_seconds: int = 7 * DAY_SECONDS
    """Of the package that was asked for."""
    transitive_seconds: int = 14 * DAY_SECONDS
    """Of all that it needs."""

    def cut(self, now: UnixTime, *, is_root: bool) -> UnixTime:
        """Give the latest time of publication that is old enough."""
        seconds = self.root_seconds if is_root else self.transitive_seconds
        return UnixTime(now - seconds)

    @property
    def is_any(self) -> bool:
        """Whether there is a version that it keeps out."""
        return self.root_seconds > 0 or self.transitive_seconds > 0


NO_COOLDOWN = Cooldown(0, 0)


def rfc3339(time: UnixTime) -> str:
    """Write a time as RFC 3339, in UTC."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def unix_time(text: str) -> UnixTime | None:
    """Read a registry's time of publication; None for what is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return UnixTime(int(moment.timestamp()))


@dataclass(frozen=True, slots=True)
class Rule:
    """A cooldown at one time, with the versions that it does not hold up."""

    cooldown: Cooldown
    now: UnixTime
    fixes: Fixes | None = None

    def affected(self, packages: Iterable[Package]) -> frozenset[str]:
        """Give the names of those that an advisory is about."""
        if self.fixes is None:
            return frozenset()
        is_affected = self.fixes.is_affected
        return frozenset(name_of(it.purl) for it in packages if is_affected(it.purl))

    def exempt(
        self, newest: Iterable[Package], root: str, *, affected: Collection[str]
    ) -> frozenset[str]:
        """Give the purls of `newest` that may be young.

        They fix an advisory: one that names them, or one about the older version that would
        be taken else, whose name is in `affected`.
        """
        return frozenset(
            package.purl
            for package in newest
            if self._is_young(package, root) and self._is_fix(package, affected)
        )

    def too_young(
        self, packages: Iterable[Package], root: str, *, exempt: Collection[str] = ()
    ) -> list[Package]:
        """Give those that were published too recently.

        `root` is the purl of the package that was asked for. Those whose time of
        publication is not known are not among them.
        """
        young = (package for package in packages if self._is_young(package, root))
        return [package for package in young if package.purl not in exempt]

    def refuse(
        self, packages: Iterable[Package], root: str, *, exempt: Collection[str] = ()
    ) -> None:
        """Raise `LockError` that names those that are too young, and the way out."""
        young = self.too_young(packages, root, exempt=exempt)
        names = [_age(package, self.now) for package in young]
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise LockError(
                f"{', '.join(names[:3])}{more}: too young to be locked; wait, ask for an "
                "older version, or shorten the time with `--cooldown`"
            )

    def _is_young(self, package: Package, root: str) -> bool:
        published = unix_time(package.published_at)
        cut = self.cooldown.cut(self.now, is_root=package.purl == root)
        return published is not None and published > cut

    def _is_fix(self, package: Package, affected: Collection[str]) -> bool:
        if self.fixes is None or self.fixes.is_affected(package.purl):
            return False
        return name_of(package.purl) in affected or self.fixes.is_fix(package.purl)


def is_undated(package: Package) -> bool:
    """Tell whether the registry does not say when a package was published."""
    return unix_time(package.published_at) is None


def _age(package: Package, now: UnixTime) -> str:
    published = unix_time(package.published_at) or now
    days = max(0, (now - published) // DAY_SECONDS)
    return f"`{told(package.purl)}` was published {days} days ago"
