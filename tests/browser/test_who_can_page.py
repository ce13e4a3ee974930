"""The page of rights: one file, for people with a keyboard, and for hostile names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from bascule.app.who_can import Right
from bascule.app.who_can_page import who_can_page
from browser.chromium import barriers, visiting

HOSTILE = '</script><script>document.title = "taken"</script><img src=x onerror=alert(1)>'


def row(user: str | None, agent: str, tool: str, decision: str) -> Right:
    reasons = {"allow": "role:x", "maybe": "only-docs", "deny": "no_user_right"}
    return Right(user, agent, "files", tool, decision, "", [reasons[decision]])  # type: ignore[arg-type]


ROWS = [
    row(user, agent, tool, decision)
    for user, agent, decisions in (
        ("user:alice", "desk", ("allow", "maybe", "deny")),
        ("user:alice", HOSTILE, ("allow", "deny", "deny")),
        ("user:bob", "desk", ("allow", "maybe", "deny")),
        ("user:bob", HOSTILE, ("deny", "deny", "deny")),
        (None, "desk", ("deny", "deny", "deny")),
    )
    for tool, decision in zip(("read", HOSTILE, "write\u202e"), decisions, strict=True)
]


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    file = tmp_path / "who.html"
    file.write_text(who_can_page(ROWS, made="now"), encoding="utf-8")
    with visiting(browser) as made:
        made.goto(file.as_uri())
        yield made


def test_who_may_do_the_same_shares_a_column(page: Page) -> None:
    heads = page.locator("thead th")
    expect(heads).to_have_count(3)
    expect(heads.nth(1)).to_have_text("user:alice, user:bob via desk")
    expect(heads.nth(2)).to_contain_text("user:alice via </script>")
    page.get_by_text("May use nothing (2)").click()
    expect(page.locator("details")).to_contain_text("no user via desk")


def test_names_are_text_and_nothing_else(page: Page) -> None:
    assert page.title() == "Who can use what · Bascule"
    expect(page.get_by_role("rowheader", name=HOSTILE)).to_be_visible()
    assert "\u202e" not in page.content()


def test_the_keyboard_is_enough(page: Page) -> None:
    for _ in range(4):  # two fields, the sheet, the table
        page.keyboard.press("Tab")
    said = page.get_by_role("status")
    expect(said).to_have_text("files/read: yes for user:alice, user:bob via desk. role:x")
    page.keyboard.press("ArrowDown")
    expect(said).to_contain_text("if for user:alice, user:bob via desk. only-docs")
    page.keyboard.press("End")
    expect(said).to_contain_text("no for user:alice via </script>")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("alert(1)")  # in the field for users and agents
    expect(page.locator("thead th:not([hidden])")).to_have_count(2)
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("read")
    expect(page.locator("tbody tr:not(.connector):not([hidden])")).to_have_count(1)


def test_nothing_is_in_the_way_of_people(page: Page) -> None:
    assert barriers(page) == []
