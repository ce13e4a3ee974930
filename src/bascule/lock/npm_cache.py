"""What npm's cache holds of the registry's answers: when versions were published.

npm's lock does not say when a package was published, and asking `npm view` for a hundred
packages takes a minute. To apply `--before` npm reads each package's whole document, and
keeps it in its content-addressed cache (`cacache`, index version 5, content version 2).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path

import msgspec
from msgspec import Struct

from bascule.lock.cooldown import rfc3339, unix_time
from bascule.lock.model import NOT_LOOKED_FOR, Provenance

_KEY = "make-fetch-happen:request-cache:"
_DOCUMENT_BYTES = 256 << 20


class _Line(Struct):
    """One line of a bucket of the index."""

    key: str
    integrity: str | None = None


class _Dist(Struct, frozen=True):
    """What the registry says of a version's archive."""

    signatures: object = None
    attestations: object = None


class _Version(Struct):
    scripts: object = None
    dist: _Dist = _Dist()


class Packument(Struct):
    """A registry's document about one package, as far as it is needed."""

    time: dict[str, object] = {}
    versions: dict[str, _Version] = {}

    def published_at(self, version: str) -> str:
        """Give the time in RFC 3339, in UTC; empty when the registry does not say it."""
        text = self.time.get(version)
        time = unix_time(text) if isinstance(text, str) else None
        return "" if time is None else rfc3339(time)

    def provenance(self, version: str) -> Provenance:
        """Give whether the registry has attestations of a version, for others to verify.

        A registry that signs signs everything. One that shows neither signatures nor
        attestations of any version leaves them out, and nobody can know.
        """
        found = self.versions.get(version)
        if found and found.dist.attestations:
            return Provenance("unsupported")
        every = (it.dist for it in self.versions.values())
        says = any(it.attestations or it.signatures for it in every)
        return Provenance("absent") if found and says else NOT_LOOKED_FOR

    def times(self) -> list[str]:
        """Give when each version was published."""
        return [self.published_at(version) for version in self.versions]

    def scripts(self, version: str) -> frozenset[str]:
        """Give the names of the scripts of a version."""
        found = self.versions.get(version)
        named = found.scripts if found else None
        return frozenset(named) if isinstance(named, dict) else frozenset()


_lines = msgspec.json.Decoder(_Line)
_packuments = msgspec.json.Decoder(Packument)

NOTHING = Packument()


def read_packument(cache: Path, registry: str, name: str) -> Packument:
    """Give what the cache holds about a package; one that knows nothing without."""
    url = f"{registry.rstrip('/')}/{name.replace('/', '%2f')}"
    for integrity in _entries(cache, f"{_KEY}{url}"):
        content = _content(cache, integrity)
        if content is not None:
            try:
                return _packuments.decode(content)
            except msgspec.DecodeError:
                continue
    return NOTHING


def _entries(cache: Path, key: str) -> list[str]:
    """Give the integrity of what stands under a key, the newest first."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    bucket = cache / "_cacache" / "index-v5" / digest[:2] / digest[2:4] / digest[4:]
    try:
        lines = bucket.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in reversed(lines):
        try:
            entry = _lines.decode(line.partition("\t")[2])
        except msgspec.DecodeError:
            continue
        if entry.key == key and entry.integrity:
            found.append(entry.integrity)
    return found


def _content(cache: Path, integrity: str) -> bytes | None:
    """Give the bytes of an integrity (W3C SRI), None when they are not there or differ."""
    algorithm, _, encoded = integrity.partition("-")
    try:
        digest = base64.b64decode(encoded, validate=True).hex()
    except binascii.Error:
        return None
    if algorithm != "sha512" or not digest:
        return None
    path = cache / "_cacache" / "content-v2" / algorithm / digest[:2] / digest[2:4]
    try:
        with (path / digest[4:]).open("rb") as file:
            content = file.read(_DOCUMENT_BYTES)
    except OSError:
        return None
    return content if hashlib.sha512(content).hexdigest() == digest else None
