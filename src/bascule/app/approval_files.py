"""The files of approvals beside the configuration, to be reviewed and carried by git.

    approvals/NAME/000003.ENTRY.alice@example.com.dsse.json        statements
    approvals/_approvers/000002.SET.alice@example.com.dsse.json    changes of the approvers
    approvals/documents/SHA256.json                 entries and surfaces they are about

No file is overwritten: each statement has its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bascule.errors import BasculeError
from bascule.lock.dsse import MAX_ENVELOPE_BYTES
from bascule.storage.whole_files import alone, replace

APPROVERS = "_approvers"
"""What no connector can be called."""
MAX_DOCUMENT_BYTES = 64 << 20
MAX_FILES = 10_000
"""Of one connector."""
_FILE_MODE = 0o644
_SUFFIX = ".dsse.json"


@dataclass(frozen=True, slots=True)
class ApprovalFiles:
    """The folder `approvals` beside a configuration."""

    folder: Path

    def envelopes(self, name: str) -> Mapping[str, bytes]:
        """Give the content of a connector's statements, by path below the configuration.

        What is too large to be one is cut, and so none. Raises `BasculeError`.
        """
        place = self.folder / name
        if not place.is_dir():
            return {}
        try:
            paths = sorted(it for it in place.glob(f"*{_SUFFIX}") if it.is_file())
            if len(paths) > MAX_FILES:
                raise BasculeError(f"`{place}` has more than {MAX_FILES} statements")
            return {self._shown(it): _start_of(it, MAX_ENVELOPE_BYTES) for it in paths}
        except OSError as exc:
            raise BasculeError(f"cannot read `{exc.filename}`: {exc.strerror}") from exc

    def write_envelope(
        self, name: str, number: int, digest: str, approver: str, content: bytes
    ) -> str:
        """Write a statement's file unless it is there; gives its path.

        `digest`: of what it is about. Two that say the same number get files of their own.
        """
        base = f"{number:06}.{digest}.{approver}"
        for place in (base, f"{base}.{hashlib.sha256(content).hexdigest()[:16]}"):
            path = self.folder / name / f"{place}{_SUFFIX}"
            if not path.exists():
                self._write(path, content)
                break
            if _start_of(path, MAX_ENVELOPE_BYTES) == content:
                break
        return self._shown(path)

    def document(self, digest: str) -> bytes | None:
        """Read an entry or a surface by its digest; None unless it has that digest."""
        path = self._document_path(digest)
        try:
            content = _start_of(path, MAX_DOCUMENT_BYTES)
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == digest else None

    def write_document(self, digest: str, content: bytes) -> None:
        """Write an entry or a surface, in canonical form, unless it is there."""
        if self.document(digest) is None:
            self._write(self._document_path(digest), content)

    def _document_path(self, digest: str) -> Path:
        return self.folder / "documents" / f"{digest}.json"

    def _write(self, path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with alone(path.parent):
                replace(path, content, new_mode=_FILE_MODE)
        except OSError as exc:
            raise BasculeError(f"cannot write `{path}`: {exc.strerror}") from exc

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self.folder.parent))


def files_beside(config_path: Path) -> ApprovalFiles:
    """Give the approvals beside a configuration."""
    return ApprovalFiles(config_path.parent / "approvals")


def _start_of(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size + 1)
