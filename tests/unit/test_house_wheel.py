"""The wheel has all that the program reads beside its modules."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        packed = {name for name in opened.namelist() if name.startswith("bascule/")}
    sources = ROOT / "src"
    files = {path for path in (sources / "bascule").rglob("*") if path.is_file()}
    wanted = {
        str(path.relative_to(sources)) for path in files if "__pycache__" not in path.parts
    }
    assert {Path(name).suffix for name in wanted} >= {".py", ".html", ".css", ".js", ".svg"}
    assert packed == wanted | {"bascule/release.lock"}
