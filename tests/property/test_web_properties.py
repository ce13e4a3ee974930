"""Where a page sends somebody on to, whatever it is asked."""

from __future__ import annotations

import contextlib
from urllib.parse import quote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.web.forms import parse_form
from bascule.web.headers import content_security_policy, form_target
from bascule.web.local_path import MAX_CHARACTERS, local_path
from bascule.web.problem import PageError

HERE = "http://localhost:8420"
PIECES = [
    "/",
    "\\",
    "//",
    "..",
    ".",
    "@",
    ":",
    "?",
    "#",
    "%2f",
    "%5c",
    "\t",
    "\n",
    "\r",
    " ",
]
PIECES += [
    "evil.example",
    "http:",
    "javascript:",
    "a",
    "\x00",
    "\x7f",
    "\N{IDEOGRAPHIC FULL STOP}",
]


@pytest.mark.parametrize(
    "path",
    ["/", "/consent?request=abc", "/login/account#keys", "/a//b", "/%2F%2Fevil.example"],
)
def test_a_path_of_this_site_is_taken_as_it_is(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/a\r\nSet-Cookie: x=1",
        "/a\x00",
        " /a",
        "/a b",
        "https://evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "evil.example",
        "@evil.example",
        "/a\\b",
        "/" + "a" * MAX_CHARACTERS,
        "/\N{FULLWIDTH SOLIDUS}evil.example",
    ],
)
def test_whatever_could_lead_elsewhere_is_no_path(text: str | None) -> None:
    assert local_path(text) is None


def as_browsers_read(text: str) -> str:
    """Do what browsers do before they read an address (WHATWG URL §4.4)."""
    text = text.strip("".join(map(chr, range(0x21))))
    return text.translate({9: None, 10: None, 13: None, ord("\\"): "/"})


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join)))
def test_a_path_that_is_taken_stays_on_this_site(text: str) -> None:
    for candidate in (text, f"/{text}"):
        taken = local_path(candidate)
        if taken is None:
            continue
        there = urlsplit(urljoin(f"{HERE}/login", as_browsers_read(taken)))
        assert (there.scheme, there.netloc) == ("http", "localhost:8420")
        assert taken.isascii()
        assert taken.isprintable()
        assert quote(taken, safe="/?#[]@!$&'()*+,;=:%-._~\"<>^`{|}") == taken


@given(st.text())
def test_no_address_writes_a_directive_of_its_own(uri: str) -> None:
    try:
        target = form_target(uri)
    except ValueError:
        return
    policy = content_security_policy([target])
    assert policy.count(";") == content_security_policy().count(";")
    assert "\n" not in policy


@given(st.binary())
def test_any_bytes_are_a_form_or_the_one_error(body: bytes) -> None:
    with contextlib.suppress(PageError):
        assert all(isinstance(value, str) for value in parse_form(body).values())
