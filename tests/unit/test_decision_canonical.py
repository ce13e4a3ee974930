"""One spelling for each path, URL and host; what has two readings is refused."""

from __future__ import annotations

import pytest

from bascule.decision.canonical import (
    AmbiguousError,
    canonical_caseless,
    canonical_host,
    canonical_name,
    canonical_path,
    canonical_url,
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("/public/a", "/public/a"),
        ("/public/../etc/passwd", "/etc/passwd"),
        ("/../../etc", "/etc"),
        ("//public//a/", "/public/a"),
        ("/public/./a/.", "/public/a"),
        ("/", "/"),
        ("/a/..", "/"),
        ("./docs/x", "docs/x"),
        ("docs/../x", "x"),
        ("", "."),
        ("/.ssh/id", "/.ssh/id"),
        ("/e\u0301", "/\u00e9"),
        ("/with space", "/with space"),
        ("/10.00.00\u202fPM.png", "/10.00.00\u202fPM.png"),
    ],
)
def test_a_path_has_one_spelling(text: str, canonical: str) -> None:
    assert canonical_path(text) == canonical
    assert canonical_path(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "../secret",
        "a/../../secret",
        "~/.ssh/id",
        "~root",
        "./~/x",
        "/a/%2e%2e/b",
        "/a%2Fb",
        "/a%00b",
        "/a%252fb",
        "/a\\..\\b",
        "C:\\secret",
        "C:/secret",
        "c:secret",
        "file:///secret",
        "/a\x00b",
        "/a\nb",
        "/a\u200bb",
        "/a\u202eb",
        "/\ufeffa",
        "/\uff0e\uff0e/x",
        "/a\uff0fb",
        "/a\u2215b",
        "/a\u2044b",
        "/a\u29f8b",
        "/a\u2216b",
        "/\u2024\u2024/b",
        "/\u2025/b",
        "/\u2100",
        "/\uff53ecret",
        "/\U0001d4c8ecret",
        "/\ufb01le",
        "/a/... /b",
        "/secret.",
        "/secret ",
        "/ secret",
        "/secret\u00a0",
        "/\u3000secret",
        "/a\u1680/b",
        "/a\ud800b",
    ],
)
def test_a_path_with_two_readings_is_refused(text: str) -> None:
    with pytest.raises(AmbiguousError):
        canonical_path(text)


def test_where_policies_speak_of_absolute_paths_others_are_refused() -> None:
    with pytest.raises(AmbiguousError, match="begin it with `/`"):
        canonical_path(".ssh/id", absolute=True)
    with pytest.raises(AmbiguousError, match="begin it without `/`"):
        canonical_path("/docs/x", absolute=False)
    assert canonical_path("/x", absolute=True) == "/x"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("HTTPS://Example.COM:443", "https://example.com/"),
        ("http://example.com:8080/a/../b", "http://example.com:8080/b"),
        ("https://example.com./x", "https://example.com/x"),
        ("https://example.com/%7euser/%2e%2e/x", "https://example.com/x"),
        ("https://example.com/a?q=%2f&b#F", "https://example.com/a?q=%2F&b#F"),
        ("https://example.com/a/..", "https://example.com/"),
        ("https://example.com/a/b/..", "https://example.com/a/"),
        ("https://example.com/\u00e4", "https://example.com/%C3%A4"),
        ("http://[::1]:80/", "http://[::1]/"),
        ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]/"),
        ("http://127.0.0.1/", "http://127.0.0.1/"),
        ("file:///etc/../x", "file:///x"),
        ("file:/etc/x", "file:///etc/x"),
        ("file://localhost/etc/x", "file:///etc/x"),
        ("mailto:a@example.com", "mailto:a@example.com"),
        ("postgres://db.internal:5432/x", "postgres://db.internal:5432/x"),
    ],
)
def test_a_url_has_one_spelling(text: str, canonical: str) -> None:
    assert canonical_url(text) == canonical
    assert canonical_url(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "https://good.example@evil.example/",
        "https://good.example%40evil.example/",
        "https://evil.example\\@good.example/",
        "https:/evil.example",
        "https:evil.example",
        "https:///evil.example",
        "//evil.example/x",
        "/x",
        "evil.example/x",
        " https://evil.example",
        "https://evil.example\t/",
        "https://ev\nil.example/",
        "http://::1/",
        "http://a::80/",
        "http://0x7f.0.0.1/",
        "http://2130706433/",
        "http://127.1/",
        "http://127.0.0.01/",
        "http://0x7f000001/",
        "http://[::ffff:127.0.0.1]/",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
        "http://[::1]x/",
        "https://ex\u3002ample.com/",
        "https://\uff45xample.com/",
        "https://ex\u00e4mple.com/",
        "https://a..b/",
        "https://-a.example/",
        "https://a.example:/",
        "https://a.example:99999/",
        "https://a.example:0443/",
        "https://a.example//x",
        "https://a.example/a%2fb",
        "https://a.example/%252e%252e/x",
        "https://a.example/%00",
        "https://a.example/%zz",
        "file://host/x",
    ],
)
def test_a_url_with_two_readings_is_refused(text: str) -> None:
    with pytest.raises(AmbiguousError):
        canonical_url(text)


def test_a_host_is_small_and_has_no_needless_parts() -> None:
    assert canonical_host("Example.COM.") == "example.com"
    assert canonical_host("Example.com:8080") == "example.com:8080"
    assert canonical_host("::1") == "::1"
    assert canonical_host("[0::1]:22") == "[::1]:22"
    for text in ("0x7f.1", "1.2.3", "a b", "", "user@host", "exa\u0301mple", "1.2.3.4.5"):
        with pytest.raises(AmbiguousError):
            canonical_host(text)


def test_names_keep_their_case_unless_it_does_not_count() -> None:
    assert canonical_name("Acme/Secret") == "Acme/Secret"
    assert canonical_caseless("Acme/SECRET") == "acme/secret"
    assert canonical_caseless("STRASSE") == canonical_caseless("stra\u00dfe")
    for text in (" acme", "acme\n", "ac\u200bme", "\uff41cme"):
        with pytest.raises(AmbiguousError):
            canonical_name(text)


def test_a_url_with_a_user_name_is_told_so() -> None:
    for text in ("https://a@b.example/", "https://a%40b.example/", "https://a:b@c.example"):
        with pytest.raises(AmbiguousError, match="user name"):
            canonical_url(text)
