"""The page of a scan as text and numbers; people look at it in `tests/browser`."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace

from bascule.app.scan_page import MOST_REQUESTS, scan_page
from bascule.scan.baseline import Compared, compared
from bascule.scan.report import Report, Sent
from bascule.scan.reports.reach_map import MOST_SERVERS, reach_map, reached_by
from bascule.scan.server import Server
from scanned import OPEN, RULES, TODAY, UNSEEN, accepting, hostile, nothing_accepted, report

NOTES = report().servers[0]


def page(scanned: Report, held: Compared | None = None) -> str:
    held = held or nothing_accepted(scanned)
    return scan_page(scanned, held, made="now", rules=RULES)


def test_a_page_has_everything_that_the_other_reports_have() -> None:
    text = page(report())
    for told in (OPEN.why, "tools/list: 3 tools", "it hung up", "10.1.2.0/24"):
        assert told in text
    assert "Put it behind <code>bascule add</code>." in text
    assert "MCP07 Insufficient Authentication &amp; Authorization" in text
    assert "<b>1</b> high" in text


def test_nothing_of_a_page_leads_out_of_it() -> None:
    """No element that loads, links, embeds or sends; the policy would stop it as well."""
    for scanned in (report(), hostile(), Report()):
        text = page(scanned)
        assert re.findall(r"<(?:a|img|link|iframe|object|embed|form|base)[\s>]", text) == []
        assert re.findall(r"\s(?:href|src|action|style|on\w+)\s*=\s*[\"']", text) == []
        assert "default-src &#39;none&#39;" in text


def test_hostile_text_is_shown_and_does_nothing() -> None:
    text = page(hostile())
    assert set(text) & (UNSEEN - {"\n"}) == set()
    assert text.count("<script>") == 1
    assert "&lt;/script&gt;&lt;script&gt;document.title=" in text


def test_what_is_accepted_stands_apart() -> None:
    scanned = report()
    held = compared(scanned.findings, [accepting(scanned.findings[0])], today=TODAY)
    text = page(scanned, held)
    assert "<b>0</b> high" in text
    assert text.index("Accepted by the baseline") < text.index(OPEN.why)
    assert "accepted until 2026-12-30: a test bed" in text


def test_one_finding_among_thousands_is_still_drawn() -> None:
    one, other = report().findings
    many = tuple(replace(other, id=f"x{n}") for n in range(5000))
    widths = re.findall(
        r'<rect class="(high|medium)"[^>]* width="(\d+)"',
        page(Report(findings=(one, *many), servers=(NOTES,))),
    )
    assert {kind: int(width) for kind, width in widths} == {"high": 2, "medium": 560}


def test_requests_beyond_the_most_are_counted() -> None:
    sent = Sent(at=0.0, method="GET", url="u", address="a", status=None)
    text = page(Report(requests=(sent,) * (MOST_REQUESTS + 1)))
    assert "10001 in all, the first 10000 here" in text
    assert text.count("<td>no answer</td>") == MOST_REQUESTS


@pytest.mark.parametrize(
    ("changes", "who"),
    [
        ({"address": "127.0.0.1:1"}, ["programs on the same machine"]),
        ({"address": "[::1]:1"}, ["programs on the same machine"]),
        ({"address": "[fe80::1%eth0]:1"}, ["machines on the same link"]),
        ({"address": "10.1.2.3:1"}, ["private networks"]),
        ({"address": "8.8.8.8:1"}, ["the internet"]),
        ({"url": "http://localhost:1/mcp"}, ["programs on the same machine"]),
        ({"url": "http://10.1.2.3/", "client": "cursor"}, ["cursor", "private networks"]),
        ({"url": "https://mcp.example/mcp"}, ["nobody who is known"]),
        ({"url": "http://[/"}, ["nobody who is known"]),
        ({"transport": "stdio", "client": "cursor"}, ["cursor"]),
        ({"transport": "stdio"}, ["the program that starts it"]),
    ],
)
def test_who_reaches_a_server_is_told_by_address_and_client(
    changes: dict[str, Any], who: list[str]
) -> None:
    assert reached_by(Server(name="s", **changes)) == who


def test_a_map_draws_a_line_for_each_way_and_ends_it_at_bascule_where_that_is() -> None:
    direct = Server(name="a", address="127.0.0.1:1", client="cursor", state="open")
    through = replace(direct, name="b", through_bascule=True, state="token_required")
    drawn = reach_map([through, direct])
    assert [it.name for it in drawn.servers] == ["a", "b"]  # the open one first
    assert [(it.server, it.guard) for it in drawn.lines] == [
        *[(0, "open")] * 2,
        *[(1, "guarded")] * 2,
    ]
    ends = [int(it.path.split()[-2]) for it in drawn.lines]
    assert ends[0] == ends[1] > ends[2] == ends[3]
    assert [it.through for it in drawn.servers] == [False, True]
    ys = [it.y for it in (*drawn.who, *drawn.servers)]
    assert 0 < min(ys) <= max(ys) < drawn.height


def test_a_map_is_bounded_and_drops_no_open_server() -> None:
    guarded = [Server(name=f"g{n}", state="forbidden") for n in range(MOST_SERVERS)]
    drawn = reach_map([*guarded, Server(name="z", state="open")])
    assert drawn.servers[0].name == "z"
    assert (len(drawn.servers), drawn.left_out) == (MOST_SERVERS, 1)


def test_a_shadow_says_so() -> None:
    said = reach_map([NOTES]).servers[0].said
    assert said.startswith("notes: open, reached by private networks, a shadow:")
