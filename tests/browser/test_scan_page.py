"""The page of a scan: one file without a network, for people with a keyboard."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, Request, expect

from bascule.app.scan_page import scan_page
from browser.chromium import barriers, visiting
from patience import PATIENCE
from scanned import HOSTILE, RULES, hostile, nothing_accepted, report

USUAL, BAD = report(), hostile()
SCANNED = replace(
    USUAL,
    servers=(
        *USUAL.servers,
        replace(USUAL.servers[0], name="b", through_bascule=True, state="token_required"),
        *BAD.servers,
    ),
    findings=(*USUAL.findings, *BAD.findings),
    not_assessed=(*USUAL.not_assessed, *BAD.not_assessed),
    requests=(*USUAL.requests, *BAD.requests),
)


@pytest.fixture
def asked() -> list[str]:
    """What the page asks a network for."""
    return []


@pytest.fixture
def file(tmp_path: Path) -> str:
    made = tmp_path / "scan.html"
    text = scan_page(SCANNED, nothing_accepted(SCANNED), made="now", rules=RULES)
    made.write_text(text, encoding="utf-8")
    return made.as_uri()


@pytest.fixture
def page(browser: Browser, file: str, asked: list[str]) -> Iterator[Page]:
    def note(request: Request) -> None:
        if request.url != file:
            asked.append(request.url)

    with visiting(browser) as made:
        made.on("request", note)
        made.goto(file)
        yield made


def test_it_asks_for_nothing_and_text_of_others_is_text(
    page: Page, asked: list[str]
) -> None:
    assert page.title() == "MCP servers and who reaches them · Bascule"
    expect(page.locator("article h3", has_text=HOSTILE[:60])).to_have_count(1)
    assert asked == []


LEAVE = """(there) => new Promise((done) => {
  const image = document.createElement("img");
  image.onerror = () => fetch(there).then(() => done("went"), () => done("refused"));
  image.onload = () => done("went");
  image.src = there;
  document.body.append(image);
})"""


def test_whatever_ran_in_it_could_send_nothing(browser: Browser, file: str) -> None:
    """If text of others became an element after all, its policy would stop it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        there = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        context = browser.new_context()
        try:
            page = context.new_page()
            page.goto(file)
            assert page.evaluate(LEAVE, there) == "refused"
            with pytest.raises(BlockingIOError):
                listener.accept()
            page.goto("about:blank")  # the same without the policy does reach it
            page.evaluate(f"(there) => {{ ({LEAVE})(there); }}", there)
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                page.evaluate("0")
                with contextlib.suppress(BlockingIOError):
                    listener.accept()[0].close()
                    break
            else:
                pytest.fail("the test reaches nobody, and so shows nothing")
        finally:
            context.close()


def test_the_keyboard_shows_the_lines_of_one_server(page: Page) -> None:
    server = page.get_by_role("img", name="notes: open, reached by private networks")
    server.focus()
    lines = page.locator("#map .lines path")
    faint = page.locator("#map .lines path.faint")
    expect(faint).to_have_count(lines.count() - 1)
    page.keyboard.press("Escape")
    expect(faint).to_have_count(0)


def test_findings_are_searched_and_sieved(page: Page) -> None:
    shown = page.locator("article.cause:not([hidden])")
    expect(shown).to_have_count(3)
    page.get_by_label("Search").fill("uvx mcp-server-time")
    expect(shown).to_have_count(1)
    expect(page.get_by_role("status")).to_have_text("1 of 3 shown")
    page.get_by_label("Search").fill("")
    page.get_by_label("At least").select_option("high")
    expect(shown).to_have_count(2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_in_the_way_of_people(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.get_by_text("2 in all").click()
    assert barriers(page) == []
