"""A query gives what a reader with patience would pick out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, structs

from audit_logs import LogFolder, new_log, record
from bascule.audit.query import Filter, Row, rows
from bascule.audit.record import AgentPart, AuthzPart, McpPart, UserPart, encode

START = 1_700_000_000_000_000
# Texts that stand within one another, need escapes, or look like parts of a record.
TEXTS = ["a", "ab", 'a"b', 'a","connector":"b', "é\n", "user:a", "allow", "\\"]
USERS = [UNSET, UserPart(sub="a"), UserPart(sub="ab"), UserPart(iss="https://i", sub="a")]
KEYS = {
    "seq",
    "id",
    "ts",
    "type",
    "user",
    "agent",
    "agent_verified",
    "connector",
    "method",
    "name",
    "decision",
    "reason",
    "policies",
}


def fields(number: int) -> dict[str, Any]:
    """Give a record's fields; the numbers run through all combinations that matter."""
    text = TEXTS[number % len(TEXTS)]
    other = TEXTS[number * 3 % len(TEXTS)]
    return {
        "agent": UNSET if number % 5 == 0 else AgentPart(client_id=text, verified=False),
        "authz": UNSET
        if number % 7 == 0
        else AuthzPart(decision=["allow", "deny"][number % 2]),
        "connector": UNSET if number % 6 == 0 else other,
        "mcp": UNSET if number % 4 == 0 else McpPart(method="tools/call", name=text),
        "type": ["call.start", "call.end", "auth.fail"][number % 3],
        "user": USERS[number % len(USERS)],
        # Clocks step back: the order of records is not that of their times.
        "ts": START + (number * 37) % 300,
    }


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> LogFolder:
    log = new_log(tmp_path_factory.mktemp("query"))
    log.put(*(encode(record(number, **fields(number))) for number in range(600)))
    log.step()
    return log


@pytest.fixture(scope="module")
def everything(log: LogFolder) -> list[Row]:
    return list(rows(log.files, Filter()))


texts = st.none() | st.sampled_from(TEXTS)
times = st.none() | st.integers(START - 1, START + 301)
filters = st.builds(
    Filter,
    user=st.none() | st.sampled_from(["user:a", "user:ab", "user:https://i|a", "user:b"]),
    agent=texts,
    connector=texts,
    name=texts,
    type=st.none() | st.sampled_from(["call.start", "call.end", "auth.fail", "call"]),
    decision=st.none() | st.sampled_from(["allow", "deny"]),
    since=times,
    until=times,
)


@given(filters)
def test_a_filter_gives_the_rows_that_have_all_it_asks_for(
    log: LogFolder, everything: list[Row], wanted: Filter
) -> None:
    expected = [
        row
        for row in everything
        if all(
            getattr(wanted, key) in (None, getattr(row, key))
            for key in ("user", "agent", "connector", "name", "type", "decision")
        )
        and (wanted.since is None or wanted.since <= row.ts)
        and (wanted.until is None or row.ts < wanted.until)
    ]
    assert list(rows(log.files, wanted)) == expected


@pytest.mark.parametrize("start", [0, 1, 255, 256, 257, 599, 600, 700])
def test_reading_may_begin_anywhere(
    log: LogFolder, everything: list[Row], start: int
) -> None:
    assert list(rows(log.files, Filter(), start)) == everything[start:]


def test_rows_are_numbered_and_whole(everything: list[Row]) -> None:
    assert [row.seq for row in everything] == list(range(600))
    assert all(set(structs.asdict(row)) == KEYS for row in everything)


def test_a_row_names_users_as_policies_do(everything: list[Row]) -> None:
    assert [row.user for row in everything[:4]] == [
        None,
        "user:a",
        "user:ab",
        "user:https://i|a",
    ]


def test_an_agent_is_not_verified_unless_the_record_says_so(everything: list[Row]) -> None:
    found = {(row.agent is None, row.agent_verified) for row in everything}
    assert found == {(True, None), (False, False)}


def test_a_log_without_records_has_no_rows(tmp_path: Path) -> None:
    assert list(rows(new_log(tmp_path).files, Filter())) == []
