"""Login, set-up and account pages in Chromium: by mouse, by keyboard, by passkey."""

from __future__ import annotations

import base64
import hashlib
import http.server
import threading
from collections.abc import Iterator
from itertools import count, product

import pytest
from playwright.sync_api import Browser, Page, expect

from bascule.storage.login_failures import FREE_ATTEMPTS
from bascule.web.local_path import local_path
from browser.chromium import Authenticator, barriers, visiting
from browser.conftest import site
from system.server import Installation
from system.visitor import PASSWORD

_numbers = count(1)


@pytest.fixture
def name() -> str:
    return f"person{next(_numbers)}"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with visiting(browser) as made:
        yield made


def link_for(bascule: Installation, name: str) -> str:
    return str(bascule.ask("user", "add", name)["setup_link"])


def set_password(page: Page, link: str, password: str = PASSWORD) -> None:
    page.goto(link)
    page.get_by_label("New password").fill(password)
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def make_passkey(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_role("button", name="Create a passkey").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()


def use_passkey(page: Page) -> None:
    page.get_by_role("button", name="Sign in with a passkey").click()


def test_a_link_becomes_a_password_a_login_and_a_logout(
    bascule: Installation, page: Page, name: str
) -> None:
    set_password(page, link_for(bascule, name))
    expect(page.get_by_text(f"signed in as {name}")).to_be_visible()
    sign_out(page)
    sign_in(page, name, "not my password at all")
    expect(page.get_by_role("alert").first).to_have_text(
        "Name and password do not go together."
    )
    expect(page.get_by_label("Name")).to_have_value(name)
    sign_in(page, name)
    expect(page.get_by_text(f"signed in as {name}")).to_be_visible()
    page.reload()
    expect(page.get_by_text("this browser")).to_be_visible()


def test_a_link_that_was_used_says_so(bascule: Installation, page: Page, name: str) -> None:
    link = link_for(bascule, name)
    set_password(page, link)
    page.goto(link)
    expect(page.get_by_role("heading")).to_have_text("This link is no longer good")


def test_somebody_is_led_back_to_where_the_login_began(
    bascule: Installation, page: Page, name: str
) -> None:
    set_password(page, link_for(bascule, name))
    sign_out(page)
    page.goto(f"{site(bascule)}/account?from=here")
    sign_in(page, name)
    expect(page).to_have_url(f"{site(bascule)}/account?from=here")


def test_a_passkey_is_made_and_used(bascule: Installation, page: Page, name: str) -> None:
    authenticator = Authenticator(page)
    make_passkey(page, link_for(bascule, name))
    (credential,) = authenticator.credentials
    assert credential["rpId"] == "localhost"
    assert credential["isResidentCredential"]
    expect(page.get_by_text("No password")).to_be_visible()
    expect(page.get_by_role("button", name="Remove")).to_have_count(0)
    for _ in range(2):
        sign_out(page)
        use_passkey(page)
        expect(page.get_by_text(f"signed in as {name}")).to_be_visible()
    methods = [row["type"] for row in bascule.wait_for_records("--user", name, count=6)]
    assert methods == ["user.add", "user.setup", "logout", "login", "logout", "login"]


def test_a_passkey_without_its_user_is_of_no_use(
    bascule: Installation, page: Page, name: str
) -> None:
    authenticator = Authenticator(page)
    make_passkey(page, link_for(bascule, name))
    sign_out(page)
    authenticator.verify_user(False)
    use_passkey(page)
    expect(page.get_by_text("No passkey came of it")).to_be_visible()
    authenticator.verify_user(True)
    use_passkey(page)
    expect(page.get_by_text(f"signed in as {name}")).to_be_visible()


def test_a_copy_of_a_passkey_is_refused(
    bascule: Installation, page: Page, name: str
) -> None:
    authenticator = Authenticator(page)
    make_passkey(page, link_for(bascule, name))
    (copy,) = authenticator.credentials
    for _ in range(2):
        sign_out(page)
        use_passkey(page)
        expect(page.get_by_text(f"signed in as {name}")).to_be_visible()
    sign_out(page)
    authenticator.put_back(copy)
    use_passkey(page)
    expect(page.get_by_role("alert").first).to_contain_text("not known here")


def test_a_passkey_that_says_it_is_of_another_user_is_refused(
    bascule: Installation, page: Page, name: str
) -> None:
    authenticator = Authenticator(page)
    make_passkey(page, link_for(bascule, name))
    sign_out(page)
    (own,) = authenticator.credentials
    authenticator.put_back({**own, "userHandle": base64.b64encode(b"x" * 32).decode()})
    use_passkey(page)
    expect(page.get_by_role("alert").first).to_contain_text("not known here")
    authenticator.put_back(own | {"signCount": own["signCount"] + 9})
    use_passkey(page)
    expect(page.get_by_text(f"signed in as {name}")).to_be_visible()


def test_an_answer_is_good_once_and_in_one_browser(
    bascule: Installation, browser: Browser, page: Page, name: str
) -> None:
    """Somebody who has seen the whole form can do nothing with it."""
    Authenticator(page)
    make_passkey(page, link_for(bascule, name))
    sign_out(page)
    seen: list[str] = []
    page.on("request", lambda it: seen.append(it.post_data or "") if it.post_data else None)
    use_passkey(page)
    expect(page.get_by_text(f"signed in as {name}")).to_be_visible()
    (form,) = [it for it in seen if "credential=" in it]
    with visiting(browser) as other:
        for jar in (other, page):
            other_page = jar.context.request
            answer = other_page.post(
                f"{site(bascule)}/login/passkey",
                data=form,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                max_redirects=0,
            )
            assert answer.status == 403


def test_passkeys_are_added_and_removed_beside_a_password(
    bascule: Installation, page: Page, name: str
) -> None:
    authenticator = Authenticator(page)
    set_password(page, link_for(bascule, name))
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("last used: never")).to_be_visible()
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("No passkey came of it")).to_be_visible()
    assert len(authenticator.credentials) == 1, "one authenticator has one"
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("last used: never")).to_have_count(0)
    sign_out(page)
    use_passkey(page)
    expect(page.get_by_role("alert").first).to_contain_text("not known here")
    sign_in(page, name)
    expect(page.get_by_text(f"signed in as {name}")).to_be_visible()


