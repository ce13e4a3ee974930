"""Packages for tests: small ones made on the spot, and real ones, installed once.

In `conftest.py`: `time_installed`, `filesystem_installed`.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bascule.lock.entry_point import executable_argv
from bascule.lock.install import Installed, Order, install, kind_of_runtime
from bascule.lock.model import Artifact, Launch, Package
from bascule.lock.purl import purl_of
from bascule.lock.resolve import Resolution
from bascule.lock.runtime import FoundRuntime, find_runtime
from bascule.lock.store import Store


@contextlib.contextmanager
def tampering(folder: Path) -> Iterator[Path]:
    """Let a read-only folder be changed meanwhile, as its owner can."""
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        folder.chmod(0o555)


@dataclass(frozen=True)
class InStore:
    """What was installed from a real registry, and where."""

    store: Store
    order: Order
    runtime: FoundRuntime
    installed: Installed

    @property
    def place(self) -> Path:
        """Where the tree lies."""
        return self.store.path(self.installed.tree.sha256)

    def argv(self, *arguments: str) -> tuple[str, ...]:
        """Give what runs it with further arguments."""
        launch = Launch("stdio", argv=(*self.installed.argv, *arguments))
        return executable_argv(launch, self.runtime, self.place)


def installed_once(folder: Path, resolution: Resolution) -> InStore:
    """Install, in the first of all processes that share `folder`; not to be changed."""
    store = Store(folder / "installed")
    asked = resolution.asked
    runtime = find_runtime(
        kind_of_runtime(asked, folder), os.environ, cache=folder / "runtimes.json"
    )
    order = Order(
        asked=asked,
        root=resolution.root,
        packages=resolution.packages,
        native_lock=resolution.native_lock or "",
        base=folder,
    )
    name = hashlib.sha256(resolution.root.encode()).hexdigest()
    path = folder / f"{name}.installed"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            made = install(order, store, runtime, environment=os.environ)
            path.write_bytes(msgspec.json.encode(made))
    made = msgspec.json.decode(path.read_bytes(), type=Installed)
    return InStore(store, order, runtime, made)


MOMENT = (2026, 1, 1, 0, 0, 0)


def make_wheel(
    folder: Path,
    name: str = "hello",
    version: str = "1.0",
    files: Mapping[str, str | bytes] | None = None,
    *,
    scripts: Mapping[str, str] | None = None,
    metadata: str = "",
    lies: Mapping[str, bytes] | None = None,
) -> Package:
    """Make a wheel in a folder; give the package as a lock has it.

    `lies` are files whose line in the list of files (RECORD) tells of other bytes.
    """
    info = f"{name}-{version}.dist-info"
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}"
    content: dict[str, bytes] = {
        **{path: _bytes(data) for path, data in (files or {}).items()},
        f"{info}/METADATA": text.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if scripts:
        lines = "".join(f"{key} = {value}\n" for key, value in scripts.items())
        content[f"{info}/entry_points.txt"] = f"[console_scripts]\n{lines}".encode()
    listed = {**content, **(lies or {})}
    record = "".join(_line(path, data) for path, data in listed.items())
    content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in content.items():
            archive.writestr(zipfile.ZipInfo(member, MOMENT), data)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Package(purl_of("pypi", name, version), Artifact(path.name, digest))


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _line(path: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"{path},sha256={digest},{len(data)}\n"


def make_tarball(
    folder: Path,
    name: str = "hello",
    version: str = "1.0.0",
    files: Mapping[str, str] | None = None,
    **manifest: Any,
) -> Package:
    """Make a tarball of npm in a folder; give the package as a lock has it."""
    description = {"name": name, "version": version, **manifest}
    content = {**(files or {}), "package.json": json.dumps(description)}
    path = folder / f"{name.replace('/', '-').removeprefix('@')}-{version}.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for member, data in content.items():
            item = tarfile.TarInfo(f"package/{member}")
            item.size = len(data.encode())
            archive.addfile(item, io.BytesIO(data.encode()))
    digest = hashlib.sha512(path.read_bytes()).hexdigest()
    purl = purl_of("npm", name, version)
    place = f"node_modules/{name}"
    return Package(purl, Artifact(path.name, sha512=digest), paths=(place,))


def npm_lock(packages: Sequence[Package], **changes: Mapping[str, Any]) -> str:
    """Write the `package-lock.json` of packages that all were asked for.

    `changes` are other members of single lines, by place with `node_modules/` left out.
    """
    lines: dict[str, dict[str, Any]] = {"": {"dependencies": {}}}
    for package in packages:
        for place in package.paths:
            name, version = place.rpartition("node_modules/")[2], _version(package)
            raw = base64.b64encode(bytes.fromhex(package.artifact.sha512)).decode()
            lines[""]["dependencies"][name] = version
            lines[place] = {
                "version": version,
                "integrity": f"sha512-{raw}",
                **changes.get(name, {}),
            }
    return json.dumps({"lockfileVersion": 3, "requires": True, "packages": lines})


def _version(package: Package) -> str:
    return package.purl.rpartition("@")[2]
