"""Whether this installation of Bascule is what was released."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bascule
from bascule.app.verifying import NOTHING, Verified
from bascule.lock.declared import Drift
from bascule.lock.installed_files import Installed, digest
from bascule.lock.model import LockError
from bascule.lock.own_release import release_lock

OWN = "bascule"
_APPROVAL = "compared with the release lock"
_LISTS = (
    "who can write these files can write the lists that they were compared with: compare "
    "the digest with that of another installation, made from the same wheels"
)
_INTERPRETER = "the interpreter and its standard library"


def verify_self() -> tuple[Verified, str]:
    """Hold all installed files against their lists, and versions against the release.

    Gives what was found, and the digest over all lists; empty, and not ok, where there is
    nothing to compare with.
    """
    try:
        installed, version = _own()
        wanted = {OWN: version, **release_lock()}
        drift = [it for name in wanted for it in _drift(installed, name, wanted[name])]
        lines = [
            line
            for key in sorted(installed.infos)
            if key.partition("==")[0] in wanted
            for line in installed.lines(key)
        ]
    except LockError as exc:
        return Verified(OWN, False, "", not_assessed=[str(exc)]), ""
    found = Verified(OWN, True, _APPROVAL, drift, [*_not_assessed(installed, wanted)])
    return found, digest(lines)


def _own() -> tuple[Installed, str]:
    """Find the folder that this program runs from, and its version."""
    folder = Path(bascule.__file__).parent.parent
    installed = Installed(folder)
    versions = installed.versions(OWN)
    if not versions:
        raise LockError(
            f"it runs from {folder}, a checkout or an editable installation: nothing says "
            "there which files belong to it; install the wheel to have it verified"
        )
    return installed, versions[0]


def _drift(installed: Installed, name: str, wanted: str) -> Iterator[Drift]:
    found = installed.versions(name)
    if found != [wanted]:
        yield Drift(name, wanted, ", ".join(found) or NOTHING)
    for version in found:
        yield from installed.drift(f"{name}=={version}")


def _not_assessed(installed: Installed, wanted: dict[str, str]) -> Iterator[str]:
    yield _LISTS
    yield _INTERPRETER
    others = sorted({it.partition("==")[0] for it in installed.infos} - wanted.keys())
    if others:
        yield f"packages that the release does not name: {', '.join(others)}"
    unasked = installed.run_unasked()
    if unasked:
        yield f"what the interpreter runs at each start: {', '.join(unasked)}"
