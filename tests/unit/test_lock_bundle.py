"""Bundles: plain archives are unpacked, everything clever is refused."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.lock import bundle
from bascule.lock.bundle import BundleError, bundle_package, read_bundle, unpack_bundle
from bascule.lock.bundle_launch import bundle_argv, bundle_notes, runtime_of_bundle
from bascule.lock.entry_point import RUN_FILE
from bascule.lock.model import LockError

MANIFEST: dict[str, Any] = {
    "manifest_version": "0.3",
    "name": "hello",
    "version": "1.0.0",
    "server": {
        "type": "node",
        "entry_point": "server/index.js",
        "mcp_config": {"command": "node", "args": ["${__dirname}/server/index.js"]},
    },
}
FILES = {"manifest.json": json.dumps(MANIFEST), "server/index.js": "console.log(1)"}


def archive(**more: str) -> bytes:
    """Make an archive of `FILES` and more of them, or others for them."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in {**FILES, **more}.items():
            opened.writestr(name, data)
    return made.getvalue()


def with_member(
    name: str, data: bytes = b"x", mode: int = stat.S_IFREG | 0o644, **fields: Any
) -> bytes:
    """Make an archive with one member more, made as told."""
    made = io.BytesIO(archive())
    with zipfile.ZipFile(made, "a") as opened:
        info = zipfile.ZipInfo(name)
        info.create_system = 3
        info.external_attr = mode << 16
        opened.writestr(info, data)
        for field, value in fields.items():
            setattr(info, field, value)
    return made.getvalue()


def test_a_bundle_is_unpacked(tmp_path: Path) -> None:
    manifest = unpack_bundle(with_member("bin/tool", mode=stat.S_IFREG | 0o755), tmp_path)
    assert manifest == MANIFEST
    found = {it.relative_to(tmp_path).as_posix() for it in tmp_path.rglob("*.*")}
    assert found == {"manifest.json", "server/index.js"}
    assert (tmp_path / "server" / "index.js").read_text() == "console.log(1)"
    assert (tmp_path / "bin" / "tool").stat().st_mode & 0o777 == 0o755


