"""A registry of packages on loopback: PyPI's simple API (PEP 691) and npm's packuments.

Stands in for what cannot be had from a real registry at will: yanked, deprecated and young
versions, names that collide, hashes that are missing.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

from bascule.clock import UnixTime
from bascule.lock.cooldown import rfc3339

JSON = "application/json"
LONG_AGO = UnixTime(1_000_000_000)
SIMPLE = "application/vnd.pypi.simple.v1+json"


class Registry:
    """What the registry serves, and where; packages can be added while it does."""

    def __init__(self, url: str, cache: Path) -> None:
        self.url = url
        self._cache = cache
        self.answers: dict[str, tuple[str, bytes]] = {}
        """Content type and body, by path."""
        self._files: dict[str, list[dict[str, Any]]] = {}
        self._packuments: dict[str, dict[str, Any]] = {}

    def environment(self, **more: str) -> dict[str, str]:
        """Give the environment of an operator who uses this registry alone."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._cache),
            "UV_DEFAULT_INDEX": f"{self.url}/simple/",
            "UV_CACHE_DIR": str(self._cache / "uv"),
            "npm_config_registry": f"{self.url}/npm/",
            "npm_config_cache": str(self._cache / "npm"),
            **more,
        }

    def add_wheel(
        self,
        name: str,
        version: str,
        *,
        requires: Sequence[str] = (),
        published: UnixTime | None = LONG_AGO,
        yanked: str | bool = False,
        tag: str = "py3-none-any",
        index: str = "simple",
        script: str | None = None,
        modules: Mapping[str, str] | None = None,
        python: str | None = None,
    ) -> bytes:
        """Publish a wheel; gives its bytes."""
        filename = f"{name.replace('-', '_')}-{version}-{tag}.whl"
        metadata = _metadata(name, version, requires)
        content = wheel(name, version, tag, metadata, script, modules or {})
        self.answers[f"/files/{filename}.metadata"] = ("text/plain", metadata.encode())
        self._publish(name, filename, content, published, yanked, index, metadata)
        if python is not None:
            self.change_file(name, filename, **{"requires-python": python})
        return content

    def add_file(self, name: str, filename: str, content: bytes, **more: Any) -> None:
        """Publish a file of somebody else's; `more` are further members of the page."""
        self._publish(name, filename, content, LONG_AGO, False, "simple")
        self.change_file(name, filename, **more)

    def change_file(self, name: str, filename: str, **more: Any) -> None:
        """Let the page of a project say more about one file."""
        files = self._files[f"simple/{name}"]
        next(it for it in files if it["filename"] == filename).update(more)
        page = {"meta": {"api-version": "1.3"}, "name": name, "files": files}
        self.answers[f"/simple/{name}/"] = (SIMPLE, json.dumps(page).encode())

    def sha256(self, filename: str) -> str:
        """Give the digest of a file that is served."""
        return hashlib.sha256(self.answers[f"/files/{filename}"][1]).hexdigest()

    def add_sdist(self, name: str, version: str, *, index: str = "simple") -> None:
        """Publish a source distribution that nobody can build."""
        filename = f"{name.replace('-', '_')}-{version}.tar.gz"
        self._publish(name, filename, b"no archive", LONG_AGO, False, index)

    def _publish(
        self,
        name: str,
        filename: str,
        content: bytes,
        published: UnixTime | None,
        yanked: str | bool,
        index: str,
        metadata: str = "",
    ) -> None:
        file: dict[str, Any] = {
            "filename": filename,
            "url": f"{self.url}/files/{filename}",
            "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
            "size": len(content),
            "yanked": yanked,
        }
        if metadata:
            file["core-metadata"] = {
                "sha256": hashlib.sha256(metadata.encode()).hexdigest()
            }
        if published is not None:
            file["upload-time"] = rfc3339(published)
        self.answers[f"/files/{filename}"] = ("application/octet-stream", content)
        files = self._files.setdefault(f"{index}/{name}", [])
        files.append(file)
        page = {"meta": {"api-version": "1.1"}, "name": name, "files": files}
        self.answers[f"/{index}/{name}/"] = (SIMPLE, json.dumps(page).encode())

    def add_npm(
        self,
        name: str,
        version: str,
        *,
        published: UnixTime | None = LONG_AGO,
        files: Mapping[str, str] | None = None,
        latest: bool = True,
        **manifest: Any,
    ) -> bytes:
        """Publish a package of npm; `manifest` goes into its `package.json`."""
        whole = {"name": name, "version": version, **manifest}
        content = tarball({"package.json": json.dumps(whole), **(files or {})})
        path = f"/npm/{name}/-/{name.split('/')[-1]}-{version}.tgz"
        digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
        dist = {"tarball": f"{self.url}{path}", "integrity": f"sha512-{digest}"}
        packument = self._packuments.setdefault(
            name, {"name": name, "versions": {}, "dist-tags": {}, "time": {}}
        )
        packument["versions"][version] = {**whole, "dist": dist}
        if latest:
            packument["dist-tags"]["latest"] = version
        if published is not None:
            packument["time"][version] = rfc3339(published)
        self.answers[path] = ("application/octet-stream", content)
        self.answers[f"/npm/{name}"] = (JSON, json.dumps(packument).encode())
        return content


def _metadata(name: str, version: str, requires: Sequence[str]) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {each}" for each in requires]
    extras = {each.split("extra ==")[1].strip(" '") for each in requires if "extra" in each}
    return "\n".join([*lines, *(f"Provides-Extra: {it}" for it in sorted(extras)), ""])


def wheel(
    name: str,
    version: str,
    tag: str,
    metadata: str,
    script: str | None,
    modules: Mapping[str, str],
) -> bytes:
    """Give the same bytes for the same package."""
    folder = f"{name.replace('-', '_')}-{version}.dist-info"
    files = {
        **modules,
        f"{folder}/METADATA": metadata,
        f"{folder}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    if script is not None:
        files[f"{folder}/entry_points.txt"] = f"[console_scripts]\n{script}\n"
    lines = [f"{path},{_record(text.encode())}" for path, text in files.items()]
    files[f"{folder}/RECORD"] = "\n".join([*lines, f"{folder}/RECORD,,", ""])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return buffer.getvalue()


def _record(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return f"sha256={digest.decode()},{len(content)}"


def tarball(files: Mapping[str, str]) -> bytes:
    """Give a package of npm as it is published."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in files.items():
            info = tarfile.TarInfo(f"package/{path}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


@contextlib.contextmanager
def registry(cache: Path) -> Iterator[Registry]:
    """Serve a registry on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        served: ClassVar[Registry]

        def do_GET(self) -> None:
            path = unquote(self.path.split("?")[0])
            kind, body = self.served.answers.get(path, ("", b""))
            with contextlib.suppress(ConnectionError):  # who asked has heard enough
                self.send_response(200 if kind else 404)
                self.send_header("Content-Type", kind or "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.served = Registry(f"http://127.0.0.1:{server.server_address[1]}", cache)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Handler.served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
