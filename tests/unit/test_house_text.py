"""What all text of the repository keeps to."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IGNORED = [".git", *(ROOT / ".gitignore").read_text().split()]
MACHINE = re.compile(rb"(?<![\w.~$)}])/(?:work|root)/")
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
HEADINGS = ["Context", "Decision", "Consequences", "What would change our mind"]
WITHOUT_LAST = {"0001", "0002", "0003"}
"""Decisions without which this would be another program: nothing would change them."""


def files() -> Iterator[Path]:
    """Give the files of the repository: all that is not ignored."""
    patterns = [pattern.rstrip("/") for pattern in IGNORED]
    for folder, folders, names in os.walk(ROOT):
        kept = [it for it in folders if not any(fnmatch.fnmatch(it, p) for p in patterns)]
        folders[:] = kept
        for name in names:
            if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
                yield Path(folder) / name


def test_no_file_names_a_place_on_some_machine() -> None:
    assert MACHINE.search(b"see /" + b"root/x")
    found = {path for path in files() if MACHINE.search(path.read_bytes())}
    assert found == set()


def test_no_two_modules_of_tests_have_one_name() -> None:
    """They are imported by their names alone, so the second would not be collected."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) > 1
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_its_number_its_status_and_four_parts(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {int(page.stem[:4])}. ")
    assert re.search(r"^Status: \w+.*\d{4}-\d{2}\.$", text, re.MULTILINE)
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == HEADINGS or (
        page.stem[:4] in WITHOUT_LAST and headings == HEADINGS[:-1]
    )


def test_no_two_decisions_share_a_number() -> None:
    numbers = [page.stem[:4] for page in DECISIONS]
    assert len(set(numbers)) == len(numbers)
