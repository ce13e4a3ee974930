"""Real attestations of real files: they come with the sources of `pypi-attestations`."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = "pypi-attestations"


def assets_once(folder: Path) -> Path:
    """Give the folder of documents, fetched by the first of all who share `folder`."""
    target = folder / "provenance"
    with (folder / "provenance.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            fetching = folder / "provenance.fetching"
            shutil.rmtree(fetching, ignore_errors=True)
            fetching.mkdir()
            fetch_assets(fetching).rename(target)
    return target


def fetch_assets(folder: Path) -> Path:
    """Download the sources that are locked, hash and all; gives the folder within."""
    locked = (ROOT / "requirements" / "dev.txt").read_text()
    pin = re.search(rf"^{PACKAGE}==(.*\n)(?: +--hash.*\n)+", locked, re.MULTILINE)
    assert pin is not None
    (folder / "wanted.txt").write_text(pin.group())
    # The virtual environment has no pip; the interpreter that it was made with does.
    interpreter = getattr(sys, "_base_executable", sys.executable)
    download = [interpreter, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
    exact = ["--no-deps", "--no-binary", ":all:", "--require-hashes", "-r", "wanted.txt"]
    subprocess.run([*download, *exact], cwd=folder, check=True, timeout=100)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    (assets,) = folder.glob("*/test/assets")
    return assets
