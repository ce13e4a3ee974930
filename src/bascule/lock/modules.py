"""Which distribution a Python module belongs to, by the metadata of an interpreter."""

from __future__ import annotations

import subprocess

LOOKUP_SECONDS = 10

_LOOKUP = (
    "import sys, importlib.metadata as m;"
    "print(*m.packages_distributions().get(sys.argv[1], ()), sep='\\n')"
)


def installed_distribution(interpreter: str, module: str) -> str | None:
    """Give the distribution that an interpreter has for a top-level module.

    None when it has none or several, and when it cannot be asked.
    """
    try:
        done = subprocess.run(  # noqa: S603 - an argument vector, no shell
            [interpreter, "-I", "-c", _LOOKUP, module],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LOOKUP_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    found = set(done.stdout.split()) if done.returncode == 0 else set()
    return found.pop() if len(found) == 1 else None
