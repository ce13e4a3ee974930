"""`bascule verify --self` on a wheel that was built, installed, and then changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from uv import find_uv_bin

from bascule.cli.schemas import schema_of
from bascule.lock.installed_files import Installed
from bascule.lock.wheel_records import digest_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def whole(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install it with all that it needs, as the lock says."""
    folder = tmp_path_factory.mktemp("installed") / "site"
    (wheel,) = wheels.glob("*.whl")
    locked = ["-r", str(ROOT / "requirements" / "runtime.txt"), "--require-hashes"]
    for what in (locked, [str(wheel)]):
        command = [
            find_uv_bin(),
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--target",
            str(folder),
        ]
        python = ["--python", sys.executable, "--link-mode", "copy"]
        subprocess.run([*command, *python, *what], check=True, capture_output=True)
    return folder


@pytest.fixture
def site(whole: Path) -> Iterator[Path]:
    """Give the installation, as it was before once the test is over."""
    before = {path: path.read_bytes() for path in watched(whole)}
    yield whole
    for path in watched(whole):
        if path not in before:
            path.unlink()
    for path, data in before.items():
        path.write_bytes(data)
    shutil.rmtree(whole / "bascule" / "__pycache__", ignore_errors=True)


def watched(site: Path) -> set[Path]:
    """Give the files that tests change."""
    tops = [site, site / "bascule", site / "click", *site.glob("click-*.dist-info")]
    return {it for top in tops for it in top.iterdir() if it.is_file() or it.is_symlink()}


def verify(site: Path, code: int) -> dict[str, Any]:
    """Run the installed program itself, with nothing else to import."""
    begin = f"import sys; sys.path.insert(0, {str(site)!r})"
    run = "from bascule.cli.main import main; main(['verify', '--self', '--json'])"
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", f"{begin}; {run}"],
        env={"PATH": os.environ["PATH"], "HOME": str(site.parent)},
        cwd=site.parent,
        capture_output=True,
        text=True,
    )
    assert result.returncode == code, result.stderr
    row = json.loads(result.stdout)
    jsonschema.validate(row, schema_of("verify") or {})
    assert isinstance(row, dict)
    return row


def parts(row: dict[str, Any]) -> list[str]:
    return [it["part"] for it in row["drift"]]


def compiled(site: Path, name: str, source: str | None = None) -> Path:
    """Have a module compiled, of another source if one is given; gives the bytecode."""
    path = site / "bascule" / name
    kept = path.read_bytes()
    if source is not None:
        path.write_text(source)
    words = ["-I", "-S", "-m", "py_compile", str(path)]
    subprocess.run([sys.executable, *words], check=True, env={})
    path.write_bytes(kept)
    (made,) = (site / "bascule" / "__pycache__").glob(f"{path.stem}.*.pyc")
    return made


def test_what_was_released_is_ok_and_says_what_that_cannot_show(site: Path) -> None:
    row = verify(site, 0)
    assert (row["connector"], row["ok"], row["approved"], row["drift"]) == (
        *("bascule", True, True),
        [],
    )
    assert "can write the lists" in row["not_assessed"][0]
    assert len(row["digest"]) == 64


def test_one_byte_of_our_own_is_drift(site: Path) -> None:
    path = site / "bascule" / "clock.py"
    path.write_bytes(path.read_bytes() + b"\n")
    assert parts(verify(site, 1)) == ["bascule/clock.py"]


def test_one_byte_of_a_dependency_is_drift(site: Path) -> None:
    path = site / "click" / "core.py"
    path.write_bytes(path.read_bytes() + b"\n")
    assert parts(verify(site, 1)) == ["click/core.py"]


