"""Whatever two entries hold, the page tells that they differ, and drives no terminal."""

from __future__ import annotations

from click import unstyle
from hypothesis import given
from hypothesis import strategies as st

from bascule.app.comparing import Comparison
from bascule.cli.diff_text import page
from bascule.lock.diff import Side, compare_entries
from bascule.lock.invisible import unseen
from bascule.lock.model import (
    Access,
    Artifact,
    Entry,
    Launch,
    Package,
    Provenance,
    Source,
    entry_digest,
)
from bascule.lock.surface import FORMAT, Context, Document, pins

TEXT = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from("\u200b\u202e\x1b\x9b\x07\r\n\\"),
    max_size=6,
)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
DEFINITIONS = st.dictionaries(
    TEXT.filter(bool),
    st.tuples(st.dictionaries(TEXT, TEXT | st.dictionaries(TEXT, TEXT), max_size=3)),
    max_size=2,
)
DOCUMENTS = st.builds(
    Document,
    st.just(FORMAT),
    st.builds(Context, environment=st.dictionaries(TEXT, TEXT, max_size=2)),
    instructions=TEXTS,
    tools=DEFINITIONS,
    refused=st.dictionaries(TEXT, TEXT, max_size=1),
)
PACKAGES = st.builds(
    Package,
    TEXT.map(lambda name: f"pkg:pypi/{name}@1"),
    st.builds(Artifact, TEXT),
    published_at=TEXT,
    install_scripts=TEXTS,
    auto_exec=TEXTS,
    license=TEXT,
    yanked=TEXT,
    deprecated=TEXT,
    provenance=st.builds(Provenance, st.just("verified"), repository=TEXT),
)


@st.composite
def sides(draw: st.DrawFn) -> Side:
    document = draw(DOCUMENTS)
    entry = Entry(
        source=Source("pypi", draw(TEXT)),
        launch=Launch(
            "stdio", draw(TEXTS), draw(TEXTS), draw(st.dictionaries(TEXT, TEXT, max_size=2))
        ),
        access=Access(draw(TEXT), toolsets=draw(st.dictionaries(TEXT, TEXTS, max_size=1))),
        root=draw(TEXT),
        packages=tuple(draw(st.lists(PACKAGES, max_size=2))),
        surface=pins(document, seen_by=draw(TEXT)),
    )
    return Side(entry, document if draw(st.booleans()) else None)


@given(sides(), sides() | st.just(Side(None)))
def test_a_page_is_safe_to_print_and_tells_whether_anything_differs(
    after: Side, before: Side
) -> None:
    diff = compare_entries(before, after)
    shown = unstyle(page("x", Comparison(before, after, diff, (), (), None, None)))
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert [char for char in unseen(shown) if char != "\n"] == []
    same = before.digest == after.digest
    assert (diff.classes == []) == same
    assert ("no differences" in shown.splitlines()[0]) == same


@given(sides())
def test_an_entry_does_not_differ_from_itself(side: Side) -> None:
    again = Side(side.entry, side.document)
    assert compare_entries(side, again).classes == []
    assert side.entry is None or side.digest == entry_digest(side.entry)