def test_the_last_way_in_cannot_be_removed(
    bascule: Installation, page: Page, name: str
) -> None:
    """The page has no button for it, and a form that somebody writes does not either."""
    authenticator = Authenticator(page)
    make_passkey(page, link_for(bascule, name))
    (credential,) = authenticator.credentials
    digest = hashlib.sha256(base64.b64decode(credential["credentialId"])).hexdigest()
    answer = page.context.request.post(
        f"{site(bascule)}/account/passkeys/remove", form={"id": digest[:32]}
    )
    assert answer.status == 400
    assert "the only way in" in answer.text()
    sign_out(page)
    use_passkey(page)
    expect(page.get_by_text(f"signed in as {name}")).to_be_visible()


def test_another_password_ends_sessions_elsewhere(
    bascule: Installation, browser: Browser, page: Page, name: str
) -> None:
    set_password(page, link_for(bascule, name))
    with visiting(browser) as other:
        other.goto(f"{site(bascule)}/login")
        sign_in(other, name)
        expect(other.get_by_text("this browser")).to_be_visible()
        page.get_by_label("New password").fill("something else entirely")
        page.get_by_role("button", name="Change password").click()
        expect(page.get_by_text("this browser")).to_be_visible()
        other.reload()
        expect(other.get_by_role("heading", name="Sign in")).to_be_visible()


def test_where_the_site_has_another_name_there_are_no_passkeys(
    bascule: Installation, page: Page
) -> None:
    page.goto(f"http://127.0.0.1:{bascule.public}/login")
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_have_count(0)


def test_the_first_administrator_comes_with_a_name_and_a_passkey(
    bascule: Installation, page: Page
) -> None:
    authenticator = Authenticator(page)
    page.goto((bascule.data / "setup-link").read_text().strip())
    make = page.get_by_role("button", name="Create a passkey")
    make.click()
    expect(page.get_by_label("Name")).to_be_focused()
    page.get_by_label("Name").fill("root")
    make.click()
    expect(page.get_by_text("signed in as root")).to_be_visible()
    (credential,) = authenticator.credentials
    assert credential["userName"] == "root"
    assert (
        '"user":"user:root","groups":[],"admin":true'
        in bascule.cli("user", "list", "--json").stdout
    )


# Everybody


def test_all_works_without_scripts_but_passkeys(
    bascule: Installation, browser: Browser, name: str
) -> None:
    with visiting(browser, java_script_enabled=False) as page:
        set_password(page, link_for(bascule, name))
        sign_out(page)
        expect(page.get_by_text("passkey")).to_be_hidden()
        sign_in(page, name)
        expect(page.get_by_text(f"signed in as {name}")).to_be_visible()


