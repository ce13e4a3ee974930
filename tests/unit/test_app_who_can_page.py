"""The page of rights as text; people look at it in `tests/browser`."""

from __future__ import annotations

import pytest

from bascule.app.who_can import Right
from bascule.app.who_can_page import MOST_CELLS, who_can_page
from bascule.errors import BasculeError


def right(user: str, tool: str, because: str) -> Right:
    return Right(user, "desk", "files", tool, "allow", "allowed", [because])


def test_a_page_that_no_browser_would_show_is_refused() -> None:
    tools = [f"t{n}" for n in range(500)]
    users = MOST_CELLS // len(tools) + 1
    found = (right(f"user:{n}", tool, f"r{n}") for n in range(users) for tool in tools)
    with pytest.raises(BasculeError, match="201 columns and 500 rows: choose with --user"):
        who_can_page(found, made="now")


def test_however_many_may_do_the_same_they_share_a_column() -> None:
    found = (right(f"user:{n}", "t", "r") for n in range(3000))
    page = who_can_page(found, made="now")
    assert page.count("<td") == 1
    assert "user:2999 via desk" in page
    assert "May use nothing" not in page


def test_nobody_may_use_anything() -> None:
    assert "Nobody may use anything." in who_can_page((), made="now")
