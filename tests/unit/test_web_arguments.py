"""Arguments as somebody reads them who has to answer for the call."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.lock.invisible import unseen
from bascule.web.arguments import Argument, readable

NASTY = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from('\u200b\u202e\u2066\ufeff\x1b\x9b\x00\u00ad\u2028\\"n\n/~ \u0430'),
    max_size=30,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NASTY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NASTY, inner, max_size=4),
    max_leaves=10,
)


def shown(arguments: dict[str, Any]) -> dict[str, str]:
    return {it.place: it.value for it in readable(arguments).values}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("/srv/notes", '"/srv/notes"'),
        ("", '""'),
        ("true", '"true"'),
        (True, "true"),
        (None, "null"),
        (0, "0"),
        (-1.5, "-1.5"),
        ({}, "{}"),
        ([], "[]"),
        ([1, 2, None], "[1, 2, null]"),
        ('say "yes"', '"say \\"yes\\""'),
        ("C:\\new", '"C:\\\\new"'),
        ("one\ntwo", '"one\\n\ntwo"'),
        ("one\\ntwo", '"one\\\\ntwo"'),
        ("one\r\ntwo\t", '"one\\r\\n\ntwo\\t"'),
        ("zero\u200bwidth", '"zero\\u200bwidth"'),
        ("\u202egnp.exe", '"\\u202egnp.exe"'),
        ("p\u0430ypal", '"p\\u0430ypal"'),
        ("a\u2028b\x85c\x0bd\x0ce", '"a\\u2028b\\u0085c\\u000bd\\u000ce"'),
        ("</pre><script>", '"</pre><script>"'),
        ("Привет", '"Привет"'),
    ],
)
def test_a_value_is_written_so_that_it_can_be_only_that(value: Any, written: str) -> None:
    assert shown({"name": value}) == {"name": written}


def test_each_value_has_its_place() -> None:
    arguments = {
        "to": [{"who": "bob", "cc": True}, "carol"],
        "a/b": {"c~d": 1},
        "": {"": 2},
        "two words": 3,
        'x": "y': 4,
        "\u200b": 5,
    }
    assert shown(arguments) == {
        "to/0/who": '"bob"',
        "to/0/cc": "true",
        "to/1": '"carol"',
        "a~1b/c~0d": "1",
        "/": "2",
        '"two words"': "3",
        '"x\\": \\"y"': "4",
        '"\\u200b"': "5",
    }


def test_nothing_is_cut() -> None:
    text = "harmless " * 20_000 + "rm -rf /"
    assert shown({"command": text}) == {"command": f'"{text}"'}


def test_what_cannot_be_seen_is_counted() -> None:
    found = readable({"a": "x\u200by\u200b", "\u202eb": ["p\u0430y"], "c": "plain\n\t"})
    assert (found.hidden, found.characters) == (4, 18)
    assert readable({"a": "naïve café\n日本"}).hidden == 0


def test_without_arguments_there_is_nothing() -> None:
    assert readable({}).values == ()


def as_meant(value: str) -> Any:
    """Read a shown value as its reader does."""
    if not value.startswith('"'):
        return json.loads(value)
    assert value.endswith('"')
    text = value[1:-1].replace("\\n\n", "\\n")
    wide = re.sub(r"(?<!\\)((?:\\\\)*)\\u\{([0-9a-f]+)\}", _pair, text)
    return json.loads(f'"{wide}"')


def _pair(match: re.Match[str]) -> str:
    return match[1] + json.dumps(chr(int(match[2], 16)))[1:-1]


@given(st.dictionaries(NASTY, VALUES, max_size=4))
def test_what_is_shown_tells_all_calls_apart(arguments: dict[str, Any]) -> None:
    """A reader who undoes the escapes has each value, and so no two calls look alike."""
    rows = readable(arguments).values
    assert len({it.place for it in rows}) == len(rows)
    for row in rows:
        steps = json.loads(as_json(row.place)).split("/")
        found: Any = arguments
        for step in (it.replace("~1", "/").replace("~0", "~") for it in steps):
            found = found[int(step)] if isinstance(found, list) else found[step]
        assert as_meant(row.value) == found


def as_json(place: str) -> str:
    if not place.startswith('"'):
        return json.dumps(place)
    return json.dumps(as_meant(place))


@given(st.dictionaries(NASTY, VALUES, max_size=4))
def test_every_line_that_is_shown_is_plain(arguments: dict[str, Any]) -> None:
    def is_plain(row: Argument) -> bool:
        lines = [row.place, *row.value.split("\n")]
        return all(it.isprintable() and not unseen(it) for it in lines)

    assert all(map(is_plain, readable(arguments).values))
