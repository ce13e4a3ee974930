"""Bundles (`.mcpb`): a ZIP archive with a manifest, pinned by the SHA-256 of the file.

Only what is plainly an archive of plain files is unpacked: two readers of one archive must
not see two different contents. Refused are paths that leave the folder, links, names that
are there twice or are one on some systems, encryption, members that overlap, bytes that
belong to no member except a signature block (`MCPB_SIG_V1`) at the end, and more than the
list says or the limits allow.
"""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bascule.lock.model import Artifact, LockError, Package
from bascule.lock.purl import purl_of
from bascule.lock.tree import TreeError, check_names

MAX_BUNDLE_BYTES = 512 << 20
MAX_UNPACKED_BYTES = 2 << 30
MAX_MEMBERS = 50_000
MAX_MANIFEST_BYTES = 1 << 20
_SIGNATURE_BEGIN, _SIGNATURE_END = b"MCPB_SIG_V1", b"MCPB_SIG_END"
_END_RECORD = struct.Struct("<4s4H2LH")
"""End of central directory (APPNOTE.TXT 6.3.10, 4.3.16)."""
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x1
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_UNIX = 3
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(NotImplementedError, ValueError, EOFError),
)
"""What `zipfile` raises for bytes that are no archive."""


class BundleError(LockError):
    """A bundle is not what is unpacked here; the message says why."""


def read_bundle(path: Path) -> tuple[bytes, str]:
    """Give a bundle's archive without its signature block, and the SHA-256 of the file.

    Raises `BundleError`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as exc:
        raise BundleError(f"cannot read `{path}`: {exc.strerror}") from exc
    if len(data) > MAX_BUNDLE_BYTES:
        raise BundleError(f"`{path}` is larger than {MAX_BUNDLE_BYTES} bytes")
    return _without_signature(data), hashlib.sha256(data).hexdigest()


def _without_signature(data: bytes) -> bytes:
    """Cut a signature block off: marker, length in four bytes, signature, end marker."""
    if not data.endswith(_SIGNATURE_END):
        return data
    begin = data.rfind(_SIGNATURE_BEGIN)
    signature = data[begin + len(_SIGNATURE_BEGIN) : -len(_SIGNATURE_END)]
    if begin < 0 or int.from_bytes(signature[:4], "little") != len(signature) - 4:
        raise BundleError("the bundle's signature block is malformed")
    return data[:begin]


def bundle_package(manifest: dict[str, Any], path: Path, sha256: str) -> Package:
    """Give a bundle as the one package of its connector's lock."""
    name, version = manifest.get("name"), manifest.get("version")
    if not (isinstance(name, str) and name and isinstance(version, str) and version):
        raise BundleError("the bundle's manifest has no name and version")
    artifact = Artifact(path.name, sha256, size=path.stat().st_size)
    return Package(purl_of("generic", name, version), artifact, paths=("manifest.json",))


def unpack_bundle(archive: bytes, folder: Path) -> dict[str, Any]:
    """Unpack a bundle into an empty folder; give its manifest. Raises `BundleError`."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            members = opened.infolist()
            _check_shape(archive, opened, members)
            for member in members:
                _check_member(member)
            _check_all_names(members)
            for member in members:
                _unpack(opened, member, folder)
    except _UNREADABLE as exc:
        raise BundleError(f"the bundle is no archive that can be read: {exc}") from exc
    except OSError as exc:
        raise BundleError(f"the bundle cannot be unpacked: {exc.strerror}") from exc
    path = folder / "manifest.json"
    if not path.is_file():
        raise BundleError("the bundle has no `manifest.json`")
    return _parsed(path.read_bytes())


def read_manifest(archive: bytes) -> dict[str, Any]:
    """Read the manifest of a bundle that is not unpacked. Raises `BundleError`."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            member = opened.getinfo("manifest.json")
            if member.file_size > MAX_MANIFEST_BYTES:
                raise BundleError("the bundle's `manifest.json` is too large")
            return _parsed(opened.read(member))
    except KeyError as exc:
        raise BundleError("the bundle has no `manifest.json`") from exc
    except _UNREADABLE as exc:
        raise BundleError(f"the bundle is no archive that can be read: {exc}") from exc


