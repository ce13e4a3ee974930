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
        folder, version = _own()
        wanted = {OWN: version, **release_lock()}
        installed = Installed(folder, frozenset(wanted))
        drift = [it for name in wanted for it in _drift(installed, name, wanted[name])]
        drift += installed.drift_beside()
        lines = [line for key in installed.infos for line in installed.lines(key)]
    except LockError as exc:
        return Verified(OWN, False, "", not_assessed=[str(exc)]), ""
    found = Verified(OWN, True, _APPROVAL, drift, [*_not_assessed(installed)])
    return found, digest(lines)


def _own() -> tuple[Path, str]:
    """Find the folder that this program runs from, and its version. Raises `LockError`."""
    folder = Path(bascule.__file__).parent.parent
    versions = Installed(folder, frozenset({OWN})).versions(OWN)
    if not versions:
        raise LockError(
            f"it runs from {folder}, a checkout or an editable installation: nothing says "
            "there which files belong to it; install the wheel to have it verified"
        )
    return folder, versions[0]


def _drift(installed: Installed, name: str, wanted: str) -> Iterator[Drift]:
    found = installed.versions(name)
    if found != [wanted]:
        yield Drift(name, wanted, ", ".join(found) or NOTHING)
    for version in found:
        yield from installed.drift(f"{name}=={version}")


def _not_assessed(installed: Installed) -> Iterator[str]:
    yield _LISTS
    yield _INTERPRETER
    others = installed.others()
    if others:
        yield f"packages that the release does not name: {', '.join(others)}"
    unasked = installed.run_unasked()
    if unasked:
        yield f"what the interpreter runs at each start: {', '.join(unasked)}"
