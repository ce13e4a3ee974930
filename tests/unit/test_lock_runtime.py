"""Finding the interpreter that runs a connector, and telling when it is another."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from bascule.lock.interpreter_files import InterpreterFiles
from bascule.lock.model import LockError, Runtime
from bascule.lock.runtime import NOTHING, find_runtime, platform_name

BASE = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
CONFIGURED = f"{sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]}"


def test_the_platform_has_system_machine_and_c_library() -> None:
    assert re.fullmatch(r"linux-[a-z0-9_]+-(glibc|musl|unknown)", platform_name())


def test_the_first_choice_is_the_interpreter_below_the_virtual_environment() -> None:
    found = find_runtime("python", {})
    assert found.path == BASE
    assert found.prefix == Path(sys.base_prefix)
    assert found.runtime.version == CONFIGURED
    assert len(found.runtime.sha256) == len(found.runtime.library_sha256) == 64
    assert BASE in found.reads


def test_what_it_reads_is_enough_for_what_it_is() -> None:
    found = find_runtime("python", {})
    library = Path(os.__file__).parent
    assert any(library == read or read in library.parents for read in found.reads)


def test_node_is_found_on_the_path() -> None:
    found = find_runtime("node", os.environ)
    said = subprocess.run([found.path, "--version"], capture_output=True, check=True)
    assert said.stdout.decode().strip() == f"v{found.runtime.version}"
    assert not found.path.is_symlink()


def test_machine_code_needs_no_interpreter() -> None:
    assert find_runtime("none", {}) is NOTHING


def test_without_node_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LockError, match=r"no Node\.js"):
        find_runtime("node", {"PATH": str(tmp_path)})


def test_what_does_not_answer_as_an_interpreter_is_none(tmp_path: Path) -> None:
    (tmp_path / "node").write_text("#!/bin/sh\necho hello\n")
    (tmp_path / "node").chmod(0o755)
    with pytest.raises(LockError, match=r"no Node\.js"):
        find_runtime("node", {"PATH": str(tmp_path)})


def test_another_than_the_locked_one_shows_as_what_it_is() -> None:
    other = Runtime("python", CONFIGURED, "0" * 64)
    found = find_runtime("python", {}, like=other)
    assert found.path == BASE
    assert found.runtime != other


def test_the_locked_one_is_preferred_to_the_first_choice(tmp_path: Path) -> None:
    fake = _fake_node(tmp_path / "first", "1.0.0")
    _fake_node(tmp_path / "second", "2.0.0", name="nodejs")
    path = f"{tmp_path / 'first'}:{tmp_path / 'second'}"
    first = find_runtime("node", {"PATH": path})
    assert first.path == fake
    second = find_runtime("node", {"PATH": str(tmp_path / "second")}).runtime
    assert find_runtime("node", {"PATH": path}, like=second).runtime == second


def _fake_node(folder: Path, version: str, name: str = "node") -> Path:
    """Make a program that answers as Node.js would."""
    folder.mkdir()
    path = folder / name
    path.write_text(
        f'#!/bin/sh\necho \'{{"executable":"{path}","prefix":"{folder}","library":null,'
        f'"shared":[],"version":"{version}","implementation":"node"}}\'\n'
    )
    path.chmod(0o755)
    return path


def test_what_is_remembered_is_looked_at_again_when_a_file_was_touched(
    tmp_path: Path,
) -> None:
    path = _fake_node(tmp_path / "bin", "1.0.0")
    environment, cache = {"PATH": str(path.parent)}, tmp_path / "cache" / "runtimes.json"
    before = find_runtime("node", environment, cache=cache)
    assert cache.stat().st_mode & 0o777 == 0o600
    assert find_runtime("node", environment, cache=cache) == before
    status = path.stat()
    path.write_text(path.read_text().replace("1.0.0", "1.0.1"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # ctime tells all the same
    after = find_runtime("node", environment, cache=cache)
    assert after.runtime.version == "1.0.1"
    assert after.runtime.sha256 != before.runtime.sha256


def test_a_remembered_interpreter_is_not_run_again(tmp_path: Path) -> None:
    path = _fake_node(tmp_path / "bin", "1.0.0")
    (tmp_path / "ran").touch()
    path.write_text(path.read_text() + f"echo ran >> {tmp_path / 'ran'} \n")
    environment, cache = {"PATH": str(path.parent)}, tmp_path / "runtimes.json"
    for _ in range(3):
        find_runtime("node", environment, cache=cache)
    assert (tmp_path / "ran").read_text() == "ran\n"


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"x": 1}'])
def test_a_broken_memory_is_none(tmp_path: Path, content: bytes) -> None:
    cache = tmp_path / "runtimes.json"
    cache.write_bytes(content)
    assert find_runtime("python", {}, cache=cache).path == BASE


def test_where_nothing_can_be_remembered_it_is_found_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = find_runtime("python", {}, cache=tmp_path / "file" / "runtimes.json")
    assert found.path == BASE


def test_a_virtual_environment_on_the_path_is_not_what_runs(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    found = find_runtime("python", {"PATH": str(tmp_path / "venv" / "bin")})
    assert found.path == BASE


@pytest.fixture
def interpreter(tmp_path: Path) -> InterpreterFiles:
    """Give the files of something like an interpreter."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("machine code")
    (tmp_path / "lib" / "json").mkdir(parents=True)
    (tmp_path / "lib" / "json" / "__init__.py").write_text("import os")
    (tmp_path / "libpython.so").write_text("more of it")
    return InterpreterFiles(
        tmp_path / "bin" / "python", tmp_path / "lib", (tmp_path / "libpython.so",)
    )


@pytest.mark.parametrize(
    "path", ["lib/json/__init__.py", "lib/json/more.py", "libpython.so", "lib/os.so"]
)
def test_the_standard_library_is_locked(
    interpreter: InterpreterFiles, tmp_path: Path, path: str
) -> None:
    before = interpreter.library_digest(), interpreter.signature()
    (tmp_path / path).write_text("import evil")
    assert interpreter.library_digest() != before[0]
    assert interpreter.signature() != before[1]


@pytest.mark.parametrize("folder", ["site-packages", "__pycache__", "json/__pycache__"])
def test_what_others_write_beside_it_is_not(
    interpreter: InterpreterFiles, tmp_path: Path, folder: str
) -> None:
    before = interpreter.library_digest(), interpreter.signature()
    (tmp_path / "lib" / folder).mkdir()
    (tmp_path / "lib" / folder / "more.py").write_text("")
    assert (interpreter.library_digest(), interpreter.signature()) == before


def test_its_digest_does_not_depend_on_where_it_lies(
    interpreter: InterpreterFiles, tmp_path: Path
) -> None:
    shutil.copytree(tmp_path, tmp_path / "copy")
    copy = tmp_path / "copy"
    other = InterpreterFiles(
        copy / "bin" / "python", copy / "lib", (copy / "libpython.so",)
    )
    assert other.library_digest() == interpreter.library_digest()
    assert other.executable_digest() == interpreter.executable_digest()