def _check_shape(
    archive: bytes, opened: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo]
) -> None:
    """Refuse all bytes that belong to no member, so that there is one way to read it."""
    if len(members) > MAX_MEMBERS:
        raise BundleError(f"the bundle has more than {MAX_MEMBERS} files")
    if sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
        raise BundleError(f"the bundle unpacks to more than {MAX_UNPACKED_BYTES} bytes")
    place = len(archive) - _END_RECORD.size
    if place < 0 or archive[place : place + 4] != b"PK\x05\x06":
        raise BundleError("the bundle has something behind its archive")
    _, disk, first_disk, here, total, size, start, _ = _END_RECORD.unpack(archive[place:])
    if disk or first_disk or here != total or total != len(members):
        raise BundleError("the bundle is in parts, or counts its files wrongly")
    if start + size != place or opened.start_dir != start:
        raise BundleError("the bundle has something before or behind its archive")
    end = 0
    for member in sorted(members, key=lambda it: it.header_offset):
        if member.header_offset != end:
            raise BundleError(f"`{member.filename}` overlaps others, or hides bytes")
        end = _end_of(archive, member)
    if end != start:
        raise BundleError("the bundle has something between its files and their list")


def _end_of(archive: bytes, member: zipfile.ZipInfo) -> int:
    """Give where a member ends, a data descriptor included (APPNOTE.TXT 4.3.9)."""
    header = archive[member.header_offset :][: _LOCAL_HEADER.size]
    if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
        raise BundleError(f"`{member.filename}` is not where the list says")
    *_, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    begin: int = member.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
    end = begin + member.compress_size
    if member.flag_bits & 0x8:
        end += 16 if archive[end : end + 4] == b"PK\x07\x08" else 12
    return end


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.orig_filename
    parts = name.removesuffix("/").split("/")
    if name != member.filename or "\\" in name or "\0" in name:
        raise BundleError(f"`{name}` is no plain path")
    if name.startswith("/") or {"", ".", ".."} & set(parts) or ":" in parts[0]:
        raise BundleError(f"`{name}` leads out of the bundle")
    kind = stat.S_IFMT(member.external_attr >> 16) if member.create_system == _UNIX else 0
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise BundleError(f"`{name}` is a link or something else that is no file")
    if member.is_dir() != name.endswith("/") or (kind == stat.S_IFDIR) > member.is_dir():
        raise BundleError(f"`{name}` is a folder by its mode and none by its name")
    if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
        raise BundleError(f"`{name}` is encrypted, or compressed in a way not known here")


def _check_all_names(members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse one path twice, also where it is one on some systems only."""
    folders: dict[str, set[str]] = {}
    seen: set[str] = set()
    for member in members:
        path = member.filename.removesuffix("/")
        if path in seen:
            raise BundleError(f"`{path}` is in the bundle twice")
        seen.add(path)
        while path:
            parent, _, name = path.rpartition("/")
            folders.setdefault(parent, set()).add(name)
            path = parent
    for parent, names in folders.items():
        try:
            check_names([name.encode() for name in sorted(names)])
        except (TreeError, UnicodeEncodeError) as exc:
            raise BundleError(f"the bundle, in `{parent or '.'}`: {exc}") from exc


def _unpack(opened: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / member.filename
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with opened.open(member) as source, target.open("xb") as file:
        while part := source.read(1 << 20):
            left -= len(part)
            if left < 0:
                break
            file.write(part)
    if left:
        raise BundleError(f"`{member.filename}` is not as long as the list says")
    mode = member.external_attr >> 16 if member.create_system == _UNIX else 0
    target.chmod(0o755 if mode & 0o111 else 0o644)


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(text.decode("utf-8"), object_pairs_hook=_members)
    except (ValueError, RecursionError) as exc:
        raise BundleError("the bundle's `manifest.json` cannot be read") from exc
    if not isinstance(manifest, dict):
        raise BundleError("the bundle's `manifest.json` is no object")
    return manifest


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found
