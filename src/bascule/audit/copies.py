"""Copies of checkpoints in other folders: what an attacker of the log does not hold.

Below each folder one named after the log's origin, in it one file for each size and
`latest`. A copy is written once and never changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from bascule.audit.durable import sync_folder, write_durably
from bascule.audit.state import State, TamperedLogError

LATEST = "latest"


class Copies:
    """The folders that `[audit] copies` names, for one log."""

    def __init__(self, folders: tuple[Path, ...], origin: str) -> None:
        self._folders = folders
        self._name = quote(origin, safe="")
        self._origin = origin

    def newest(self, state: State) -> Iterator[tuple[Path, bytes]]:
        """Give the newest copies: of the highest size, and `latest`.

        Raises `TamperedLogError` when copies that were made are gone, or when a folder
        has those of a log that this one does not replace.
        """
        for folder in self._folders:
            own = folder / self._name
            if not own.is_dir():
                self._refuse_strangers(folder, state)
                continue
            sizes = [int(path.name) for path in own.glob("*") if path.name.isdigit()]
            names = [str(max(sizes))] if sizes else []
            if (own / LATEST).exists():
                names.append(LATEST)
            if not names and str(folder) in state.copies:
                raise TamperedLogError(f"the checkpoints in `{own}` are gone")
            for name in names:
                yield own / name, _read(own / name)

    def _refuse_strangers(self, folder: Path, state: State) -> None:
        if str(folder) in state.copies:
            raise TamperedLogError(
                f"the checkpoints of `{self._origin}` are gone from `{folder}`; is it "
                "mounted?"
            )
        others = [unquote(path.name) for path in folder.glob("*") if path.is_dir()]
        for other in others:
            if other not in state.replaces:
                raise TamperedLogError(
                    f"`{folder}` has checkpoints of another log, `{other}`: restore that "
                    "log, or give this one a folder of its own"
                )

    def write(self, size: int, note: bytes) -> tuple[list[str], str | None]:
        """Copy a checkpoint; gives the folders that have it now, and a problem if any."""
        done, problem = [], None
        for folder in self._folders:
            try:
                _write(folder / self._name, size, note)
            except (OSError, TamperedLogError) as exc:
                problem = f"a checkpoint cannot be copied to `{folder}`: {exc}"
            else:
                done.append(str(folder))
        return done, problem


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise TamperedLogError(f"`{path}` cannot be read: {exc.strerror}") from exc


def _write(folder: Path, size: int, note: bytes) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / str(size)
    if not path.exists():
        write_durably(path, note)
    elif path.read_bytes() != note:
        raise TamperedLogError(f"`{path}` is another checkpoint of that size")
    write_durably(folder / LATEST, note)
    sync_folder(folder)
