"""What `uv pip compile` writes: requirements with hashes, and `pylock.toml` (PEP 751)."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag
from packaging.utils import canonicalize_name, parse_wheel_filename

from bascule.lock.model import Artifact, LockError

_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)"
    r"(?P<marker> ; [^\\]*)?(?P<more> \\)?"
)
_HASH = re.compile(r"    --hash=(?P<hash>sha256:[0-9a-f]{64})(?: \\)?")
_FROM = re.compile(r"    # from (?P<index>\S+)")
_VIA = re.compile(r"    # via(?: (?P<one>\S.*))?")
_VIA_MORE = re.compile(r"    #   (?P<one>\S.*)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_WHEEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\.whl")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_YANKED = re.compile(r"`(?P<name>[^`=]+)==(?P<version>[^`]+)` is yanked(?P<more>[^\n]*)")
_REASON = re.compile(r"\(reason: \"?(?P<reason>.*?)\"?\)")


@dataclass(slots=True)
class Pin:
    """One package of a universal lock."""

    name: str
    version: str
    marker: str = ""
    hashes: list[str] = field(default_factory=list)
    via: list[str] = field(default_factory=list)
    """Normalised names of those that need it; what is no name was asked for."""
    index: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The file of one package that fits a platform."""

    name: str
    version: str
    artifact: Artifact
    published_at: str


def read_requirements(text: str) -> tuple[list[Pin], str]:
    """Read requirements with hashes and annotations.

    Gives the pins, and the text without the annotations that name a registry. Raises
    `LockError` for a line that is not understood.
    """
    pins: list[Pin] = []
    kept = []
    for line in text.splitlines():
        if match := _FROM.fullmatch(line):
            _last(pins).index = match["index"]
            continue
        kept.append(line)
        if match := _PIN.fullmatch(line):
            name = canonicalize_name(match["name"])
            marker = (match["marker"] or "").removeprefix(" ; ")
            pins.append(Pin(name, match["version"], marker))
        elif match := _HASH.fullmatch(line):
            _last(pins).hashes.append(match["hash"])
        elif (match := _VIA.fullmatch(line)) or (match := _VIA_MORE.fullmatch(line)):
            if match["one"] and _NAME.fullmatch(match["one"]):
                _last(pins).via.append(canonicalize_name(match["one"]))
        elif line.strip():
            # The line is not told: it may name a registry with credentials.
            raise LockError(
                "`uv` wrote a line that is no pinned package: something is asked for by an "
                "address, or a setting of uv adds to its output"
            )
    for pin in pins:
        if not pin.hashes:
            raise LockError(f"the registry gives no SHA-256 for `{pin.name}`")
    return pins, "".join(f"{line}\n" for line in kept)


def _last(pins: list[Pin]) -> Pin:
    if not pins:
        raise LockError("`uv` wrote a lock that does not begin with a package")
    return pins[-1]


def read_pylock(text: str) -> list[Chosen]:
    """Read a `pylock.toml` for one platform.

    Raises `LockError` for a package that has no wheel for it.
    """
    try:
        packages = tomllib.loads(text).get("packages", [])
        return [_chosen(package) for package in packages]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as exc:
        raise LockError(f"`uv` wrote a lock that is not understood: {exc}") from exc


def _chosen(package: dict[str, Any]) -> Chosen:
    name, wheels = package["name"], package.get("wheels", [])
    if not wheels:
        raise LockError(f"`{name}` has no wheel for this platform")
    filename, wheel = max(((_filename(each), each) for each in wheels), key=_preference)
    sha256 = wheel["hashes"]["sha256"]
    if not _SHA256.fullmatch(sha256):
        raise LockError(f"the registry gives no SHA-256 of `{filename}`")
    published = wheel.get("upload-time")
    artifact = Artifact(
        filename=filename,
        sha256=sha256,
        size=wheel.get("size", 0),
    )
    moment = published.astimezone(UTC) if isinstance(published, datetime) else None
    published_at = moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""
    return Chosen(canonicalize_name(name), package["version"], artifact, published_at)


def _filename(wheel: dict[str, Any]) -> str:
    named = wheel.get("name")
    filename = str(named or unquote(urlsplit(wheel["url"]).path.split("/")[-1]))
    if not _WHEEL.fullmatch(filename):
        raise LockError("the registry gives a wheel a name that is none")
    return filename


def _preference(wheel: tuple[str, dict[str, Any]]) -> tuple[list[list[int]], str]:
    """Order wheels that all fit: by the newer interpreter, then by the newer platform."""
    filename, _ = wheel
    tags = parse_wheel_filename(filename)[3]
    numbers = max(_numbers(tag) for tag in tags)
    return numbers, filename


def _numbers(tag: Tag) -> list[list[int]]:
    return [
        [int(n) for n in re.findall(r"\d+", part)]
        for part in (tag.interpreter, tag.platform)
    ]


def yanked(messages: str) -> dict[tuple[str, str], str]:
    """Give the reason, by name and version, of each yanked package that uv warns of."""
    found: dict[tuple[str, str], str] = {}
    for match in _YANKED.finditer(messages):
        reason = _REASON.search(match["more"])
        told = reason["reason"] if reason else ""
        found[canonicalize_name(match["name"]), match["version"]] = told or "yes"
    return found
