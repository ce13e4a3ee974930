"""What never makes a package reviewed, whatever else the files say."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from audits import (
    BUILT,
    CRITERIA,
    NOW,
    audit,
    audits,
    delta,
    entry,
    exemption,
    npm,
    others,
    pypi,
    trusted,
)
from bascule.lock.audits import take_together
from bascule.lock.audits_file import AuditsError, parse_audits
from bascule.lock.reviews import assess_audits

VERSIONS = st.sampled_from(["1", "2", "3", "4", "5"])
CRITERION = st.sampled_from(["safe-to-run", "safe-to-deploy"])
WHO = st.sampled_from(["alice", "bob"])
PACKAGES = [*(npm("left", it) for it in "12345"), pypi("anyio", "4.0", BUILT)]
MAPPING = 'criteria = { safe-to-run = ["safe-to-run"] }\npeople = ["alice"]'

of_a_whole = st.builds(
    lambda version, criterion, who: audit("left", version, criteria=criterion, who=who),
    VERSIONS,
    CRITERION,
    WHO,
)
of_a_change = st.builds(
    lambda before, after, criterion, who, start: delta(
        "left", before, after, criteria=criterion, who=who, start=start
    ),
    VERSIONS,
    VERSIONS,
    CRITERION,
    WHO,
    st.sampled_from(["", "", "", "other bytes"]),
)
readings = st.one_of(of_a_whole, of_a_change, of_a_change)
tables = st.lists(
    st.one_of(
        readings,
        st.just(trusted()),
        st.builds(lambda it: exemption("pkg:npm/left", it), VERSIONS),
    ),
    max_size=12,
)
ended = st.sampled_from(
    [
        trusted(end="2026-09-21"),
        trusted(start="2026-09-02"),
        trusted(end="2026-09-01"),
        trusted(repository="github.com/acme/another"),
        trusted("pkg:npm/*"),
        *(exemption("pkg:npm/left", it, until="2026-09-21") for it in "12345"),
    ]
)


def reviewed(*parts: str, files: dict[str, str] | None = None) -> set[tuple[str, str]]:
    """Give what is reviewed: criterion and purl."""
    found = assess_audits(entry(*PACKAGES), audits("".join(parts), files), now=NOW)
    return {
        (criterion, it.purl)
        for criterion, reviews in found.by_criterion.items()
        for it in reviews
        if it.state != "unreviewed"
    }


@given(tables, st.data())
def test_fewer_audits_never_make_more_reviewed(
    parts: list[str], data: st.DataObject
) -> None:
    kept = [it for it in parts if data.draw(st.booleans())]
    assert reviewed(*kept) <= reviewed(*parts)


@given(tables, st.lists(ended, min_size=1, max_size=5))
def test_what_has_ended_never_makes_anything_reviewed(
    parts: list[str], more: list[str]
) -> None:
    assert reviewed(*parts, *more) == reviewed(*parts)


@given(tables, st.lists(readings, max_size=8))
def test_audits_of_others_who_do_not_count_never_make_anything_reviewed(
    parts: list[str], theirs: list[str]
) -> None:
    text = CRITERIA + "".join(theirs).replace('who = "alice"', 'who = "mallory"')
    imported = others("friends", text, MAPPING)
    assert reviewed(*parts, imported, files={"friends": text}) == reviewed(*parts)


@given(tables, st.lists(readings, max_size=8))
def test_audits_of_others_count_no_more_than_ours_would(
    parts: list[str], theirs: list[str]
) -> None:
    text = CRITERIA + "".join(theirs)
    imported = others("friends", text, MAPPING)
    found = reviewed(*parts, imported, files={"friends": text})
    assert reviewed(*parts) <= found <= reviewed(*parts, *theirs)


@given(st.lists(of_a_change, max_size=20))
def test_without_an_audit_of_a_whole_nothing_is_audited(deltas: list[str]) -> None:
    assert reviewed(*deltas) == set()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(AuditsError):
        parse_audits(content, source="audits.toml")


WHOLE = CRITERIA + audit("left", "1") + delta("left", "1", "2") + trusted()
WHOLE += exemption("pkg:npm/left", "1") + others("friends", "", MAPPING)


@given(st.integers(0, len(WHOLE)), st.integers(0, 40), st.text(max_size=20))
def test_a_file_that_was_damaged_is_read_or_refused(at: int, gone: int, new: str) -> None:
    text = WHOLE[:at] + new + WHOLE[at + gone :]
    with contextlib.suppress(AuditsError):
        found = parse_audits(text.encode(errors="replace"), source="audits.toml")
        with contextlib.suppress(AuditsError):
            take_together(found, {"friends": b""})
