"""`bascule policy who-can`, with a real server that is asked for its tools."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from locked import TOOL, Locked

from bascule.cli.schemas import schema_of

CONFIG = """\
mode = "observe"

[connectors.unlocked]
command = ["nothing"]

[roles.support]
members = ["group:support", "agent:job"]
allow = ["small/look"]

[agents]
default_ceiling = ["small/*"]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Locked:
    place = Locked(tmp_path_factory.mktemp("place"))
    place.serve(TOOL, {**TOOL, "name": "shut\u202e"})
    place.configure(CONFIG, json.dumps([sys.executable, str(place.server / "server.py")]))
    place.run("user", "add", "alice", "--group", "support")
    place.run("user", "add", "bob")
    place.run("user", "disable", "bob")
    place.run("agent", "add", "desk", "--redirect-uri", "http://127.0.0.1/callback")
    return place


@pytest.fixture(scope="module")
def table(place: Locked) -> list[dict[str, Any]]:
    result = place.run("policy", "who-can", "--json")
    assert result.stderr == (
        "nothing of `unlocked` is served: `bascule lock unlocked` finds out what it has\n"
    )
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_there_is_a_row_for_each_user_agent_and_tool(table: list[dict[str, Any]]) -> None:
    assert [(it["user"], it["agent"], it["tool"]) for it in table] == [
        (user, agent, tool)
        for user in ("user:alice", "user:bob", None)
        for agent in ("bascule-cli", "desk", "job")
        for tool in ("look", "shut\u202e")
    ]


def test_rows_have_the_published_shape(table: list[dict[str, Any]]) -> None:
    shape = schema_of("policy-who-can")
    assert shape is not None
    for row in table:
        jsonschema.validate(row, shape)
        assert {"user", "agent", "connector", "tool", "decision", "because"} <= row.keys()


def test_rows_say_who_may_and_why(table: list[dict[str, Any]]) -> None:
    assert [it for it in table if it["decision"] != "deny" and it["agent"] == "job"] == [
        {
            "user": user,
            "agent": "job",
            "connector": "small",
            "tool": "look",
            "decision": "allow",
            "reason": "allowed",
            "because": ["ceiling:*/small/*", role, "scope:mcp:small/small/*"],
        }
        for user, role in (
            ("user:alice", "role:support/small/look"),
            (None, "role:support/small/look/agent:job"),
        )
    ]
    assert {it["reason"] for it in table if it["user"] == "user:bob"} == {"user_disabled"}


def test_people_see_what_is_allowed_and_no_character_that_a_terminal_obeys(
    place: Locked,
) -> None:
    words = ("policy", "who-can", "--user", "alice", "--agent", "desk")
    lines = place.run(*words).stdout.splitlines()
    assert [line.split()[:5] for line in lines] == [
        ["user", "agent", "connector", "tool", "decision"],
        ["user:alice", "desk", "small", "look", "allow"],
    ]
    assert "shut\\u202e" in place.run(*words, "--all").stdout


def test_a_table_that_is_not_whole_says_so(place: Locked, tmp_path: Path) -> None:
    not_asked = place.run("policy", "who-can", "--no-fetch", "--json", code=3)
    assert not_asked.stdout == ""
    assert "`small`: is in no lock, and was not asked" in not_asked.stderr
    broken = Locked(tmp_path)
    broken.configure('mode = "observe"', '["/does/not/exist"]')
    assert "/does/not/exist" in broken.run("policy", "who-can", code=3).stderr


def test_an_unknown_connector_is_wrong_usage(place: Locked) -> None:
    place.run("policy", "who-can", "--connector", "smal", code=2)


def test_what_is_locked_is_in_the_table_and_its_approval_counts(tmp_path: Path) -> None:
    place = Locked(tmp_path)
    rights = '[roles.r]\nmembers = ["user:alice"]\nallow = ["small/*"]'
    place.configure(rights)
    place.run("lock")
    place.serve(TOOL, {**TOOL, "name": "new"})  # which nobody has looked at

    def told() -> list[tuple[str, str, str]]:
        rows = place.run("policy", "who-can", "--user", "alice", "--json").stdout
        found = [json.loads(line) for line in rows.splitlines()]
        return [(it["tool"], it["decision"], it["reason"]) for it in found]

    assert told() == [("look", "deny", "not_approved")]
    place.run("approve", "small", "--reason", "looked at it")
    assert told() == [("look", "allow", "allowed")]
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "x.cedar").write_text(
        '// why\n@id("x") forbid(principal, action == Mcp::Action::"call_tool", '
        'resource == Mcp::Tool::"small/look") when { context.args.path like "/etc/*" };'
    )
    found = place.row("policy", "check", code=1)
    assert [(it["file"], it["line"], it["severity"]) for it in found["problems"]] == [
        (str(policies / "x.cedar"), 2, "error")
    ]
    (policies / "x.cedar").unlink()
    place.configure(rights.replace('"small/*"]', '"small/*",\n  "small/lok"]'))
    found = place.row("policy", "check", code=1)
    assert found["problems"][0] == {
        "file": str(place.config),
        "line": 6,
        "severity": "error",
        "message": "roles.r.allow[1]: the approved surface of `small` has no tool `lok`: "
        "is `look` meant?",
    }
    assert "has no tool `lok`" in place.run("up", code=3).stderr