def test_a_changed_file_with_a_changed_list_is_seen_by_the_digest(site: Path) -> None:
    before = verify(site, 0)["digest"]
    path = site / "click" / "py.typed"
    path.write_text("# changed\n")
    (record,) = site.glob("click-*.dist-info/RECORD")
    lines = record.read_text().splitlines()
    changed = f"click/py.typed,sha256={digest_of(path.read_bytes())},10"
    lines = [changed if it.startswith("click/py.typed,") else it for it in lines]
    record.write_text("\n".join(lines) + "\n")
    row = verify(site, 0)
    assert row["drift"] == []
    assert row["digest"] != before


def test_files_that_no_list_has_with_their_hash_are_drift(site: Path) -> None:
    (site / "bascule" / "__pycache__").mkdir(exist_ok=True)
    names = ("__pycache__/more.pyc", "more.py", "more.pyc", "more.so")
    for name in names:
        (site / "bascule" / name).write_bytes(b"")
    (site / "click" / "more.py").write_text("")
    (record,) = site.glob("click-*.dist-info/RECORD")
    record.write_text(record.read_text() + "click/more.py,,\n")
    found = parts(verify(site, 1))
    assert sorted(found) == [*(f"bascule/{it}" for it in names), "click/more.py"]


def test_a_list_of_another_package_excuses_nothing(site: Path, tmp_path: Path) -> None:
    more = site / "bascule" / "more.py"
    more.write_text("")
    info = site / "more-1.0.dist-info"
    info.mkdir()
    line = f"bascule/more.py,sha256={digest_of(b'')},0\nmore-1.0.dist-info/RECORD,,\n"
    (info / "RECORD").write_text(line)
    try:
        row = verify(site, 1)
    finally:
        shutil.rmtree(info)
    assert parts(row) == ["bascule/more.py"]
    assert any(it.endswith(": more") for it in row["not_assessed"])


def test_what_comes_before_a_module_of_one_file_is_drift(site: Path) -> None:
    (site / "typing_extensions.so").write_bytes(b"")
    (site / "unrelated.py").write_text("")
    folder = site / "typing_extensions"
    folder.mkdir()
    other = site / "other.py"
    other.write_text("evil = 1")
    words = "import py_compile, sys; py_compile.compile(sys.argv[1], sys.argv[2])"
    tag = sys.implementation.cache_tag
    made = site / "__pycache__" / f"typing_extensions.{tag}.pyc"
    subprocess.run([sys.executable, "-I", "-c", words, str(other), str(made)], check=True)
    installed = Installed(site, frozenset({"typing-extensions"}))
    found = [it.part for it in installed.drift_beside()]
    folder.rmdir()
    shutil.rmtree(site / "__pycache__")
    assert found == [
        "typing_extensions",
        "typing_extensions.so",
        f"__pycache__/{made.name}",
    ]


def test_a_link_in_the_place_of_a_file_is_drift(site: Path, tmp_path: Path) -> None:
    path = site / "bascule" / "clock.py"
    other = tmp_path / "clock.py"
    other.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(other)
    try:
        assert parts(verify(site, 1)) == ["bascule/clock.py"]
    finally:
        path.unlink()


def test_another_version_of_a_dependency_is_drift(site: Path) -> None:
    lock = site / "bascule" / "release.lock"
    lock.write_text(lock.read_text().replace("click==", "click==1."))
    row = verify(site, 1)
    assert parts(row) == ["bascule/release.lock", "click"]


def test_bytecode_of_its_source_is_no_drift_and_other_bytecode_is(site: Path) -> None:
    compiled(site, "errors.py")
    assert verify(site, 0)["ok"]
    made = compiled(site, "errors.py", '"""Other."""\nclass BasculeError(Exception): ...\n')
    row = verify(site, 1)
    assert parts(row) == [made.relative_to(site).as_posix()]


def test_a_checkout_cannot_be_verified_and_is_not_fine() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "bascule.cli.main", "verify", "--self", "--json"],
        capture_output=True,
        text=True,
    )
    row = json.loads(result.stdout)
    assert (result.returncode, row["ok"], row["drift"], row["digest"]) == (1, False, [], "")
    assert "checkout" in row["not_assessed"][0]
