"""Reports as text and JSON: what people and programs read of a scan."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bascule.cli.schemas import schema_of
from bascule.scan.baseline import Compared, compared
from bascule.scan.finding import found
from bascule.scan.report import Gap, Report
from bascule.scan.reports.json import json_report
from bascule.scan.reports.plain import plain
from bascule.scan.reports.text import text_report
from bascule.scan.server import Server
from scanned import (
    FLOATING,
    HOSTILE,
    LATER,
    NOW,
    OPEN,
    RULES,
    TODAY,
    UNSEEN,
    accepting,
    hostile,
    nothing_accepted,
    report,
)


def as_text(scanned: Report, held: Compared | None = None, **options: Any) -> str:
    held = held or nothing_accepted(scanned)
    return text_report(scanned, held, rules=RULES, **options)


def written(scanned: Report, held: Compared) -> str:
    return json_report(scanned, held, version="1.2.3", now=NOW)


def as_json(scanned: Report, held: Compared | None = None) -> Any:
    text = written(scanned, held or nothing_accepted(scanned))
    assert text.count("\n") == 0
    document = json.loads(text)
    Draft202012Validator(schema_of("scan") or {}).validate(document)
    return document


def test_a_finding_says_what_was_seen_why_it_matters_and_what_to_do() -> None:
    text = as_text(report())
    first = text[text.index("HIGH") :].splitlines()
    assert first[0] == "HIGH      an MCP server lists without a token"
    assert first[1:3] == [
        "  http://10.1.2.3:8080/mcp",
        "    seen     tools/list: 3 tools",
    ]
    assert first[3].startswith("    id       left-open-")
    assert first[4].startswith("    matters  Whoever reaches it")
    assert first[5] == "    do       Put it behind `bascule add`."


def test_what_one_rule_found_in_many_places_is_explained_once() -> None:
    findings = tuple(found(OPEN, f"http://10.1.2.{n}/mcp", f"{n} tools") for n in range(40))
    text = as_text(report(findings=findings))
    assert text.count(OPEN.why.split()[0]) == 1
    assert all(f"  http://10.1.2.{n}/mcp\n" in text for n in range(40))


def test_a_finding_in_a_file_says_the_line() -> None:
    finding = found(OPEN, "a.json: time", "", path="a.json", line=7)
    assert "\n  a.json: time (line 7)\n" in as_text(Report(findings=(finding,)))


def test_the_last_line_counts_everything() -> None:
    assert as_text(report()).splitlines()[-1] == (
        "2 servers, 2 findings (1 high, 1 medium), 1 not assessed, 1 request sent"
    )
    assert as_text(Report()) == "0 servers, 0 findings, 0 not assessed"


def test_what_is_wrong_stands_at_the_end() -> None:
    text = as_text(report())
    parts = ("Servers ", "Not assessed", "HIGH ", "MEDIUM ", "2 servers, 2 findings")
    places = [text.index(it) for it in parts]
    assert places == sorted(places)


def test_a_server_without_a_name_is_not_named_by_its_address_twice() -> None:
    url = "http://127.0.0.1:8931/mcp"
    nameless = Server(name=url, transport="http", url=url, state="unreachable")
    table = as_text(report(servers=(nameless,))).split("\n\n")[0]
    assert table.splitlines()[1].startswith("-  ")
    assert table.count(url) == 1


def test_what_may_be_no_server_is_not_counted_as_one() -> None:
    rows = [
        Server(name="s", url=f"http://h/{state}", state=state)
        for state in ("open", "token_required", "not_mcp", "unreachable", "unknown")
    ]
    last = as_text(report(servers=tuple(rows))).splitlines()[-1]
    assert last.startswith("2 servers, ")


def test_what_was_not_assessed_is_always_listed() -> None:
    gaps = [Gap(target=f"h{n}:80", what="a port", why="refused") for n in range(60)]
    text = " ".join(as_text(report(not_assessed=tuple(gaps))).split())
    assert "Not assessed a port: refused h0:80, h1:80," in text
    assert all(f" {it.target}" in text for it in gaps)


def test_what_is_accepted_is_shown_counted_apart_and_says_until_when() -> None:
    scanned = report()
    entries = [accepting(scanned.findings[0])]
    held = compared(scanned.findings, entries, today=TODAY)
    text = as_text(scanned, held)
    assert "HIGH" not in text
    assert "Accepted by the baseline\n  high      an MCP server lists" in text
    assert f"    until    {LATER}: a test bed" in text
    assert "1 finding (1 medium), 1 accepted" in text
    findings = as_json(scanned, held)["findings"]
    assert findings[0]["suppressed"] == {"reason": "a test bed", "expires": str(LATER)}
    assert findings[1]["suppressed"] is None


def test_entries_that_accept_nothing_are_told() -> None:
    scanned = report()
    entries = [
        accepting(scanned.findings[0], expires=TODAY.replace(day=1)),
        accepting(found(OPEN, "gone", "")),
    ]
    held = compared(scanned.findings, entries, today=TODAY)
    text = as_text(scanned, held)
    assert f"expired on 2026-11-01, counts again: {entries[0].id}" in text
    assert f"accepts nothing that was found, take it out: {entries[1].id}" in text
    assert as_json(scanned, held)["baseline"] == {
        "expired": [entries[0].id],
        "unmatched": [entries[1].id],
    }


def test_json_has_what_is_promised_of_it() -> None:
    document = as_json(report())
    assert {"servers", "findings", "not_assessed"} <= set(document)
    assert (document["version"], document["at"]) == ("1.2.3", NOW)
    assert set(document["findings"][0]) == {
        *("id", "rule", "severity", "promise", "target", "title", "evidence", "fix"),
        *("owasp", "suppressed"),
    }
    http, stdio = document["servers"]
    assert {"name", "transport", "pinned", "through_bascule", "known", "auth", "state"} <= (
        set(http) & set(stdio)
    )
    assert ("url" in http, "command" in http, "client" in http) == (True, False, False)
    assert stdio["command"] == ["uvx", "mcp-server-time"]


def test_json_of_hostile_text_is_the_same_text() -> None:
    document = as_json(hostile())
    assert document["findings"][0]["evidence"] == HOSTILE


def test_a_terminal_is_shown_nothing_that_it_obeys() -> None:
    scanned = hostile()
    for shown in (as_text(scanned), written(scanned, nothing_accepted(scanned))):
        assert set(shown) & (UNSEEN | {"\ud800"}) == set()


def test_no_text_of_others_begins_a_line_of_ours() -> None:
    finding = found(OPEN, "a\nHIGH      x", "b\n\nc", title="d\r\n0 servers, 0 findings")
    lines = as_text(Report(findings=(finding,))).splitlines()
    assert [line for line in lines if line.startswith(("HIGH", "0 servers"))] == [
        "HIGH      d\\r\\n0 servers, 0 findings",
        "0 servers, 1 finding (1 high), 0 not assessed",
    ]


def test_addresses_are_never_broken_over_lines() -> None:
    url = "http://10.1.2.3:8080/" + "a" * 300
    finding = found(FLOATING, url, f"see {url} there")
    assert as_text(Report(findings=(finding,)), width=60).count(url) == 2


@given(st.text())
def test_plain_text_holds_nothing_unseen_and_keeps_the_rest(text: str) -> None:
    shown = plain(text)
    assert set(shown) & UNSEEN == set()
    assert "\n" not in shown
    assert plain(shown) == shown
