"""What a request of a browser may say: its site, its cookies, its form."""

from __future__ import annotations

import pytest

from bascule.web.cookies import cookie_name, cookie_value
from bascule.web.cross_site import cross_site_problem
from bascule.web.forms import MAX_FIELDS, parse_form
from bascule.web.problem import PageError

OWN = "http://localhost:8420"


def problem(
    method: str = "POST", fetch_site: str | None = "same-origin", origin: str | None = OWN
) -> str | None:
    return cross_site_problem(
        method, fetch_site=fetch_site, origin=origin, own_origins=frozenset({OWN})
    )


@pytest.mark.parametrize("fetch_site", ["same-origin", "none", None])
@pytest.mark.parametrize("origin", [OWN, None])
def test_our_own_form_is_taken(fetch_site: str | None, origin: str | None) -> None:
    assert problem(fetch_site=fetch_site, origin=origin) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "post"])
@pytest.mark.parametrize("fetch_site", ["cross-site", "same-site", "", "Same-Origin", "x"])
@pytest.mark.parametrize("origin", [OWN, None])
def test_a_form_of_another_site_is_refused(
    method: str, fetch_site: str, origin: str | None
) -> None:
    assert problem(method, fetch_site, origin) is not None


@pytest.mark.parametrize("fetch_site", ["same-origin", "none", None])
@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://localhost:8421",
        "http://localhost",
        "https://localhost:8420",
        "http://127.0.0.1:8420",
        "http://localhost:8420.evil.example",
        "http://LOCALHOST:8420",
    ],
)
def test_a_form_of_another_origin_is_refused(fetch_site: str | None, origin: str) -> None:
    """Another port of the same host is another origin, though it shares our cookies."""
    assert problem("POST", fetch_site, origin) is not None


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_changes_nothing_may_come_from_anywhere(method: str) -> None:
    assert problem(method, "cross-site", "https://evil.example") is None


def test_a_cookie_name_has_the_prefix_on_https() -> None:
    assert cookie_name("bascule-session", secure=True) == "__Host-bascule-session"
    assert cookie_name("bascule-session", secure=False) == "bascule-session"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("s=1", "1"),
        ("a=0; s=1; b=2", "1"),
        ("s=1=2", "1=2"),
        ("s=", ""),
        ("", None),
        ("xs=1", None),
        ("S=1", None),
        ("s", ""),
        ("s=1; s=2", None),
        ("s=1;s=1", None),
        ("s=1; s", None),
    ],
)
def test_a_cookie_that_stands_twice_is_none(header: str, value: str | None) -> None:
    """Another port of the host has set one of the two, and nothing tells which."""
    assert cookie_value(header, "s") == value


def test_a_form_is_read() -> None:
    form = parse_form(b"name=a+b&password=%C3%A4%26&empty=")
    assert form == {
        "name": "a b",
        "password": "\N{LATIN SMALL LETTER A WITH DIAERESIS}&",
        "empty": "",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"a=1&a=2",
        b"a=%FF",
        b"a=\xff",
        b"a=x%00",
        b"&".join(b"f%d=" % number for number in range(MAX_FIELDS + 1)),
    ],
)
def test_a_form_that_means_two_things_or_nothing_is_refused(body: bytes) -> None:
    with pytest.raises(PageError):
        parse_form(body)
