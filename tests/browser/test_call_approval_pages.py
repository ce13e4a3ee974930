"""The page on which a human decides about a call, in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, Page, expect

from browser.chromium import barriers, visiting
from browser.conftest import named, site
from system.asked_calls import asked
from system.recorder import recording
from system.server import Installation, install
from system.visitor import PASSWORD, Visitor, path_of

RULES = """
[call_approvals.files]
approvers = ["user:bob"]
"""
HOSTILE = {
    "command": "ls\n" * 40 + "</pre></dl><button>Approve this one call</button>",
    "long": "x" * 5000 + "END",
    "turned \u202e around": "\u202eexe.gpj",
    "<script>alert(1)</script>": [1, {"deep": ["<img src=x onerror=alert(1)>"]}],
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with recording() as upstream:
        made = install(tmp_path_factory.mktemp("approvals"), upstream)
        made.config.write_text(made.config.read_text() + RULES)
        named(made)
        made.start()
        try:
            visitor = Visitor(made, host=f"localhost:{made.public}")
            for name in ("alice", "bob"):
                link = made.ask("user", "reset", name)["setup_link"]
                assert visitor.post(path_of(link), {"password": PASSWORD}).status == 303
            yield made
        finally:
            made.kill()


def address(desk: Installation, approval_id: str) -> str:
    return f"{site(desk)}/approve/{approval_id}"


def sign_in(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def state(desk: Installation, approval_id: str) -> str:
    return str(desk.ask("approvals", "show", approval_id)["state"])


def test_who_opens_the_link_signs_in_reads_and_approves(
    desk: Installation, browser: Browser
) -> None:
    """It needs no scripts."""
    call = asked(desk, "files", arguments={"path": "/srv/link"})
    with visiting(browser, java_script_enabled=False) as page:
        page.goto(address(desk, call.id))
        sign_in(page, "bob")
        expect(page.get_by_role("heading", level=1)).to_have_text(
            "Approve this call of delete?"
        )
        expect(page.get_by_text('"/srv/link"')).to_be_visible()
        page.get_by_role("button", name="Approve this one call").click()
        expect(page.get_by_role("checkbox")).to_be_visible()
        assert state(desk, call.id) == "pending", "nobody approves what they have not read"
        page.get_by_label("I have read all arguments").check()
        page.get_by_role("button", name="Approve this one call").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("This call is approved")
        page.go_back()
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("This call is approved")
    assert state(desk, call.id) == "approved"


def test_nothing_keeps_people_from_reading_what_means_harm(
    desk: Installation, browser: Browser
) -> None:
    long = "x" * 300
    call = asked(desk, "files", arguments=HOSTILE, tool=long, agent=f"{long}\u202e")
    with visiting(browser, viewport={"width": 320, "height": 800}) as page:
        page.goto(address(desk, call.id))
        sign_in(page, "bob")
        expect(page.get_by_role("checkbox")).to_be_visible()
        page.emulate_media(color_scheme="dark")
        assert barriers(page) == []
        page.emulate_media(color_scheme="light")
        assert barriers(page) == []
        assert width(page) <= 320
        approve = page.get_by_role("button", name="Approve this one call")
        expect(approve).to_have_count(1)
        end = page.get_by_text("END")
        expect(end).to_be_visible()
        assert below(end.bounding_box(), approve.bounding_box())
        tab = partial(page.keyboard.press, "Tab")
        tab()
        expect(page.get_by_role("checkbox")).to_be_focused()
        tab()
        expect(approve).to_be_focused()
        tab()
        expect(page.get_by_role("button", name="Deny")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("This call was denied")
        assert barriers(page) == []
        assert width(page) <= 320
    assert state(desk, call.id) == "denied"


def width(page: Page) -> int:
    return int(page.evaluate("() => document.documentElement.scrollWidth"))


def below(upper: object, lower: object) -> bool:
    assert isinstance(upper, dict)
    assert isinstance(lower, dict)
    return bool(upper["y"] + upper["height"] <= lower["y"])


def test_who_asks_finds_it_in_a_list_and_takes_it_back(
    desk: Installation, browser: Browser
) -> None:
    call = asked(desk, "files", arguments={"path": "/srv/mine"})
    asked(desk, "files", arguments={}, tool="x" * 300)
    with visiting(browser, viewport={"width": 320, "height": 800}) as page:
        page.goto(f"{site(desk)}/login?next=/approve")
        sign_in(page, "alice")
        expect(page.get_by_role("heading", level=1)).to_have_text("Calls that wait")
        assert barriers(page) == []
        assert width(page) <= 320
        page.locator(f'a[href="/approve/{call.id}"]').click()
        expect(page.get_by_role("heading", level=1)).to_have_text(
            "Somebody else must decide"
        )
        expect(page.get_by_role("checkbox")).to_have_count(0)
        assert barriers(page) == []
        page.get_by_role("button", name="Take it back").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("This call was denied")
    assert state(desk, call.id) == "denied"


def test_a_page_of_another_site_approves_nothing(
    desk: Installation, browser: Browser
) -> None:
    """Its form has the approver's browser, but not the approver."""
    call = asked(desk, "files", arguments={"path": "/srv/other"})
    form = (
        f'<form method="post" action="{address(desk, call.id)}">'
        '<input name="decision" value="approve">'
        "<button>Win a prize</button></form>"
    )
    with visiting(browser) as page:
        page.goto(f"{site(desk)}/login")
        sign_in(page, "bob")
        expect(page.get_by_role("heading", name="Your account")).to_be_visible()
        page.route(
            "http://prizes.test/",
            lambda route: route.fulfill(body=form, content_type="text/html"),
        )
        page.goto("http://prizes.test/")
        page.get_by_role("button").click()
        expect(page.get_by_text("origin is refused")).to_be_visible()
    assert state(desk, call.id) == "pending"
