"""Inside, outside, unknown: what follows from what was tried."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bascule.scan.boundary import (
    Judged,
    Listening,
    Outward,
    Tried,
    judge_remote,
    judge_stdio,
)
from bascule.scan.bypass import ways_around
from bascule.scan.definition_hosts import hosts_of
from bascule.scan.server import State

ELSEWHERE = Outward(enclosed=False, remote=True)
ENCLOSED = Outward(enclosed=True, may_reach=("docs.example:443",))


def seen(*states: State, beyond: bool = False) -> tuple[Tried, ...]:
    return tuple(
        Tried(f"way {number}", f"192.0.2.{number}:9000", beyond, state, "a reason")
        for number, state in enumerate(states)
    )


def inward(*states: State) -> str:
    return judge_remote("desk", seen(*states), ELSEWHERE).inward


def severities(judged: Judged) -> list[tuple[str, str]]:
    return [(it.rule, it.severity) for it in judged.findings]


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        (("open",), "outside"),
        (("garbage_accepted",), "outside"),
        (("token_required", "open"), "outside"),
        (("unknown", "open"), "outside"),
        (("token_required",), "inside"),
        (("forbidden", "unreachable", "not_mcp"), "inside"),
        (("mutual_tls",), "inside"),
        (("discovery_open",), "inside"),
        (("token_required", "unknown"), "unknown"),
        (("unreachable",), "unknown"),
        (("not_mcp", "not_mcp"), "unknown"),
        (("configured",), "unknown"),
        ((), "unknown"),
    ],
)
def test_a_verdict_follows_from_the_states(states: tuple[State, ...], verdict: str) -> None:
    assert inward(*states) == verdict


@pytest.mark.parametrize("states", [("unreachable",), ("token_required", "unknown"), ()])
def test_what_is_unknown_is_said_with_a_reason(states: tuple[State, ...]) -> None:
    gaps = judge_remote("desk", seen(*states), ELSEWHERE).not_assessed
    assert [it.target for it in gaps] == ["connectors.desk"] * len(gaps)
    assert len(gaps) == 2  # the other is of what it reaches
    assert all(it.why for it in gaps)


def test_a_way_around_is_worse_for_others_than_for_programs_of_this_machine() -> None:
    near = judge_remote("desk", seen("open"), ELSEWHERE)
    far = judge_remote("desk", (*seen("open"), *seen("open", beyond=True)), ELSEWHERE)
    assert severities(near) == [("boundary-bypass", "high")]
    assert severities(far) == [("boundary-bypass", "critical")]
    assert near.findings[0].id == far.findings[0].id
    assert "192.0.2.0:9000 (way 0)" in near.findings[0].evidence


@pytest.mark.parametrize(
    ("url", "problem", "why"),
    [
        ("https://desk.example/mcp", OSError(-2, "x"), "its name has no address"),
        ("https://desk.example/mcp", TimeoutError(), "its name has no address"),
        ("https://desk\\.example", None, "is no URL to probe"),
    ],
)
def test_a_server_that_cannot_be_found_is_unknown(
    url: str, problem: Exception | None, why: str
) -> None:
    async def resolver(host: str, port: int) -> list[str]:
        raise problem or AssertionError("no name is looked up")

    tried = asyncio.run(ways_around(url, (), resolver=resolver))
    assert [it.state for it in tried] == ["unreachable"]
    assert why in tried[0].why
    assert judge_remote("desk", tried, ELSEWHERE).inward == "unknown"


def test_any_token_is_no_better_than_none() -> None:
    (finding,) = judge_remote("desk", seen("garbage_accepted"), ELSEWHERE).findings
    assert "takes any token" in finding.evidence


def test_a_stdio_server_is_inside_until_it_listens() -> None:
    assert judge_stdio("time", (), "", ENCLOSED).inward == "inside"
    assert judge_stdio("time", (), "it is not shown", ENCLOSED).inward == "unknown"
    for state, beyond, severity in (
        ("open", True, "critical"),
        ("open", False, "high"),
        ("not_mcp", True, "medium"),
    ):
        listening = Listening("0.0.0.0:9000", beyond, state)
        found = judge_stdio("time", (listening,), "", ENCLOSED)
        assert found.inward == "outside"
        assert severities(found) == [("boundary-listens", severity)]


def test_outward_only_a_sandbox_says_inside() -> None:
    assert judge_stdio("time", (), "", ENCLOSED).outward == "inside"
    for it in (Outward(enclosed=False), ELSEWHERE):
        found = judge_stdio("time", (), "", it)
        assert found.outward == "unknown"
        assert found.not_assessed[0].what == "what it reaches"


def test_what_a_sandbox_refused_is_found_place_by_place() -> None:
    refused = {"evil.example\x1b[2J:443": 7, "192.0.2.1:22": 8}
    outward = Outward(enclosed=True, refused=refused)
    found = judge_stdio("time", (), "", outward)
    assert severities(found) == [("boundary-reach-refused", "medium")] * 2
    assert len({it.id for it in found.findings}) == 2
    assert "\x1b" not in "".join(it.evidence for it in found.findings)
    assert found.refused == refused


@pytest.mark.parametrize(
    ("may_reach", "enclosed", "expected"),
    [
        (("docs.example:443",), True, []),
        (("DOCS.example:443",), True, []),
        (("other.example:443",), False, ["boundary-names-host"]),
        ((), True, ["boundary-names-host"]),
        ((), False, []),  # nothing was declared, so nothing differs from it
    ],
)
def test_hosts_that_tools_name_are_held_against_what_was_declared(
    may_reach: tuple[str, ...], enclosed: bool, expected: list[str]
) -> None:
    outward = Outward(
        enclosed=enclosed, may_reach=may_reach, named=(("fetch", "docs.example"),)
    )
    found = judge_stdio("web", (), "", outward)
    assert [it.rule for it in found.findings] == expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"properties": {"url": {"default": "https://a.example/x"}}}, ["a.example"]),
        ({"properties": {"url": {"enum": ["http://b.example", 3]}}}, ["b.example"]),
        ({"oneOf": [{"const": "https://c.example"}]}, ["c.example"]),
        ({"examples": ["https://d.example", "https://d.example/2"]}, ["d.example"]),
        ({"description": "see https://docs.example"}, []),
        ({"properties": {"url": {"default": "not a url"}}}, []),
        (None, []),
        ("https://e.example", []),
    ],
)
def test_which_hosts_a_definition_names(schema: Any, expected: list[str]) -> None:
    assert list(hosts_of({"name": "fetch", "inputSchema": schema})) == expected


def test_a_schema_without_end_of_depth_ends() -> None:
    schema: dict[str, Any] = {"default": "https://deep.example"}
    for _ in range(5000):
        schema = {"properties": schema}
    assert list(hosts_of({"inputSchema": schema})) == []
