"""`bascule policy check` and `bascule decide`, from files to exit codes."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bascule.cli.main import main

CONFIG = """\
[connectors.time]
mode = "observe"
command = ["time-server"]

[toolsets]
"time:read" = ["time/now"]

[roles.clerk]
members = ["user:alice", "group:clerks", "agent:night-job"]
allow = [
  "time:read",
  "time/prompt:greet",
]

[agents]
default_ceiling = ["time/*"]
"""
FACTS: dict[str, Any] = {
    "user": "user:alice",
    "agent": "desk",
    "groups": [],
    "scopes": ["mcp:time"],
    "connector": "time",
    "method": "tools/call",
    "name": "now",
    "arguments": {"zone": "UTC"},
    "now": 1764000000,
}


def bascule(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        main, ["--config", str(folder / "bascule.toml"), *arguments], catch_exceptions=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bascule.toml").write_text(CONFIG)
    (tmp_path / "policies").mkdir()
    return tmp_path


def decided(folder: Path, **changes: object) -> tuple[int, dict[str, Any]]:
    facts = folder / "facts.json"
    facts.write_text(json.dumps({**FACTS, **changes}))
    result = bascule(folder, "decide", str(facts), "--json")
    answer: dict[str, Any] = json.loads(result.stdout)
    return result.exit_code, answer


def test_an_allowed_call_exits_0_and_names_its_policies(folder: Path) -> None:
    assert decided(folder) == (
        0,
        {
            "decision": "allow",
            "reason": "allowed",
            "policies": [
                "ceiling:*/time/*",
                "role:clerk/time:read",
                "scope:mcp:time/time/*",
            ],
            "scopes": [],
            "record": None,
        },
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "set"}, "no_user_right"),
        ({"user": "user:eve"}, "no_user_right"),
        ({"user": None}, "no_agent_right"),
        ({"connector": "tim"}, "unknown_connector"),
        ({"method": "tools/run"}, "unknown_method"),
        ({"kind": "prompt"}, "unknown_method"),
        ({"method": "completion/complete", "kind": "prompt"}, "no_user_right"),
    ],
)
def test_a_denied_call_exits_1_with_its_reason(
    folder: Path, changes: dict[str, object], reason: str
) -> None:
    code, answer = decided(folder, **changes)
    assert (code, answer["decision"], answer["reason"]) == (1, "deny", reason)


def test_a_missing_scope_is_named(folder: Path) -> None:
    code, answer = decided(folder, scopes=[])
    assert (code, answer["reason"], answer["scopes"]) == (
        1,
        "insufficient_scope",
        ["mcp:time"],
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"user": "alice"},
        {"user": "eve", "groups": ["clerks"]},
        {"user": "eve", "groups": ["group:clerks"]},
        {"user": None, "agent": "night-job"},
        {"now": "2026-01-01T00:00:00Z"},
        {"method": "prompts/get", "name": "greet"},
        {"method": "completion/complete", "kind": "prompt", "name": "greet"},
        {"method": "tools/list", "name": "", "user": "eve"},
    ],
)
def test_facts_may_be_written_in_these_ways(
    folder: Path, changes: dict[str, object]
) -> None:
    code, answer = decided(folder, **changes)
    assert (code, answer["decision"]) == (0, "allow")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({**FACTS, "usr": "x"}),
        json.dumps({**FACTS, "now": "2026-01-01T00:00:00"}),
        json.dumps({**FACTS, "method": "completion/complete"}),
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
)
def test_what_is_no_facts_exits_3(folder: Path, text: str) -> None:
    (folder / "facts.json").write_text(text, encoding="latin-1")
    result = bascule(folder, "decide", str(folder / "facts.json"))
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")


def test_people_get_one_line(folder: Path) -> None:
    (folder / "facts.json").write_text(json.dumps({**FACTS, "scopes": []}))
    result = bascule(folder, "decide", str(folder / "facts.json"))
    assert result.stdout == "deny: insufficient_scope mcp:time\n"


def test_a_policy_that_does_not_stand_decides_nothing(folder: Path) -> None:
    (folder / "policies" / "x.cedar").write_text("permit(principal, action, resource);")
    (folder / "facts.json").write_text(json.dumps(FACTS))
    result = bascule(folder, "decide", str(folder / "facts.json"), "--json")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "x.cedar:1: has no `@id" in result.stderr


def test_good_policies_pass_the_check(folder: Path) -> None:
    result = bascule(folder, "policy", "check", "--strict", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"ok": True, "problems": []}


def test_no_configuration_at_all_passes_the_check(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        result = CliRunner().invoke(main, ["policy", "check", "--json"])
    assert (result.exit_code, json.loads(result.stdout)["ok"]) == (0, True)


def test_an_error_fails_the_check_with_file_and_line(folder: Path) -> None:
    path = folder / "bascule.toml"
    path.write_text(CONFIG.replace("time/prompt:greet", "tim/prompt:greet"))
    broken = folder / "policies" / "b.cedar"
    broken.write_text('// why\n@id("x")\npermit(principal, action, resource == "x");\n')
    result = bascule(folder, "policy", "check", "--json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 1
    assert answer["ok"] is False
    assert answer["problems"][0] == {
        "file": str(path),
        "line": 12,
        "severity": "error",
        "message": "roles.clerk.allow[1]: connector `tim` does not exist",
    }
    assert (answer["problems"][1]["file"], answer["problems"][1]["line"]) == (
        str(broken),
        3,
    )


def test_a_warning_fails_only_a_strict_check(folder: Path) -> None:
    path = folder / "bascule.toml"
    path.write_text(CONFIG + '\n[roles.idle]\nallow = ["time/*"]\n')
    relaxed = bascule(folder, "policy", "check", "--json")
    strict = bascule(folder, "policy", "check", "--json", "--strict")
    assert (relaxed.exit_code, json.loads(relaxed.stdout)["ok"]) == (0, True)
    assert (strict.exit_code, json.loads(strict.stdout)["ok"]) == (1, False)
    (problem,) = json.loads(strict.stdout)["problems"]
    assert (problem["line"], problem["severity"]) == (18, "warning")
