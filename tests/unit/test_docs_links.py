"""Links between pages lead somewhere, and what pages name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE_PATH = re.compile(r"`((?:src|tests|docs|scripts|requirements)/[\w./-]+)`")
NAMED_TEST = re.compile(r"\[`(test_\w+)`\]\(([^)\s]+)\)")
TITLE = re.compile(r"^#+ +(.*)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's titles, as the common viewers make them."""
    titles = TITLE.findall(page.read_text())
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def broken(page: Path) -> list[str]:
    """Give the links of a page that lead nowhere."""
    found = []
    for link in LINK.findall(page.read_text()):
        place, _, anchor = link.partition("#")
        if "://" in place:
            continue
        target = (page.parent / place).resolve() if place else page
        known = target.exists() and (not anchor or anchor in anchors(target))
        if not known or not target.is_relative_to(ROOT):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_pages_and_titles_that_exist(page: Path) -> None:
    assert broken(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = CODE_PATH.findall(page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_that_a_page_names_are_where_it_says(page: Path) -> None:
    for name, place in NAMED_TEST.findall(page.read_text()):
        assert f"def {name}(" in (page.parent / place).read_text(), name


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[a](missing.md) [b](#nothing) [c](https://example.com/x)")
    assert broken(page) == ["missing.md", "#nothing"]
