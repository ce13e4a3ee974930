"""Bridges are known by their exact names, and what stands behind them is named."""

from __future__ import annotations

import pytest

from bascule.lock.bridges import BRIDGES, behind, kind_of, warning
from bascule.lock.model import Access, Entry, Launch, Source
from bascule.lock.purl import purl_of
from bascule.lock.watch import of_bridge

URL = "https://mcp.example/sse"


def bridge(*words: str) -> Entry:
    launch = Launch("stdio", command=("npx", "-y", "mcp-remote", *words))
    root = "pkg:npm/mcp-remote@1.0.0"
    return Entry(Source("npm", "mcp-remote"), launch, Access(), kind="bridge", root=root)


@pytest.mark.parametrize(
    ("ecosystem", "name"),
    [(each, it) for each, names in BRIDGES.items() for it in sorted(names)],
)
def test_what_is_listed_is_a_bridge(ecosystem: str, name: str) -> None:
    assert kind_of(purl_of(ecosystem, name, "1.0")) == "bridge"


@pytest.mark.parametrize(
    "root",
    [
        "",
        "pkg:pypi/mcp-remote@1",  # somebody else's, in the other registry
        "pkg:npm/%40other/mcp-remote@1",
        "pkg:npm/mcp-remote2@1",
        "pkg:mcpb/mcp-remote@1",
    ],
)
def test_what_is_not_listed_is_a_server(root: str) -> None:
    assert kind_of(root) == "server"


@pytest.mark.parametrize(
    ("words", "urls"),
    [
        ((URL,), (URL,)),
        (("--sse", URL, "--header", "X: y"), (URL,)),
        ((f"--sse={URL}",), (URL,)),
        ((f"{URL}?next=https://other.example",), (URL,)),
        (("wss://a.example", URL, URL), ("wss://a.example", URL)),
        (("https://user:secret@mcp.example/sse?key=secret#secret",), (URL,)),
        (("https://[", "https://", "https:x", "name", "--stdio", "npx -y x"), ()),
    ],
)
def test_urls_are_found_and_shown_without_secrets(
    words: tuple[str, ...], urls: tuple[str, ...]
) -> None:
    assert behind(words) == urls
    assert "secret" not in warning(bridge(*words))


def test_a_bridge_to_a_url_can_be_done_without() -> None:
    assert f'`url = "{URL}"`' in warning(bridge(URL))
    assert "`url =" not in warning(bridge("wss://mcp.example/"))
    assert "what stands behind it" in warning(bridge("--stdio", "npx -y thing"))


def test_monitor_never_shows_what_is_behind_a_bridge_as_fine() -> None:
    (news,) = of_bridge("far", bridge(URL))
    assert (news.state, URL in news.detail) == ("not_assessed", True)
    server = Entry(Source("http", URL), Launch("http", url=URL), Access())
    assert list(of_bridge("far", server)) == []
