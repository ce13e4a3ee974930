"""The release lock is read whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from bascule.lock.model import LockError
from bascule.lock.own_release import read_versions

RUNTIME = Path(__file__).parents[2] / "requirements" / "runtime.txt"


def test_every_package_of_the_lock_has_its_version() -> None:
    text = RUNTIME.read_text()
    found = dict(read_versions(text))
    assert found["click"]
    pinned = [it for it in text.split("\n") if "==" in it and it[0].isalpha()]
    # What is for other systems alone.
    elsewhere = ("sys_platform != 'linux'", "sys_platform == 'win32'")
    here = [line for line in pinned if not any(it in line for it in elsewhere)]
    assert len(found) == len(here)


def test_names_are_normalised_and_other_platforms_left_out() -> None:
    text = "A_b.C==1 \\\n    --hash=sha256:00\n    # via x\nd==2 ; sys_platform == 'none'\n"
    assert dict(read_versions(text)) == {"a-b-c": "1"}


@pytest.mark.parametrize("line", ["a>=1", "a", "a==1,==2", "-r other.txt", "a==1.*"])
def test_a_line_without_one_version_is_refused(line: str) -> None:
    with pytest.raises(LockError, match="release lock"):
        dict(read_versions(line))
