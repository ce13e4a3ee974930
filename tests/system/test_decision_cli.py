"""`bascule policy check` and `bascule decide`, from files to exit codes."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from bascule.cli.main import main
from bascule.cli.schemas import schema_of

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
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Whoever runs the tests may have a state of their own.
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
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


def test_people_get_the_decision_and_what_was_missing(folder: Path) -> None:
    (folder / "facts.json").write_text(json.dumps({**FACTS, "scopes": []}))
    result = bascule(folder, "decide", str(folder / "facts.json"))
    assert result.stdout.splitlines() == [
        "deny: insufficient_scope mcp:time",
        "User and agent may; no scope of the token covers it.",
        "  user:alice: yes: role:clerk/time:read",
        "  agent desk: yes: ceiling:*/time/*",
        "  token: no, nothing permits it",
        "      nearly scope:mcp:time/time/*: it is for scope `mcp:time`",
        "missing: the token needs a scope: `mcp:time`",
    ]


def explained(folder: Path, *words: str, code: int) -> dict[str, Any]:
    data = ("--data-dir", str(folder / "data"))
    result = bascule(folder, *data, "policy", "explain", *words, "--json")
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    shape = schema_of("policy-explain")
    assert shape is not None
    jsonschema.validate(found, shape)
    return found


def test_an_explanation_says_what_a_decision_says_and_what_nearly_counted(
    folder: Path,
) -> None:
    (folder / "facts.json").write_text(json.dumps({**FACTS, "user": "eve"}))
    found = explained(folder, str(folder / "facts.json"), code=1)
    assert (found["decision"], found["reason"]) == ("deny", "no_user_right")
    assert found["asked"][0] == {
        "who": "user:eve",
        "answer": "no",
        "policies": [],
        "nearly": [
            {
                "policy": "role:clerk/time:read",
                "effect": "permit",
                "missing": "it is for role `clerk`, whose members are `user:alice`, "
                "`group:clerks`, `agent:night-job`",
            }
        ],
    }


def test_a_call_can_be_described_by_options(folder: Path) -> None:
    options = ("--agent", "desk", "--tool", "time/now")
    assert explained(folder, "--user", "alice", *options, code=0)["decision"] == "allow"
    assert explained(folder, *options, code=1)["reason"] == "no_agent_right"
    assert explained(folder, "--user", "eve", *options, code=1)["decision"] == "deny"
    grouped = ("--user", "eve", "--group", "clerks")
    assert explained(folder, *grouped, *options, code=0)["decision"] == "allow"
    narrow = explained(folder, "--user", "alice", "--scope", "x", *options, code=1)
    assert narrow["scopes"] == ["mcp:time"]
    prompt = ("--user", "alice", "--agent", "desk", "--prompt", "time/greet")
    assert explained(folder, *prompt, code=0)["decision"] == "allow"


def test_groups_of_an_account_are_looked_up(folder: Path) -> None:
    data = ("--data-dir", str(folder / "data"))
    bascule(folder, *data, "user", "add", "eve", "--group", "clerks")
    found = explained(folder, "--user", "eve", "--agent", "x", "--tool", "time/now", code=0)
    assert found["asked"][0]["policies"] == ["role:clerk/time:read"]


def test_the_time_and_the_arguments_count(folder: Path) -> None:
    (folder / "policies" / "x.cedar").write_text(
        '@id("late") forbid(principal, action == Mcp::Action::"call_tool", '
        'resource == Mcp::Tool::"time/now") when { context.args has zone && '
        'context.args.zone == "UTC" && context.now > datetime("2026-01-01") };'
    )
    call = ("--user", "alice", "--agent", "desk", "--tool", "time/now")
    assert explained(folder, *call, code=0)["decision"] == "maybe"
    utc = (*call, "--arguments", '{"zone": "UTC"}')
    late = explained(folder, *utc, "--at", "2026-02-01T00:00:00Z", code=1)
    assert (late["reason"], late["policies"]) == ("policy_forbids", ["late"])
    early = explained(folder, *utc, "--at", "2025-12-01T00:00:00Z", code=0)
    assert early["asked"][0]["nearly"][0]["missing"] == (
        'forbids only when `context.now > datetime("2026-01-01")` '
        '(context.now is "2025-12-01T00:00:00Z")'
    )


def test_what_was_touched_counts(folder: Path) -> None:
    (folder / "policies" / "x.cedar").write_text(
        '@id("closed") forbid(principal, action == Mcp::Action::"call_tool", resource) '
        'when { context.touched.contains("secret") };'
    )
    call = ("--user", "alice", "--agent", "desk", "--tool", "time/now", "--arguments", "{}")
    assert explained(folder, *call, code=0)["decision"] == "allow"
    closed = explained(folder, *call, "--touched", "secret", code=1)
    assert closed["policies"] == ["closed"]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--tool", "now"),
        ("--tool", "time/"),
        ("--tool", "time/now", "--prompt", "time/greet"),
        ("--tool", "time/now", "--arguments", "[]"),
        ("--tool", "time/now", "--arguments", "{"),
        ("--tool", "time/now", "--at", "yesterday"),
        ("--tool", "time/now", "--at", "2026-01-01T00:00:00"),
    ],
)
def test_what_describes_no_call_is_wrong_usage(
    folder: Path, words: tuple[str, ...]
) -> None:
    assert bascule(folder, "policy", "explain", *words).exit_code == 2


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


def test_without_the_state_the_text_is_checked_all_the_same(folder: Path) -> None:
    path = folder / "bascule.toml"
    away = '[server]\ndatabase = "env:NOT_SET_ANYWHERE"\n'
    path.write_text(f"{away}{CONFIG}\n[roles.idle]\nallow = []\n")
    result = bascule(folder, "policy", "check", "--json")
    assert result.exit_code == 0
    assert "not compared with what is approved: secret `env:NOT_SET" in result.stderr
    (problem,) = json.loads(result.stdout)["problems"]
    assert problem["message"].startswith("roles.idle: nobody can have it")


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


def test_no_name_in_a_file_reaches_the_terminal_as_it_is(folder: Path) -> None:
    path = folder / "bascule.toml"
    path.write_text(CONFIG + '\n[roles."a\\u001b[2J\\nok"]\nallow = ["x"]\n')
    result = bascule(folder, "policy", "check")
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert len(result.stdout.splitlines()) == 2


def test_a_warning_fails_only_a_strict_check(folder: Path) -> None:
    path = folder / "bascule.toml"
    path.write_text(CONFIG + '\n[roles.idle]\nallow = ["time/*"]\n')
    relaxed = bascule(folder, "policy", "check", "--json")
    strict = bascule(folder, "policy", "check", "--json", "--strict")
    assert (relaxed.exit_code, json.loads(relaxed.stdout)["ok"]) == (0, True)
    assert (strict.exit_code, json.loads(strict.stdout)["ok"]) == (1, False)
    (problem,) = json.loads(strict.stdout)["problems"]
    assert (problem["line"], problem["severity"]) == (18, "warning")


def test_the_reference_shows_a_real_explanation(folder: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "policy-commands.md"
    (console,) = re.findall(
        r"```console\n\$ bascule (policy explain .*?)```", page.read_text(), re.DOTALL
    )
    command, _, shown = console.partition("\n")
    (folder / "bascule.toml").write_text("""\
[connectors.files]
mode = "observe"
url = "https://files.example/mcp"
[toolsets]
"files:read" = ["files/read_file"]
[roles.reader]
members = ["group:readers"]
allow = ["files:read"]
[roles.admin]
members = ["group:admins"]
allow = ["files/*"]
[agents.ceilings]
desk = ["files/*"]
""")
    (folder / "policies" / "x.cedar").write_text(
        '@id("docs-only") forbid(principal is Mcp::User, '
        'action == Mcp::Action::"call_tool", resource == Mcp::Tool::"files/read_file") '
        'unless { context.args has path && context.args.path like "/docs/*" };'
    )
    data = ("--data-dir", str(folder / "data"))
    bascule(folder, *data, "user", "add", "eve", "--group", "readers")
    assert bascule(folder, *data, *shlex.split(command)).stdout == shown