def test_folders_and_other_systems_are_fine(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as opened:
        opened.writestr("manifest.json", json.dumps(MANIFEST))
        opened.mkdir("server") if hasattr(opened, "mkdir") else opened.writestr(
            "server/", ""
        )
        info = zipfile.ZipInfo("server/index.js")
        info.create_system = 0
        info.external_attr = 0xFFFF0000 & (stat.S_IFLNK << 16)  # means nothing there
        opened.writestr(info, "1")
    unpack_bundle(made.getvalue(), tmp_path)
    assert not (tmp_path / "server" / "index.js").is_symlink()


def streamed() -> bytes:
    """Make an archive as programs do that cannot seek: with data descriptors."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.parts: list[bytes] = []

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.parts.append(bytes(data))
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, text in FILES.items():
            opened.writestr(name, text)
    return b"".join(pipe.parts)


def test_data_descriptors_are_fine(tmp_path: Path) -> None:
    assert b"PK\x07\x08" in streamed()
    assert unpack_bundle(streamed(), tmp_path) == MANIFEST


def signature(data: bytes) -> bytes:
    return b"MCPB_SIG_V1" + struct.pack("<I", len(data)) + data + b"MCPB_SIG_END"


def test_a_signature_block_belongs_to_the_file_and_not_to_the_archive(
    tmp_path: Path,
) -> None:
    path = tmp_path / "hello.mcpb"
    path.write_bytes(archive() + signature(b"DER"))
    read, sha256 = read_bundle(path)
    assert read == archive()
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    package = bundle_package(MANIFEST, path, sha256)
    assert package.purl == "pkg:generic/hello@1.0.0"
    assert package.artifact.sha256 == sha256


@pytest.mark.parametrize(
    "tail",
    [
        b"MCPB_SIG_END",
        b"MCPB_SIG_V1MCPB_SIG_END",
        b"MCPB_SIG_V1\x09\0\0\0DERMCPB_SIG_END",
        signature(b"DER") + b"MCPB_SIG_END",
    ],
)
def test_a_malformed_signature_block_is_refused(tmp_path: Path, tail: bytes) -> None:
    (tmp_path / "hello.mcpb").write_bytes(archive() + tail)
    with pytest.raises(BundleError):
        unpack_bundle(read_bundle(tmp_path / "hello.mcpb")[0], tmp_path / "out")


def doubled() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate"):
        return with_member("server/index.js")


def encrypted() -> bytes:
    data = bytearray(archive())
    place = data.rindex(b"PK\x01\x02")
    data[place + 8] |= 1
    return bytes(data)


def overlapping() -> bytes:
    """Let the second member point at the first: a small file that unpacks to much."""
    data = bytearray(archive())
    place = data.rindex(b"PK\x01\x02")
    data[place + 42 : place + 46] = struct.pack("<I", 0)
    return bytes(data)


def hidden_between() -> bytes:
    """Put bytes between the last member and the list of members."""
    data = archive()
    start = data.index(b"PK\x01\x02")
    end = bytearray(data[start:])
    end[-6:-2] = struct.pack("<I", start + 4)
    return data[:start] + b"evil" + bytes(end)


def understated() -> bytes:
    """Say that a member is shorter than it is."""
    data = bytearray(archive())
    place = data.rindex(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 3)
    return bytes(data)


def empty() -> bytes:
    made = io.BytesIO()
    zipfile.ZipFile(made, "w").close()
    return made.getvalue()


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "no archive"),
    "no archive": (lambda: b"hello" * 99, "no archive"),
    "half": (lambda: archive()[:-30], "no archive"),
    "above": (lambda: with_member("../evil"), "leads out"),
    "above inside": (lambda: with_member("a/../../evil"), "leads out"),
    "absolute": (lambda: with_member("/etc/evil"), "leads out"),
    "empty part": (lambda: with_member("a//b"), "leads out"),
    "dot": (lambda: with_member("./b"), "leads out"),
    "drive": (lambda: with_member("C:/b"), "leads out"),
    "backslash": (lambda: with_member("a\\..\\b"), "no plain path"),
    "link": (lambda: with_member("a", b"/etc", stat.S_IFLNK | 0o777), "is a link"),
    "device": (lambda: with_member("a", mode=stat.S_IFCHR | 0o666), "is a link"),
    "folder by mode": (lambda: with_member("a", mode=stat.S_IFDIR | 0o755), "a folder"),
    "twice": (doubled, "twice"),
    "case": (lambda: with_member("server/INDEX.js"), "one on some systems"),
    "case of a folder": (lambda: with_member("Server/x"), "one on some systems"),
    "line end": (lambda: with_member("a\nb"), "control character"),
    "file and folder": (lambda: with_member("server/index.js/x"), "cannot be unpacked"),
    "before": (lambda: b"#!/bin/sh\n" + archive(), "before or behind"),
    "behind": (lambda: archive() + b"evil", "behind"),
    "comment": (
        lambda: archive()[:-2] + b"\x04\0evil",
        "behind",
    ),
    "between": (hidden_between, "between its files"),
    "encrypted": (encrypted, "encrypted"),
    "overlapping": (overlapping, "overlaps"),
    "understated": (understated, "no archive|as long"),
    "no manifest": (empty, r"no `manifest\.json`"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_clever_archive_is_refused(tmp_path: Path, what: str) -> None:
    make, message = REFUSED[what]
    with pytest.raises(BundleError, match=message):
        unpack_bundle(make(), tmp_path / "out" / "folder")
    assert not (tmp_path / "evil").exists()


def test_what_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "MAX_UNPACKED_BYTES", 1 << 20)
    with pytest.raises(BundleError, match="unpacks to more"):
        unpack_bundle(archive(zeros="0" * (1 << 20)), tmp_path)
    monkeypatch.setattr(bundle, "MAX_MEMBERS", 1)
    with pytest.raises(BundleError, match="more than 1 files"):
        unpack_bundle(archive(), tmp_path)


def test_a_bundle_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    monkeypatch.setattr(bundle, "MAX_BUNDLE_BYTES", 99)
    with pytest.raises(BundleError, match="larger than"):
        read_bundle(tmp_path / "a")


@given(
    place=st.integers(0, len(archive()) - 1),
    change=st.integers(1, 255),
)
def test_a_changed_byte_is_refused_or_harmless(
    place: int, change: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(archive())
    data[place] ^= change
    folder = tmp_path_factory.mktemp("bundle")
    try:
        unpack_bundle(bytes(data), folder)
    except BundleError:
        return
    for path in folder.rglob("*"):
        assert path.resolve().is_relative_to(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1, "a": 2}', "\ud800", "[" * 5000])
def test_a_manifest_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json"):
        unpack_bundle(
            archive(**{"manifest.json": text.encode("utf-8", "ignore").decode()}), tmp_path
        )


def manifest(kind: str, command: str, args: list[Any], **config: Any) -> dict[str, Any]:
    settings = {"command": command, "args": args, **config}
    return {**MANIFEST, "server": {"type": kind, "mcp_config": settings}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("server/index.js", "server/main.py", "lib/x.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "server" / "tool").write_bytes(b"\x7fELF")
    return tmp_path


def test_programs_of_each_type_run_from_the_tree(folder: Path) -> None:
    assert bundle_argv(MANIFEST, folder, ("x",)) == (
        "{node}",
        "{tree}/server/index.js",
        "x",
    )
    python = manifest(
        "python",
        "python3",
        ["${__dirname}${/}server/main.py", "--stdio"],
        env={"PYTHONPATH": "${__dirname}/lib"},
    )
    argv = bundle_argv(python, folder, ())
    assert argv[0] == "{python}"
    assert argv[-4:] == (RUN_FILE, "{tree}/lib", "{tree}/server/main.py", "--stdio")
    binary = manifest("binary", "${__dirname}/server/tool", [])
    assert bundle_argv(binary, folder, ()) == ("{tree}/server/tool",)
    assert [runtime_of_bundle(it) for it in (MANIFEST, python, binary)] == [
        *("node", "python", "none")
    ]


def test_values_of_the_user_stand_at_the_end(folder: Path) -> None:
    wanted = manifest(
        "node", "node", ["${__dirname}/server/index.js", "${user_config.folders}"]
    )
    argv = bundle_argv(wanted, folder, ("/a", "/b"))
    assert argv == ("{node}", "{tree}/server/index.js", "/a", "/b")
    with pytest.raises(BundleError, match="wants a value"):
        bundle_argv(wanted, folder, ())


def test_this_platforms_settings_count(folder: Path) -> None:
    overrides = {"linux": {"args": ["${__dirname}/server/index.js", "--linux"]}}
    config = manifest("node", "node", ["${__dirname}/x.js"], platform_overrides=overrides)
    assert bundle_argv(config, folder, ())[-1] == "--linux"


def test_what_it_wants_in_its_environment_is_told() -> None:
    config = manifest(
        "node", "node", [], env={"KEY": "${user_config.key}", "PYTHONPATH": ""}
    )
    (note,) = bundle_notes(config)
    assert "`KEY`" in note


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (manifest("uv", "uv", ["run"]), "would fetch packages"),
        (manifest("deno", "deno", []), "not known"),
        (manifest("node", "bash", ["-c", "evil"]), "not its type's interpreter"),
        (manifest("node", "/usr/bin/node", ["${__dirname}/a.js"]), "interpreter"),
        (manifest("node", "node", ["-e", "evil"]), "names no program"),
        (manifest("node", "node", ["${__dirname}/../a.js"]), "inside"),
        (manifest("node", "node", ["/opt/a.js"]), "names no program"),
        (manifest("node", "node", ["${HOME}/a.js"]), "cannot be filled in"),
        (manifest("node", "node", ["{tree}/a.js"]), "begins with"),
        (manifest("node", "node", ["${__dirname}/missing.js"]), "lacks its program"),
        (manifest("node", "node", ["${user_config.x}", "y"]), "cannot be filled in"),
        (manifest("node", "node", [1]), "cannot be filled in"),
        (manifest("node", "node", "x"), "no command and arguments"),  # type: ignore[arg-type]
        (manifest("binary", "/bin/sh", []), "no path in it"),
        (manifest("binary", "${__dirname}/server/index.js", []), "is a script"),
        ({**MANIFEST, "compatibility": {"platforms": ["win32"]}}, "not made for"),
        ({**MANIFEST, "server": []}, "no object"),
        ({}, "not known"),
    ],
)
def test_what_cannot_be_locked_is_refused(
    folder: Path, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(LockError, match=message):
        bundle_argv(config, folder, ())
