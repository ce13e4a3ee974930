"""Entries: what they cover, and what is refused."""

from __future__ import annotations

import pytest

from bascule.decision.entries import (
    Entry,
    EntryError,
    ToolsetName,
    glob_matches,
    parse_entry,
)
from bascule.decision.lines import toml_line
from bascule.decision.normal_uri import is_normal
from bascule.decision.problems import dotted


def covers(text: str, kind: str, name: str, connector: str = "tickets") -> bool:
    entry = parse_entry(text, where="x")
    assert isinstance(entry, Entry)
    return entry.matches(connector, kind, name)


@pytest.mark.parametrize(
    ("entry", "kind", "name"),
    [
        ("tickets/search", "tool", "search"),
        ("tickets/get_*", "tool", "get_"),
        ("tickets/get_*", "tool", "get_one"),
        ("tickets/*_ticket", "tool", "close_ticket"),
        ("tickets/a*b*c", "tool", "a-b-b-c"),
        ("tickets/admin/reset", "tool", "admin/reset"),
        ("tickets/prompt:triage", "prompt", "triage"),
        ("tickets/prompt:*", "prompt", "triage"),
        ("tickets/resource:file:///docs/*", "resource", "file:///docs/a/b"),
        ("tickets/*", "tool", "anything"),
        ("tickets/*", "prompt", "anything"),
        ("tickets/*", "resource", "x://anything"),
        ("tickets/*", "tool", "prompt:triage"),
        ("tickets/[x]?", "tool", "[x]?"),
        ("tickets/many\nlines*", "tool", "many\nlines\n"),
    ],
)
def test_an_entry_covers_what_it_names(entry: str, kind: str, name: str) -> None:
    assert covers(entry, kind, name)


@pytest.mark.parametrize(
    ("entry", "kind", "name"),
    [
        ("tickets/search", "tool", "Search"),
        ("tickets/search", "tool", "search "),
        ("tickets/search", "prompt", "search"),
        ("tickets/search", "resource", "search"),
        ("tickets/get_*", "tool", "forget_it"),
        ("tickets/aba*aba", "tool", "aba"),
        ("tickets/a*b*c", "tool", "acb"),
        ("tickets/[x]?", "tool", "xy"),
        ("tickets/prompt:triage", "tool", "prompt:triage"),
        ("tickets/prompt:triage", "tool", "triage"),
        ("tickets/pr*", "tool", "prompt:triage"),
        ("tickets/**", "tool", "resource:x"),
        ("tickets/resource:*", "tool", "resource:x"),
    ],
)
def test_an_entry_covers_nothing_else(entry: str, kind: str, name: str) -> None:
    assert not covers(entry, kind, name)


def test_an_entry_covers_no_other_connector() -> None:
    assert not covers("tickets/*", "tool", "search", connector="tickets-eu")


def test_a_toolset_is_named_with_its_connector() -> None:
    entry = parse_entry("tickets:read", where="x")
    assert entry == ToolsetName("tickets:read", "tickets")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "*/*",
        "t*/search",
        "*:read",
        "tickets",
        "tickets/",
        "/search",
        "tickets:",
        "tickets:*",
        "tickets:re/ad",
        "tickets/prompt:",
        "tickets/resource:",
        "Tickets/search",
        "-tickets/search",
        " tickets/search",
        "tickets/search ",
        "tickets/search\n",
    ],
)
def test_a_bad_entry_is_refused_with_its_path(text: str) -> None:
    with pytest.raises(EntryError, match=r"^roles\.support\.allow\[2\]: `"):
        parse_entry(text, where="roles.support.allow[2]")


def test_a_glob_of_many_stars_costs_no_backtracking() -> None:
    assert not glob_matches("*a" * 2000 + "b", "a" * 100_000)


def test_paths_are_written_as_the_file_would() -> None:
    path = ("agents", "ceilings", "https://a.example/c.json", 0)
    assert dotted(path) == 'agents.ceilings."https://a.example/c.json"[0]'


@pytest.mark.parametrize(
    "uri",
    [
        "file:///docs/a.txt",
        "file:///docs/..a/b..",
        "file:///docs/.hidden",
        "note://Some/Where?x=1.2",
        "test://template/{id}/data",
        "file:///a%20b",
        "x",
    ],
)
def test_an_ordinary_uri_is_in_normal_form(uri: str) -> None:
    assert is_normal(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "file:///docs/../secret",
        "file:///docs/..",
        "file:///docs/./a",
        "file:///docs/%2e%2E/secret",
        "file:///docs/.%2e/secret",
        "file:///docs/..%2fsecret",
        "file:///docs/%252e%252e/secret",
        "file:///docs/..\\secret",
        "../secret",
        "file:///docs/..?x",
        "file:///%73ecret",
        "FILE:///docs/a",
    ],
)
def test_a_uri_that_can_be_read_in_two_ways_is_not_in_normal_form(uri: str) -> None:
    assert not is_normal(uri)


TOML = """\
[server]
listen = "localhost:1"

[roles.support]
members = [
  "user:alice",
]
allow = [
  # "tickets/search" is enough
  "tickets/get_*",
  "nowhere/x",
]

[agents.ceilings]
"https://a.example/c.json" = ["tickets/search", "bad"]
"""


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (("roles", "support"), 4),
        (("roles", "support", "allow", 0), 10),
        (("roles", "support", "allow", 1), 11),
        (("agents", "ceilings", "https://a.example/c.json", 1), 15),
        (("roles", "nobody"), 1),
    ],
)
def test_a_path_leads_to_its_line(where: tuple[str | int, ...], line: int) -> None:
    assert toml_line(TOML, where) == line
