"""Signing in, by HTTP: what works, and what somebody who means harm does not get."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest

from bascule.storage.login_failures import FIRST_WAIT_SECONDS, FREE_ATTEMPTS
from bascule.web.forms import MAX_BYTES
from system.server import Installation
from system.visitor import PASSWORD, Page, Visitor, path_of, set_up

WRONG = "not the password of anybody"
_numbers = count(1)


@pytest.fixture
def name() -> str:
    """Give the name of a user that no other test has."""
    return f"user{next(_numbers)}"


@pytest.fixture
def visitor(bascule: Installation, name: str) -> Visitor:
    """Give the browser of a user that has a login, signed out."""
    visitor = set_up(bascule, name)
    visitor.post("/logout", {})
    assert not visitor.signed_in
    return visitor


def at_once(*works: Callable[[], Page]) -> list[Page]:
    """Do all at the same time."""
    results: list[Page] = []
    ready = threading.Barrier(len(works))

    def run(work: Callable[[], Page]) -> None:
        ready.wait()
        results.append(work())

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_user_sets_up_a_login_signs_in_and_out(bascule: Installation, name: str) -> None:
    link = path_of(bascule.ask("user", "add", name)["setup_link"])
    visitor = Visitor(bascule)
    form = visitor.get(link)
    assert form.status == 200
    assert name in form.text
    done = visitor.post(link, {"password": PASSWORD})
    assert (done.status, done.location) == (303, "/account")
    assert name in visitor.get("/account").text
    assert visitor.post("/logout", {}).location == "/login"
    assert visitor.get("/account").location == "/login?next=%2Faccount"
    assert visitor.sign_in(name).location == "/account"
    assert visitor.signed_in


def test_whoever_only_looks_at_a_link_does_not_spend_it(
    bascule: Installation, name: str
) -> None:
    link = path_of(bascule.ask("user", "add", name)["setup_link"])
    for method in ("GET", "HEAD", "GET"):
        assert Visitor(bascule).get(link, method=method).status == 200
    assert Visitor(bascule).post(link, {"password": PASSWORD}).status == 303


def test_a_link_is_spent_once(bascule: Installation, name: str) -> None:
    link = path_of(bascule.ask("user", "add", name)["setup_link"])
    assert Visitor(bascule).post(link, {"password": PASSWORD}).status == 303
    again = Visitor(bascule)
    assert again.get(link).status == 404
    assert again.post(link, {"password": "another password"}).status == 404
    assert not again.signed_in
    assert again.sign_in(name).status == 303, "the first password counts"


def test_of_two_who_spend_a_link_at_once_one_does(bascule: Installation, name: str) -> None:
    link = path_of(bascule.ask("user", "add", name)["setup_link"])
    first, second = Visitor(bascule), Visitor(bascule, source="127.0.0.2")
    pages = at_once(
        lambda: first.post(link, {"password": "the first of two"}),
        lambda: second.post(link, {"password": "the second of two"}),
    )
    assert sorted(page.status for page in pages) == [303, 404]
    assert [first.signed_in, second.signed_in].count(True) == 1
    chosen = "the first of two" if first.signed_in else "the second of two"
    assert Visitor(bascule, source="127.0.0.3").sign_in(name, chosen).status == 303


@pytest.mark.parametrize("token", ["0" * 64, "x", "%00", "%ff", "..%2f..", "a" * 2000])
def test_a_link_that_nobody_made_is_not_good(bascule: Installation, token: str) -> None:
    visitor = Visitor(bascule)
    assert visitor.get(f"/login/setup/{token}").status == 404
    page = visitor.post(f"/login/setup/{token}", {"password": PASSWORD})
    assert page.status == 404


@pytest.mark.parametrize("password", ["", "short", "aaaaaaaaaaaaaaaa", "x" * 1025])
def test_a_password_that_is_not_taken_spends_nothing(
    bascule: Installation, name: str, password: str
) -> None:
    link = path_of(bascule.ask("user", "add", name)["setup_link"])
    visitor = Visitor(bascule)
    page = visitor.post(link, {"password": password})
    assert page.status == 400
    assert 'role="alert"' in page.text
    assert visitor.post(link, {"password": PASSWORD}).status == 303


def test_a_reset_ends_password_sessions_and_the_old_link(
    bascule: Installation, visitor: Visitor, name: str
) -> None:
    visitor.sign_in(name)
    old = path_of(bascule.ask("user", "reset", name)["setup_link"])
    new = path_of(bascule.ask("user", "reset", name)["setup_link"])
    assert not visitor.signed_in
    assert visitor.sign_in(name).status == 403
    assert visitor.get(old).status == 404
    assert visitor.post(new, {"password": "a wholly new one"}).status == 303
    assert visitor.sign_in(name, "a wholly new one").status == 303


def test_the_cookie_of_a_session_is_for_this_host_and_no_script(
    visitor: Visitor, name: str
) -> None:
    lines = visitor.sign_in(name).every("set-cookie")
    (line,) = [it for it in lines if it.startswith("bascule-session=")]
    pair, *attributes = line.split("; ")
    assert len(pair.partition("=")[2]) == 43, "256 bits in base64url"
    assert attributes == ["Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Lax"]


# Who is there, and who is not


def without_name(page: Page, name: str) -> tuple[int, str]:
    return page.status, page.text.replace(name, "NAME")


def test_an_unknown_name_is_answered_like_a_wrong_password(
    bascule: Installation, visitor: Visitor, name: str
) -> None:
    bascule.ask("user", "add", "never-set-up")
    other = set_up(bascule, f"{name}-disabled")
    bascule.ask("user", "disable", f"{name}-disabled")
    known = without_name(Visitor(bascule).sign_in(name, WRONG), name)
    assert known[0] == 403
    for unknown, password in [
        ("nobody-of-that-name", WRONG),
        ("never-set-up", WRONG),
        (f"{name}-disabled", PASSWORD),
        (f"{name}-disabled", WRONG),
    ]:
        page = Visitor(bascule).sign_in(unknown, password)
        assert without_name(page, unknown) == known
    assert not other.signed_in


@pytest.mark.parametrize("exists", [True, False])
def test_after_some_failures_the_next_login_has_to_wait(
    bascule: Installation, visitor: Visitor, name: str, exists: bool
) -> None:
    who = name if exists else f"{name}-unknown"
    answers = [visitor.sign_in(who, WRONG).status for _ in range(FREE_ATTEMPTS)]
    assert answers == [403] * FREE_ATTEMPTS
    page = visitor.sign_in(who, PASSWORD)
    assert page.status == 429
    wait = int(page.header("retry-after") or "0")
    assert 0 < wait <= FIRST_WAIT_SECONDS
    assert not visitor.signed_in


def test_failures_from_one_place_do_not_keep_the_user_out_elsewhere(
    visitor: Visitor, bascule: Installation, name: str
) -> None:
    for _ in range(FREE_ATTEMPTS + 1):
        visitor.sign_in(name, WRONG)
    assert Visitor(bascule, source="127.0.0.9").sign_in(name).status == 303


def test_many_guesses_at_once_are_no_more_than_one_after_the_other(
    bascule: Installation, visitor: Visitor, name: str
) -> None:
    """Some find the queue full and count for nothing."""
    del visitor
    guess = lambda: Visitor(bascule, source="127.0.0.7").sign_in(name, WRONG)  # noqa: E731
    statuses = [page.status for _ in range(4) for page in at_once(*[guess] * 6)]
    assert set(statuses) <= {403, 429, 503}
    assert statuses.count(403) == FREE_ATTEMPTS


def test_a_login_makes_earlier_failures_forgotten(visitor: Visitor, name: str) -> None:
    for _ in range(2):
        for _ in range(FREE_ATTEMPTS - 1):
            assert visitor.sign_in(name, WRONG).status == 403
        assert visitor.sign_in(name).status == 303


# Sessions


def test_a_session_that_was_planted_is_not_the_one_of_the_login(
    bascule: Installation, visitor: Visitor, name: str
) -> None:
    attacker = set_up(bascule, f"{name}-attacker")
    planted = attacker.cookies["bascule-session"]
    visitor.cookies["bascule-session"] = planted
    visitor.sign_in(name)
    assert visitor.cookies["bascule-session"] != planted
    assert name in visitor.get("/account").text
    assert not attacker.signed_in, "the planted session ends"


@pytest.mark.parametrize("value", ["", "x", "A" * 43, "%00", "../.."])
def test_a_token_that_nobody_was_given_is_no_session(
    bascule: Installation, value: str
) -> None:
    assert not Visitor(bascule, cookies={"bascule-session": value}).signed_in


def test_a_session_of_before_is_over_after_the_logout(visitor: Visitor, name: str) -> None:
    visitor.sign_in(name)
    kept = dict(visitor.cookies)
    visitor.post("/logout", {})
    visitor.cookies.update(kept)
    assert not visitor.signed_in


def test_two_cookies_of_one_name_are_none(visitor: Visitor, name: str) -> None:
    """Another port of this host could have set one of them."""
    visitor.sign_in(name)
    token = visitor.cookies["bascule-session"]
    for other in (token, "x" * 43):
        page = visitor.get(
            "/account", Cookie=f"bascule-session={other}; bascule-session={token}"
        )
        assert page.status == 303


@pytest.mark.parametrize("ending", ["revoke --user", "revoke --all", "user disable"])
def test_a_session_ends_from_the_command_line(
    bascule: Installation, visitor: Visitor, name: str, ending: str
) -> None:
    visitor.sign_in(name)
    assert visitor.signed_in
    command, option = ending.split()
    who = [] if option == "--all" else [name]
    reason = ["--reason", "test"] if command == "revoke" else []
    bascule.ask(command, option, *who, *reason)
    assert not visitor.signed_in


def test_a_new_password_ends_all_other_sessions(
    bascule: Installation, visitor: Visitor, name: str
) -> None:
    other = Visitor(bascule)
    other.sign_in(name)
    visitor.sign_in(name)
    before = visitor.cookies["bascule-session"]
    changed = visitor.post("/account/ways-in", {"password": "something else entirely"})
    assert changed.status == 303
    assert not other.signed_in
    assert visitor.signed_in
    assert visitor.cookies["bascule-session"] != before
    assert other.sign_in(name).status == 403
    assert other.sign_in(name, "something else entirely").status == 303


def test_a_browser_that_was_left_open_is_not_enough_to_come_back(
    bascule: Installation, visitor: Visitor, name: str
) -> None:
    """After ten minutes, ways in are changed by somebody who signs in again alone."""
    visitor.sign_in(name)
    older = "UPDATE browser_sessions SET created_at = created_at - 601 WHERE user_name = ?"
    with contextlib.closing(sqlite3.connect(bascule.data / "state.db")) as database:
        database.execute(older, (name,))
        database.commit()
    page = visitor.get("/account")
    assert page.status == 200
    assert "sign in again" in page.text
    assert 'name="password"' not in page.text
    for path in ("/account/ways-in", "/account/passkeys/remove"):
        answer = visitor.post(path, {"password": "something else entirely", "id": "x"})
        assert answer.location == "/login?next=/account"
    assert Visitor(bascule).sign_in(name, "something else entirely").status == 403
    visitor.sign_in(name, next="/account")
    assert 'name="password"' in visitor.get("/account").text


def test_somebody_ends_own_sessions_and_no_others(
    bascule: Installation, visitor: Visitor, name: str
) -> None:
    stranger = set_up(bascule, f"{name}-stranger")
    second, third = Visitor(bascule), Visitor(bascule)
    for browser in (second, third, visitor):
        browser.sign_in(name)
    numbers = other_numbers(visitor)
    assert len(numbers) == 2
    for number in numbers:
        stranger.post("/account/sessions/end", {"number": number})
    assert second.signed_in
    assert third.signed_in
    visitor.post("/account/sessions/end", {"number": numbers[0]})
    assert [second.signed_in, third.signed_in].count(True) == 1
    visitor.post("/account/sessions/end", {"number": "others"})
    assert not second.signed_in
    assert not third.signed_in
    assert visitor.signed_in
    assert stranger.signed_in
    rows = visitor.server.wait_for_records("--user", name, "--type", "logout", count=3)
    shown = [row for row in visitor.server.whole_records() if row["id"] == rows[-1]["id"]]
    assert shown[0]["admin"] == {"sessions": "others"}


def other_numbers(visitor: Visitor) -> list[str]:
    """Give the numbers of the other sessions that a page offers to end."""
    text = visitor.get("/account").text
    parts = text.split('name="number" value="')[1:]
    return [found for it in parts if (found := it.partition('"')[0]).isdigit()]


@pytest.mark.parametrize("number", ["", "x", "-1", "1" * 40, "\N{ARABIC-INDIC DIGIT ONE}"])
def test_a_session_number_that_is_none_is_refused(
    visitor: Visitor, name: str, number: str
) -> None:
    visitor.sign_in(name)
    assert visitor.post("/account/sessions/end", {"number": number}).status == 400
    assert visitor.signed_in


# Other sites

FORMS = [
    "/login",
    "/login/passkey",
    "/logout",
    "/account/ways-in",
    "/account/passkeys/remove",
    "/account/sessions/end",
]
CROSS_SITE = [
    {"sec_fetch_site": "cross-site", "origin": "https://evil.example"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "", "origin": "http://127.0.0.1:1"},
    {"sec_fetch_site": "", "origin": "null"},
    {"sec_fetch_site": "same-origin", "origin": "null"},
    {"sec_fetch_site": "same-origin", "origin": "https://evil.example"},
]


def test_a_form_of_another_site_changes_nothing(visitor: Visitor, name: str) -> None:
    visitor.sign_in(name)
    before = dict(visitor.cookies)
    fields = {"username": name, "password": PASSWORD, "number": "others"}
    for path in FORMS:
        for headers in CROSS_SITE:
            page = visitor.post(path, fields, **headers)
            assert page.status == 403, (path, headers)
            assert page.every("set-cookie") == []
    assert visitor.cookies == before
    assert visitor.signed_in


def test_a_form_of_another_site_does_not_spend_a_link(
    bascule: Installation, name: str
) -> None:
    link = path_of(bascule.ask("user", "add", name)["setup_link"])
    visitor = Visitor(bascule)
    for headers in CROSS_SITE:
        assert visitor.post(link, {"password": PASSWORD}, **headers).status == 403
    assert visitor.get(link).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_signing_out_takes_a_form(visitor: Visitor, name: str, method: str) -> None:
    visitor.sign_in(name)
    assert visitor.get("/logout", method=method).status == 405
    assert visitor.signed_in


@pytest.mark.parametrize(
    "next",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/%0d%0aSet-Cookie:x=1\r\nX: y",
        "javascript:alert(1)",
        "/\tx",
        "http:///evil.example",
    ],
)
def test_nobody_is_sent_elsewhere_after_the_login(
    visitor: Visitor, name: str, next: str
) -> None:
    page = visitor.sign_in(name, next=next)
    assert (page.status, page.location) == (303, "/account")
    form = visitor.get(f"/login?next={quote(next)}")
    assert form.fields["next"] == ""


def test_somebody_is_sent_on_within_the_site(visitor: Visitor, name: str) -> None:
    there = "/oauth/authorize?client_id=a&state=%2F%2F"
    form = visitor.get(f"/login?next={quote(there, safe='')}")
    assert form.fields["next"] == there
    assert visitor.sign_in(name, next=form.fields["next"]).location == there


def test_a_page_for_another_host_is_refused(bascule: Installation) -> None:
    visitor = Visitor(bascule)
    for host in ("evil.example", f"evil.example:{bascule.public}", "127.0.0.1"):
        assert visitor.get("/login", Host=host).status == 421


@pytest.mark.parametrize("path", ["/login", "/account", "/login/setup/x", "/nothing"])
def test_no_page_stands_in_a_frame_or_a_cache(bascule: Installation, path: str) -> None:
    page = Visitor(bascule).get(path)
    assert "frame-ancestors 'none'" in (page.header("content-security-policy") or "")
    assert page.header("cache-control") == "no-store"


# What is written


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def test_what_somebody_types_is_shown_as_text(bascule: Installation) -> None:
    page = Visitor(bascule, source="127.0.0.8").sign_in(HOSTILE, WRONG, next=HOSTILE)
    assert "<script>alert" not in page.text
    assert "<img src=x" not in page.text
    assert page.fields["username"] == HOSTILE[:64]


@pytest.mark.parametrize(
    "body",
    [
        b"username=" + b"a" * MAX_BYTES,
        b"username=a&username=b&password=c",
        b"username=%ff",
        b"&".join(b"f%d=1" % number for number in range(100)),
    ],
)
def test_a_form_that_is_none_is_refused(bascule: Installation, body: bytes) -> None:
    assert Visitor(bascule).post("/login", body).status in {400, 413}


@pytest.mark.parametrize("media", ["application/json", "multipart/form-data", "text/plain"])
def test_a_body_that_is_no_form_is_refused(bascule: Installation, media: str) -> None:
    assert Visitor(bascule).post("/login", b"{}", content_type=media).status == 415


def test_logins_are_in_the_log_and_no_secrets(
    bascule: Installation, visitor: Visitor, name: str
) -> None:
    visitor.get("/login")
    visitor.sign_in(name)
    secret = "a password in the wrong field"
    Visitor(bascule, source="127.0.0.6").sign_in(secret, WRONG)
    visitor.post("/logout", {})
    types = [row["type"] for row in bascule.wait_for_records("--user", name, count=5)]
    assert types == ["user.add", "user.setup", "logout", "login", "logout"]
    failed = bascule.wait_for_records("--type", "auth.fail")
    reasons = {row["reason"] for row in failed}
    assert "login_password" in reasons
    assert reasons <= {"login_password", "login_wait", "repeated"}
    whole = str(bascule.whole_records())
    for word in (PASSWORD, WRONG, secret, visitor.cookies["bascule-browser"]):
        assert word not in whole
        assert word not in bascule.log


def memory(server: Installation) -> int:
    """Give the most memory that the server has had so far, in MiB."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = (it for it in status.splitlines() if it.startswith("VmHWM:"))
    return int(line.split()[1]) >> 10


def test_a_flood_of_logins_takes_the_memory_of_one(
    bascule: Installation, visitor: Visitor, name: str
) -> None:
    """And leaves those alone who are signed in."""
    visitor.sign_in(name)
    before = memory(bascule)

    def guess(number: int) -> Callable[[], Page]:
        source = f"127.0.1.{number}"
        return lambda: Visitor(bascule, source=source).sign_in(f"guess{number}", WRONG)

    pages = at_once(*(guess(number) for number in range(1, 25)))
    assert {page.status for page in pages} == {403, 503}
    refused = [page for page in pages if page.status == 503]
    assert all(page.header("retry-after") for page in refused)
    assert memory(bascule) - before < 40, "each hash takes 64 MiB"
    assert visitor.signed_in
