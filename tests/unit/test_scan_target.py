"""What is to be probed, and how reports call it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.scan.target import Target, TargetError, looks_secret, shown


@pytest.mark.parametrize(
    ("url", "host", "port", "secure", "path"),
    [
        ("http://127.0.0.1:8000/mcp", "127.0.0.1", 8000, False, "/mcp"),
        ("https://A.example", "a.example", 443, True, None),
        ("http://[::1]/", "::1", 80, False, None),
    ],
)
def test_reads_a_url(
    url: str, host: str, port: int, secure: bool, path: str | None
) -> None:
    target = Target.of_url(url)
    assert (target.host, target.port) == (host, port)
    assert (target.secure, target.path) == (secure, path)


@pytest.mark.parametrize(
    "url", ["", "mcp", "ftp://x/", "http://", "http://a b/", "http://x\\y/", "http://x:0/"]
)
def test_refuses_what_is_no_url(url: str) -> None:
    with pytest.raises(TargetError):
        Target.of_url(url)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("localhost:8000/mcp", "has a scheme: write `http://localhost:8000/mcp`"),
        ("me:canary@a.example/?k=canary", "has a scheme: write `http://a.example/?…`"),
        ("ftp://x/", "http or https"),
    ],
)
def test_says_how_a_url_is_written_and_no_secret(url: str, hint: str) -> None:
    with pytest.raises(TargetError) as raised:
        Target.of_url(url)
    assert hint in str(raised.value)
    assert "canary" not in str(raised.value)


def test_connects_to_loopback_for_no_address_in_particular() -> None:
    assert Target.of_url("http://0.0.0.0:8000/mcp").addresses == ("127.0.0.1",)
    assert Target.of_url("http://[::]:8000/mcp").addresses == ("::1",)


def test_leaves_out_what_may_be_a_credential() -> None:
    target = Target.of_url("https://me:canary@a.example/mcp?token=canary#canary")
    assert "canary" not in repr(target)
    assert target.withheld == ("the user and password", "the query")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.example/mcp", "http://a.example/mcp"),
        ("http://u:p@a.example/mcp?k=v#f", "http://a.example/mcp?…"),
        ("https://a.example/s/Zm9vYmFyMTIzNDU2Nzg5MA/mcp", "https://a.example/s/…/mcp"),
        (
            "https://a.example/p/550e8400-e29b-41d4-a716-446655440000/mcp",
            "https://a.example/p/550e8400-e29b-41d4-a716-446655440000/mcp",
        ),
        ("/mcp?k=v", "/mcp?…"),
        ("http://[bad", "…"),
    ],
)
def test_shows_urls_without_what_may_be_a_secret(url: str, expected: str) -> None:
    assert shown(url) == expected


def test_tells_words_from_keys() -> None:
    assert not looks_secret("oauth-protected-resource")
    assert not looks_secret("bascule-probe-finds-nothing-here")
    assert looks_secret("sk_live_4eC39HqLyjWDarjtT1zdp7dc")


def test_names_a_port_with_a_zone_without_it_in_the_host() -> None:
    target = Target.of_port("fe80::1%eth0", 8000)
    assert target.host == "fe80::1"
    assert target.addresses == ("fe80::1%eth0",)
    assert target.shown == "http://[fe80::1]:8000/"


@given(st.text(max_size=80))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    assert isinstance(shown(text), str)
    try:
        Target.of_url(text)
    except TargetError:
        return
