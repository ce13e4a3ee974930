"""What a model would read is what a person sees."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.lock.invisible import json_text, quoted, unseen, visible

NASTY = st.text(
    st.characters()
    | st.sampled_from(
        '\u200b\u200d\u202e\u2066\ufeff\U000e0041\x1b\x9b\x7f\u00ad\ufe0f\\"n'
    )
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("read a file", "read a file"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2066isolated\u2069", "\\u2066isolated\\u2069"),
        ("tags\U000e0049\U000e0047", "tags\\u{e0049}\\u{e0047}"),
        ("selector\ufe0f", "selector\\ufe0f"),
        ("more\U000e0101", "more\\u{e0101}"),
        ("soft\u00adhyphen", "soft\\u00adhyphen"),
        ("no\u00a0break", "no\\u00a0break"),
        ("hangul\u3164filler", "hangul\\u3164filler"),
        ("\x1b[2J\x1b]0;title\x07", "\\u001b[2J\\u001b]0;title\\u0007"),
        ("\x9b31m", "\\u009b31m"),
        ("two\r\nlines\t", "two\\r\\nlines\\t"),
        ("para\u2029graph", "para\\u2029graph"),
        ("\ud800", "\\ud800"),
        ("private \ue000", "private \\ue000"),
        ("p\u0430ypal", "p\\u0430ypal"),
        ("\u0440\u0430\u0443 with it", "\\u0440\\u0430\\u0443 with it"),
        ("\uff52ead", "\\uff52ead"),
        ("\U0001d42b\U0001d41e", "\\u{1d42b}\\u{1d41e}"),
        ("\u212aelvin", "\\u212aelvin"),
        ("Привет, мир", "Привет, мир"),
        ("日本語の説明", "日本語の説明"),
        ("naïve café, 5 µs, x²", "naïve café, 5 µs, x²"),
        ("C:\\u200b", "C:\\\\u200b"),
    ],
)
def test_what_is_not_seen_as_itself_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(NASTY)
def test_what_is_shown_is_safe_for_a_terminal_and_tells_texts_apart(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert not unseen(shown)
    assert "\n" not in shown
    assert (shown == text) or "\\" in shown


@given(NASTY, NASTY)
def test_two_texts_never_look_the_same(one: str, other: str) -> None:
    assert (quoted(one) == quoted(other)) == (one == other)


@given(NASTY, st.sampled_from([None, 1]))
def test_json_that_shows_everything_has_the_same_value(
    text: str, indent: int | None
) -> None:
    written = json_text({"b": text, "a": [text]}, indent=indent)
    assert json.loads(written) == {"a": [text], "b": text}
    assert not unseen(written)
