"""What a scan of clients' files keeps for the next one: the only file that it writes."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import msgspec

from bascule.scan import drift
from bascule.scan.config_files import ConfigFileError, read_small_file
from bascule.scan.configs import Scanned
from bascule.scan.entry_words import clean
from bascule.scan.finding import Finding
from bascule.scan.report import Gap, Report, merged


def with_changes(
    scanned: Scanned,
    roots: tuple[str, ...],
    named: Path | None,
    *,
    may_be_first: bool = False,
) -> Scanned:
    """Compare a scan with the last one of the same homes or paths, and keep it.

    That there was none before is a gap, unless it `may_be_first`, as in a pipeline.

    What is kept is in `$XDG_STATE_HOME/bascule/client-configs.json` unless a file was
    named. That it cannot be read or written is no error: it is said in the report.
    """
    path = named or _default()
    key = drift.scan_key(roots)
    now = drift.kept(scanned.servers, scanned.files)
    found: tuple[Finding, ...] = ()
    gaps = []
    try:
        state = _read(path)
        before = state.scans.get(key)
        if before is None and not may_be_first:
            gaps.append(_gap(path, "this is the first scan: it is kept there"))
        elif before is not None:
            found = tuple(drift.changes(before, now, os.path.lexists))
        _write(path, state, key, drift.joined(before or {}, now, os.path.lexists))
    except (OSError, ValueError, ConfigFileError) as exc:
        gaps = [_gap(path, f"{_reason(exc)}: name another with --state")]
    since = Report(findings=found, not_assessed=tuple(gaps))
    return replace(scanned, report=merged([scanned.report, since]))


def _default() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "bascule" / "client-configs.json"


def _read(path: Path) -> drift.State:
    if not os.path.lexists(path):
        return drift.State()
    return drift.parse_state(read_small_file(str(path), drift.LARGEST))


def _write(path: Path, state: drift.State, key: str, files: drift.Files) -> None:
    """Replace the file whole; it is the user's alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name == "posix" and path.parent.stat().st_uid != os.geteuid():
        raise ConfigFileError("the folder belongs to somebody else")
    scans = {**state.scans, key: {path: dict(each) for path, each in files.items()}}
    data = msgspec.json.encode(msgspec.structs.replace(state, scans=scans))
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _reason(exc: Exception) -> str:
    if isinstance(exc, OSError):
        return f"what is kept of scans cannot be used: {exc.strerror or 'no'}".lower()
    if isinstance(exc, ConfigFileError):
        return f"what is kept of scans cannot be used: {exc}"
    return "what is kept there is not what a scan of this version keeps"


def _gap(path: Path, why: str) -> Gap:
    what = "changes of clients' files since the last scan"
    return Gap(target=clean(str(path)), what=what, why=clean(why))
