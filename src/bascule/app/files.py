"""Files that Bascule starts from, and checks that nobody else can write or read them."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from bascule.errors import BasculeError
from bascule.storage.private_files import (
    refuse_readable_by_others,
    refuse_replaceable_by_others,
    refuse_writable_by_others,
)

TEXT_BYTES = 16 << 20
LOCK_ATTEMPTS = 10
LOCK_PAUSE_SECONDS = 0.05


class AlreadyRunningError(BasculeError):
    """Another process serves this data directory."""


def read_text(path: Path) -> str:
    """Read a text file. Raises `BasculeError` that names it.

    No more than `TEXT_BYTES`: what stands beside a configuration may be a link to a device.
    """
    try:
        with path.open("rb") as file:
            content = file.read(TEXT_BYTES + 1)
        if len(content) > TEXT_BYTES:
            raise BasculeError(f"`{path}` is larger than {TEXT_BYTES} bytes")
        return content.decode().replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise BasculeError(f"cannot read `{path}`: {exc}") from exc


def read_policy_files(config_path: Path) -> dict[str, str]:
    """Read `policies/*.cedar` beside the configuration, by path; none without a folder."""
    folder = config_path.parent / "policies"
    paths = sorted(folder.glob("*.cedar")) if folder.is_dir() else []
    return {str(path): read_text(path) for path in paths}


def data_path(named: Path | None) -> Path:
    """Say where the data directory is, or would be."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return named or Path(base) / "bascule"


def data_directory(named: Path | None) -> Path:
    """Give the data directory, created 0700 when missing.

    Raises `UnsafeFileError` when others can write it.
    """
    path = data_path(named)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in ("keys", "audit"):
            (path / part).mkdir(mode=0o700, exist_ok=True)
    except OSError as exc:
        raise BasculeError(
            f"cannot create data directory `{path}`: {exc.strerror}"
        ) from exc
    refuse_writable_by_others(path)
    refuse_replaceable_by_others(path)
    for secret in ("keys", "state.db", "audit/inbox.db"):
        if (path / secret).exists():
            refuse_readable_by_others(path / secret)
    return path


def check_configuration_files(config_path: Path) -> None:
    """Refuse what another OS user can write of configuration, policies and signers."""
    folder = config_path.parent / "policies"
    signers = config_path.parent / "allowed_signers"
    paths = [config_path, signers, folder, *folder.glob("*.cedar")]
    for path in paths:
        if path.exists():
            refuse_writable_by_others(path)
    if config_path.parent.is_dir():
        refuse_replaceable_by_others(config_path)


def lock_data_directory(path: Path) -> int:
    """Take the data directory for this process; the lock goes with the process.

    Gives the file descriptor that holds it. Raises `AlreadyRunningError`.
    """
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(LOCK_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # Workers of a server that was killed are about to end.
            time.sleep(LOCK_PAUSE_SECONDS)
        else:
            return descriptor
    os.close(descriptor)
    raise AlreadyRunningError(
        f"another `bascule up` serves `{path}`: stop it or use another `--data-dir`"
    )
