"""Files that Bascule starts from, and checks that nobody else can write or read them."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import stat
from pathlib import Path

from bascule.errors import BasculeError

SECRET_BYTES = 64 << 10


class UnsafeFileError(BasculeError):
    """Somebody else on this host could change or read what must be ours."""


class AlreadyRunningError(BasculeError):
    """Another process serves this data directory."""


def read_text(path: Path) -> str:
    """Read a text file. Raises `BasculeError` that names it."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise BasculeError(f"cannot read `{path}`: {exc}") from exc


def read_policy_files(config_path: Path) -> dict[str, str]:
    """Read `policies/*.cedar` beside the configuration, by path; none without a folder."""
    folder = config_path.parent / "policies"
    paths = sorted(folder.glob("*.cedar")) if folder.is_dir() else []
    return {str(path): read_text(path) for path in paths}


def data_directory(named: Path | None) -> Path:
    """Give the data directory, created 0700 when missing.

    Raises `UnsafeFileError` when others can write it.
    """
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    path = named or Path(base) / "bascule"
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


def refuse_writable_by_others(path: Path) -> None:
    """Raise `UnsafeFileError` when another OS user can write `path`."""
    info = path.stat()
    if info.st_uid not in {os.geteuid(), 0}:
        raise UnsafeFileError(f"`{path}` belongs to another user: chown it to yours")
    if stat.S_IMODE(info.st_mode) & 0o022:
        raise UnsafeFileError(f"others can write `{path}`: run `chmod go-w {path}`")


def refuse_replaceable_by_others(path: Path) -> None:
    """Raise `UnsafeFileError` when another OS user can put something in `path`'s place.

    Who can write a folder can rename what is in it, unless it is sticky, as /tmp is.
    """
    folder = path.resolve().parent
    info = folder.stat()
    if info.st_uid not in {os.geteuid(), 0}:
        raise UnsafeFileError(f"another user owns `{folder}` and can replace `{path}`")
    writers = stat.S_IMODE(info.st_mode) & 0o022
    if _is_private_group(info.st_gid):
        writers &= ~0o020
    if writers and not info.st_mode & stat.S_ISVTX:
        raise UnsafeFileError(f"others can replace `{path}`: run `chmod go-w {folder}`")


def _is_private_group(gid: int) -> bool:
    """Tell whether nobody but this process's user is in a group, as far as is known."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and not group.gr_mem


def refuse_readable_by_others(path: Path) -> None:
    """Raise `UnsafeFileError` when another OS user can read `path`."""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UnsafeFileError(f"others can read `{path}`: run `chmod go-rwx {path}`")


def check_configuration_files(config_path: Path) -> None:
    """Refuse a configuration or policy that another OS user can write."""
    folder = config_path.parent / "policies"
    paths = [config_path, folder, *folder.glob("*.cedar")]
    for path in paths:
        if path.exists():
            refuse_writable_by_others(path)
    if config_path.parent.is_dir():
        refuse_replaceable_by_others(config_path)


def is_reference(value: str) -> bool:
    """Tell whether a setting is a reference to a secret rather than the value itself."""
    return value.startswith(("file:", "env:", "keyring:", "vault:"))


def resolve_secret(reference: str) -> str:
    """Read a secret that the configuration refers to: `file:PATH` or `env:NAME`.

    Raises `BasculeError`, which names the reference and never the secret.
    """
    kind, _, where = reference.partition(":")
    if kind == "env":
        value = os.environ.get(where)
        if value is None:
            raise BasculeError(f"secret `{reference}`: the variable is not set")
        return value
    if kind == "file":
        path = Path(where)
        if not path.is_file():
            raise BasculeError(f"secret `{reference}`: there is no such file")
        refuse_readable_by_others(path)
        try:
            with path.open("rb") as file:
                return file.read(SECRET_BYTES).decode().strip("\r\n")
        except (OSError, UnicodeDecodeError) as exc:
            raise BasculeError(f"secret `{reference}` cannot be read as text") from exc
    raise BasculeError(f"secret `{reference}`: only `file:` and `env:` can be read by now")


def lock_data_directory(path: Path) -> int:
    """Take the data directory for this process; the lock goes with the process.

    Gives the file descriptor that holds it. Raises `AlreadyRunningError`.
    """
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        raise AlreadyRunningError(
            f"another `bascule up` serves `{path}`: stop it or use another `--data-dir`"
        ) from exc
    return descriptor


def key_file(path: Path, fresh: bytes) -> bytes:
    """Read a key, or keep `fresh` as the key when there is none yet; 0600 and atomic."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        refuse_readable_by_others(path)
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as file:
        file.write(fresh)
        file.flush()
        os.fsync(file.fileno())
    return fresh
