"""The packages that Bascule was released with: a file that comes in its wheel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from bascule.lock.model import LockError

NAME = "release.lock"
_HASHES = re.compile(r"\s--hash=\S+")


def release_lock() -> dict[str, str]:
    """Give the version of each package that belongs on this platform, by normalised name.

    Raises `LockError` where there is no such file, as in a checkout.
    """
    try:
        text = files("bascule").joinpath(NAME).read_text(encoding="utf-8")
    except OSError as exc:
        raise LockError("its release lock is not there: it was not installed") from exc
    return dict(read_versions(text))


def read_versions(text: str) -> Iterator[tuple[str, str]]:
    """Read pinned requirements, as pip and uv write them. Raises `LockError`."""
    lines = re.sub(r"\\\n", " ", text).splitlines()
    for line in lines:
        stated = _HASHES.sub("", line.split(" #")[0]).strip()
        if not stated or stated.startswith("#"):
            continue
        try:
            requirement = Requirement(stated)
            (pin,) = requirement.specifier
            if pin.operator != "==" or pin.version.endswith(".*"):
                raise ValueError("not one version")
        except (InvalidRequirement, ValueError) as exc:
            raise LockError(
                f"the release lock has a line without one version: {stated}"
            ) from exc
        if requirement.marker is None or requirement.marker.evaluate():
            yield canonicalize_name(requirement.name), pin.version
