"""`bascule policy diff`, from two folders to an exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from bascule.cli.main import main

CONFIG = """\
[connectors.tickets]
mode = "observe"
url = "https://tickets.example/mcp"

[roles.support]
members = ["group:support", "user:bob"]
allow = ["tickets/search"]

[agents]
default_ceiling = ["tickets/search", "tickets/close"]
ceilings = { desk = ["tickets/*"] }
"""
WIDER = CONFIG.replace('allow = ["tickets/search"]', 'allow = ["tickets/*"]')
POLICY = """\
@id("small-searches")
forbid (principal is Mcp::User, action == Mcp::Action::"call_tool",
        resource == Mcp::Tool::"tickets/search")
when { context.args has limit && context.args.limit > 100 };
"""


def bascule(folder: Path, *arguments: str) -> Result:
    command = ["--data-dir", str(folder / "data"), "policy", "diff", *arguments]
    return CliRunner().invoke(main, command, catch_exceptions=False)


@pytest.fixture
def sides(tmp_path: Path) -> Path:
    for name, text in (("a", CONFIG), ("b", WIDER)):
        (tmp_path / name / "policies").mkdir(parents=True)
        (tmp_path / name / "bascule.toml").write_text(text)
    return tmp_path


def compared(sides: Path, *paths: str) -> tuple[int, dict[str, Any]]:
    result = bascule(sides, *(str(sides / it) for it in paths), "--json")
    shape = CliRunner().invoke(main, ["schema", "policy-diff"]).stdout
    found: dict[str, Any] = json.loads(result.stdout)
    Draft202012Validator(json.loads(shape)).validate(found)
    return result.exit_code, found


def test_equal_configurations_exit_0(sides: Path) -> None:
    code, found = compared(sides, "a", "a/bascule.toml")
    assert code == 0
    assert not any(found["counts"].values())
    assert bascule(sides, *[str(sides / "a")] * 2).stdout == "no differences\n"
    assert not (sides / "data").exists()


def test_who_gains_what_is_said_apart_and_together(sides: Path) -> None:
    code, found = compared(sides, "a", "b")
    assert code == 1
    assert found["agents"] == found["scopes"] == []
    (alone,) = found["users"]
    assert set(alone["users"]) == {"user:bob", "group:support", "role:support"}
    assert (alone["agents"], alone["targets"]) == ([], ["tickets/close"])
    (together,) = found["combined"]
    assert set(together["agents"]) == {"bascule-cli", "desk", "(any other)"}
    assert found["counts"]["allowed"] == 9
    assert [(it["id"], it["before"] is None) for it in found["policies"]] == [
        ("role:support/tickets/*", True),
        ("role:support/tickets/search", False),
    ]


def test_the_other_way_round_it_is_denied(sides: Path) -> None:
    code, found = compared(sides, "b", "a")
    assert (code, found["counts"]["denied"], found["counts"]["allowed"]) == (1, 9, 0)
    assert found["combined"][0]["reason"] == "no_user_right"


def test_what_only_policies_say_is_text_too(sides: Path) -> None:
    (sides / "b" / "bascule.toml").write_text(CONFIG)
    (sides / "b" / "policies" / "limits.cedar").write_text(POLICY)
    code, found = compared(sides, "a", "b")
    assert (code, found["counts"]["narrower"]) == (1, 9)
    (policy,) = found["policies"]
    assert policy["before"] is None
    assert "context.args" in policy["after"]
    text = bascule(sides, str(sides / "a"), str(sides / "b")).stdout
    assert "- user:bob, group:support, role:support through bascule-cli" in text
    assert "may now on conditions only: tickets/search" in text
    assert "  + forbid(" in text


BESIDE = (
    CONFIG
    + """
[labels]
web = ["tickets/search"]
out = ["tickets/close"]
[call_approvals.money]
tools = ["tickets/close"]
approvers = ["user:carol", "user:dave"]
quorum = 2
[flows.trifecta]
after = ["web"]
close = ["out"]
[rates.closing]
of = ["tickets/close"]
calls = 5
"""
)


@pytest.mark.parametrize(
    ("said", "wider", "path"),
    [
        ("quorum = 2", "quorum = 1", "call_approvals.money.quorum"),
        (
            "quorum = 2",
            "quorum = 2\nself_approval = true",
            "call_approvals.money.self_approval",
        ),
        ('"user:dave"]', '"user:dave", "user:eve"]', "call_approvals.money.approvers"),
        ('close = ["out"]', 'close = ["out"]\nminutes = 1', "flows.trifecta.minutes"),
        ('web = ["tickets/search"]', "web = []", "labels.web"),
        ("calls = 5", "calls = 500", "rates.closing.calls"),
        (
            "[connectors.tickets]",
            '[connectors.tickets]\nunknown_arguments = "allow"',
            "connectors.tickets.unknown_arguments",
        ),
        ('mode = "observe"', 'mode = "warn"', "connectors.tickets.mode"),
    ],
)
def test_what_is_loosened_beside_policies_is_a_difference(
    sides: Path, said: str, wider: str, path: str
) -> None:
    for name, text in (("a", BESIDE), ("b", BESIDE.replace(said, wider))):
        (sides / name / "bascule.toml").write_text(text)
    code, found = compared(sides, "a", "b")
    assert (code, [it["path"] for it in found["settings"]]) == (1, [path])
    text = bascule(sides, str(sides / "a"), str(sides / "b")).stdout
    assert f"  ~ {path}: " in text
    assert compared(sides, "b", "b")[0] == 0


def test_a_policy_that_is_not_valid_is_no_difference_but_an_error(sides: Path) -> None:
    (sides / "b" / "policies" / "broken.cedar").write_text("permit(")
    result = bascule(sides, str(sides / "a"), str(sides / "b"))
    assert result.exit_code == 3
    assert "broken.cedar:1" in result.stderr


def test_local_users_are_looked_at_where_there_is_a_state(sides: Path) -> None:
    runner = CliRunner()
    data = ["--data-dir", str(sides / "data"), "--config", str(sides / "a/bascule.toml")]
    added = runner.invoke(main, [*data, "user", "add", "carol", "--group", "support"])
    assert added.exit_code == 0
    _, found = compared(sides, "a", "b")
    assert "user:carol" in found["combined"][0]["users"]
