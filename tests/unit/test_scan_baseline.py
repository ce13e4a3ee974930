"""What a baseline accepts, and what it must not."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from bascule.scan.baseline import (
    LONGEST_DAYS,
    BaselineError,
    compared,
    read_baseline,
    write_baseline,
)
from bascule.scan.finding import found
from scanned import FLOATING, HOSTILE, LATER, OPEN, TODAY, UNSEEN, accepting

FINDING = found(OPEN, "http://10.1.2.3:8080/mcp", "three tools")
ENTRY: dict[str, Any] = {
    "id": FINDING.id,
    "rule": FINDING.rule,
    "target": FINDING.target,
    "severity": "high",
    "reason": "a test bed",
    "expires": LATER,
}


def written(*entries: dict[str, Any], **more: Any) -> str:
    return tomlkit.dumps({"accepted": list(entries), **more})


ONE = written(ENTRY)


def reading(text: str) -> Any:
    return read_baseline(text, source="base.toml", today=TODAY)


def test_what_a_baseline_has_is_accepted() -> None:
    held = compared([FINDING], reading(written(ENTRY)), today=TODAY)
    assert not held.counts(FINDING)
    assert (held.expired, held.unmatched) == ((), ())


@pytest.mark.parametrize("missing", sorted(ENTRY))
def test_an_entry_needs_each_of_its_keys(missing: str) -> None:
    entry = {key: value for key, value in ENTRY.items() if key != missing}
    with pytest.raises(BaselineError, match=rf"base\.toml`, entry 1.*{missing}"):
        reading(written(entry))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reason": " \n"}, "has no reason: say why"),
        ({"reason": 3}, "reason"),
        ({"expires": "soon"}, "expires"),
        ({"expires": TODAY + datetime.timedelta(days=LONGEST_DAYS + 1)}, "at most a year"),
        ({"severity": "bad"}, "severity"),
        ({"until": LATER}, "unknown field `until`"),
    ],
)
def test_an_entry_that_is_none_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BaselineError, match=said):
        reading(written({**ENTRY, **changes}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[accepted]", "is no TOML"),
        ("x = 1", "`x` is not known here"),
        ("accepted = 3", r"begin with `\[\[accepted\]\]`"),
        ("accepted = [3]", "entry 1"),
        ("[accepted]", r"begin with `\[\[accepted\]\]`"),
        (written(ENTRY, ENTRY), "two entries of"),
        ("a=" + "[" * 5000, "is no TOML"),
    ],
)
def test_a_file_that_is_no_baseline_is_refused(text: str, said: str) -> None:
    with pytest.raises(BaselineError, match=said):
        reading(text)


@given(st.text(max_size=60))
def test_any_text_is_a_baseline_or_refused(text: str) -> None:
    for each in (text, ONE + text):
        try:
            reading(each)
        except BaselineError:
            continue


def test_the_last_day_still_counts_and_the_next_does_not() -> None:
    entries = [accepting(FINDING, expires=TODAY)]
    tomorrow = TODAY + datetime.timedelta(days=1)
    assert not compared([FINDING], entries, today=TODAY).counts(FINDING)
    late = compared([FINDING], entries, today=tomorrow)
    assert late.counts(FINDING)
    assert late.expired == tuple(entries)


@pytest.mark.parametrize(
    "changes",
    [
        {"target": "http://localhost/harmless"},
        {"rule": "harmless"},
        {"severity": "medium"},
        {"id": "left-open-000000000000"},
    ],
    ids=lambda it: next(iter(it)),
)
def test_an_entry_passes_only_what_it_says(changes: dict[str, Any]) -> None:
    """Who reviews the file must not be shown one thing and let another pass."""
    held = compared([FINDING], [accepting(FINDING, **changes)], today=TODAY)
    assert held.counts(FINDING)
    assert len(held.unmatched) == 1


def test_what_became_milder_stays_accepted() -> None:
    held = compared([FINDING], [accepting(FINDING, severity="critical")], today=TODAY)
    assert not held.counts(FINDING)


def test_a_new_baseline_is_refused_until_each_entry_has_a_reason() -> None:
    other = found(FLOATING, HOSTILE, "")
    text = write_baseline([FINDING, other], [], today=TODAY)
    with pytest.raises(BaselineError, match=r"entry 1.*has no reason"):
        reading(text)
    entries = reading(text.replace('reason = ""', 'reason = "known"'))
    held = compared([FINDING, other], entries, today=TODAY)
    assert sorted(held.accepted) == sorted([FINDING.id, other.id])
    assert set(text) & UNSEEN == set()


def test_what_has_a_reason_keeps_it_and_what_is_gone_goes() -> None:
    gone = found(OPEN, "http://localhost:9/mcp", "")
    kept = [accepting(FINDING), accepting(gone)]
    entries = reading(write_baseline([FINDING], kept, today=TODAY))
    assert entries == (accepting(FINDING),)


def test_what_has_expired_or_become_worse_needs_a_new_reason() -> None:
    yesterday = TODAY - datetime.timedelta(days=1)
    for old in (accepting(FINDING, expires=yesterday), accepting(FINDING, severity="low")):
        with pytest.raises(BaselineError, match="has no reason"):
            reading(write_baseline([FINDING], [old], today=TODAY))


@pytest.mark.parametrize(
    "text",
    [
        written({**ENTRY, HOSTILE[:-1]: 1}),
        written({**ENTRY, "id": HOSTILE[:-1], "reason": ""}),
        written({**ENTRY, "id": HOSTILE[:-1]}, {**ENTRY, "id": HOSTILE[:-1]}),
        written(**{HOSTILE[:-1]: 1}),
    ],
    ids=["key", "id", "twice", "table"],
)
def test_an_error_repeats_nothing_that_a_terminal_obeys(text: str) -> None:
    """The file may come with a pull request of anybody."""
    with pytest.raises(BaselineError) as refused:
        reading(text)
    assert set(str(refused.value)) & (UNSEEN | {"\n"}) == set()
