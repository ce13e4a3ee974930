"""Paths that a connector's server is told of and does not have in its sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bascule.lock.model import Entry

_OF_THE_MACHINE = (
    "/usr",
    "/etc",
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/bin",
    "/lib",
    "/lib64",
)
"""There in part, and not to be granted."""


def ungranted(name: str, entry: Entry) -> Iterator[str]:
    """Give a sentence for each path in arguments and environment that is not there inside.

    A server says of them that they do not exist, which helps nobody who sees that they do.
    """
    sandbox, launch = entry.sandbox, entry.launch
    granted = [Path(it) for it in (*sandbox.read, *sandbox.write, *_OF_THE_MACHINE)]
    texts = [text for it in launch.argv for text in {it, it.partition("=")[2]}]
    for text in dict.fromkeys([*texts, *launch.env.values()]):
        path = Path(text)
        if text in {".", ".."} or text.startswith(("./", "../", "~")):
            yield (
                f"`{text}` is looked for in the server's own empty home: write the whole "
                "path, and grant it by `sandbox.read` or `sandbox.write`"
            )
        elif (
            path.is_absolute()
            and not any(path.is_relative_to(it) for it in granted)
            and _exists(path)
        ):
            yield (
                f"`{text}` does not exist in its sandbox: name it in `read` or `write` of "
                f"`[connectors.{name}.sandbox]`"
            )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