def focused(page: Page) -> str:
    """Give the name of what has the focus, which must be seen to have it."""
    outline = page.evaluate(
        "() => { const style = getComputedStyle(document.activeElement);"
        " return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2; }"
    )
    assert outline, "the focus cannot be seen"
    found: str = page.evaluate(
        "() => document.activeElement.labels?.[0]?.textContent"
        " ?? document.activeElement.textContent.trim()"
    )
    return found or page.evaluate("() => document.activeElement.textContent.trim()")


def tab(page: Page) -> str:
    page.keyboard.press("Tab")
    return focused(page)


def test_everything_is_reached_by_the_keyboard(
    bascule: Installation, page: Page, name: str
) -> None:
    page.goto(link_for(bascule, name))
    assert tab(page) == "New password"
    page.keyboard.type(PASSWORD)
    assert tab(page) == "Set password"
    assert tab(page) == "Create a passkey"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"signed in as {name}")).to_be_visible()
    assert tab(page) == "Sign out"
    assert [tab(page) for _ in range(3)] == [
        "Add a passkey",
        "New password",
        "Change password",
    ]
    page.get_by_role("button", name="Sign out").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert tab(page) == "Name"
    page.keyboard.type(name)
    assert tab(page) == "Password"
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"signed in as {name}")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_people_from_using_a_page(
    bascule: Installation, browser: Browser, name: str, scheme: str
) -> None:
    with visiting(browser, color_scheme=scheme) as page:
        link = link_for(bascule, name)
        page.goto(link)
        assert barriers(page) == []
        set_password(page, link)
        assert barriers(page) == []
        sign_out(page)
        assert barriers(page) == []
        sign_in(page, name, "not my password at all")
        assert barriers(page) == []
        page.goto(link)
        assert barriers(page) == []


@pytest.mark.parametrize("width", [320, 1280])
def test_a_page_fits_its_window(
    bascule: Installation, browser: Browser, name: str, width: int
) -> None:
    long = f"{name}-{'w' * 50}"
    with visiting(browser, viewport={"width": width, "height": 800}) as page:
        set_password(page, link_for(bascule, long))
        wide = page.evaluate("() => document.documentElement.scrollWidth")
        assert wide <= width


# Other sites


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """A site of somebody who means harm; serves what the test wrote."""

    html = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.html.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def elsewhere() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_another_site_cannot_sign_anybody_out_or_in(
    bascule: Installation, page: Page, name: str, elsewhere: int, host: str
) -> None:
    """From `localhost` it is the same site by the browser's reckoning: cookies come."""
    set_password(page, link_for(bascule, name))
    for path in ("/logout", "/login"):
        Elsewhere.html = (
            f'<form method="post" action="{site(bascule)}{path}">'
            f'<input name="username" value="{name}"><input name="password" value="x">'
            '</form><button onclick="document.forms[0].submit()">go</button>'
        )
        page.goto(f"http://{host}:{elsewhere}/")
        with page.expect_navigation() as navigation:
            page.get_by_role("button", name="go").click()
        assert navigation.value.status == 403
    page.goto(f"{site(bascule)}/account")
    expect(page.get_by_text(f"signed in as {name}")).to_be_visible()


def test_no_page_is_shown_in_a_frame(
    bascule: Installation, browser: Browser, elsewhere: int
) -> None:
    Elsewhere.html = f'<iframe src="{site(bascule)}/login"></iframe>'
    context = browser.new_context()
    try:
        page = context.new_page()
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        page.goto(f"http://localhost:{elsewhere}/")
        expect(page.frame_locator("iframe").get_by_label("Password")).to_have_count(0)
        assert any("frame-ancestors" in it for it in told)
    finally:
        context.close()


def test_a_browser_reads_paths_as_we_do(bascule: Installation, page: Page) -> None:
    """What is taken for a path of this site leads nowhere else."""
    pieces = [
        "/",
        "\\",
        "//",
        "..",
        "@",
        ":",
        "?",
        "#",
        "%2f",
        "\t",
        "evil.example",
        "http:",
    ]
    candidates = ["".join(it) for it in product(pieces, repeat=3)]
    taken = [it for it in (f"/{text}" for text in candidates) if local_path(it) == it]
    assert len(taken) > 100
    page.goto(f"{site(bascule)}/login")
    elsewhere = page.evaluate(
        "(paths) => paths.filter((it) =>"
        " new URL(it, location.href).origin !== location.origin)",
        taken,
    )
    assert elsewhere == []


def test_after_some_failures_the_page_says_how_long_to_wait(
    bascule: Installation, page: Page, name: str
) -> None:
    set_password(page, link_for(bascule, name))
    sign_out(page)
    for _ in range(FREE_ATTEMPTS + 1):
        sign_in(page, name, "not my password at all")
    expect(page.get_by_role("alert").first).to_contain_text("Try again in")
