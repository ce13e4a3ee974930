"""Somebody who has a keyboard alone."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

MOST_STEPS = 25
"""Of Tab; whoever needs more gives up."""


def go_to(page: Page, wanted: Locator) -> None:
    """Tab until something has the focus."""
    expect(wanted).to_be_visible()
    for _ in range(MOST_STEPS):
        if wanted.evaluate("it => it === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {wanted}")


def press(page: Page, name: str, *, role: str = "button") -> None:
    """Tab to a button, or a link, and press Enter on it."""
    go_to(page, page.get_by_role(role, name=name, exact=True))  # type: ignore[arg-type]
    page.keyboard.press("Enter")


def fill(page: Page, label: str, text: str) -> None:
    """Tab to a field and type into it."""
    go_to(page, page.get_by_label(label, exact=True))
    page.keyboard.type(text)
