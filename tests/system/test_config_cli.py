"""`bascule config` and `bascule schema`, from files to exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from bascule.cli.main import main
from bascule.cli.schemas import SCHEMAS

TIME = '[connectors.time]\ncommand = ["time-server"]\n'


def bascule(folder: Path, *arguments: str) -> Result:
    options = ["--config", str(folder / "bascule.toml"), "--data-dir", str(folder / "data")]
    return CliRunner().invoke(main, [*options, *arguments], catch_exceptions=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bascule.toml").write_text(TIME)
    return tmp_path


def test_a_valid_configuration_exits_0(folder: Path) -> None:
    result = bascule(folder, "config", "check", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["ok"], found["problems"]) == (True, [])


def test_problems_exit_1_and_are_told_on_stdout(folder: Path) -> None:
    (folder / "bascule.toml").write_text("surplus = 1\n[server]\nlisten = 2\n")
    result = bascule(folder, "config", "check")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "surplus: is no setting that Bascule knows",
        "server.listen: expected `str`, got `int`",
    ]


def test_json_has_the_path_and_message_of_each_problem(folder: Path) -> None:
    (folder / "bascule.toml").write_text(TIME + 'url = "https://a.example/"\n')
    result = bascule(folder, "config", "check", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "ok": False,
        "problems": [
            {
                "path": "connectors.time",
                "message": "needs exactly one of `url` and `command`",
            }
        ],
        "warnings": [],
    }


def test_what_up_would_refuse_to_expose_is_a_problem(folder: Path) -> None:
    (folder / "bascule.toml").write_text('[server]\nlisten = "0.0.0.0:8420"\n')
    result = bascule(folder, "config", "check", "--json")
    assert result.exit_code == 1
    (problem,) = json.loads(result.stdout)["problems"]
    assert problem["path"] == "server"


def test_a_named_file_that_is_not_there_exits_3(folder: Path) -> None:
    (folder / "bascule.toml").unlink()
    assert bascule(folder, "config", "check").exit_code == 3


def schema(folder: Path, *name: str) -> dict[str, Any]:
    result = bascule(folder, "schema", *name)
    assert result.exit_code == 0
    found: dict[str, Any] = json.loads(result.stdout)
    Draft202012Validator.check_schema(found)
    return found


def test_the_schema_of_the_configuration_has_two_names(folder: Path) -> None:
    printed = json.loads(bascule(folder, "config", "schema").stdout)
    assert schema(folder, "config") == printed


@pytest.mark.parametrize(
    ("document", "valid"),
    [
        ({}, True),
        ({"connectors": {"time": {"command": ["t"], "mode": "warn"}}}, True),
        ({"connectors": {"Time": {"command": ["t"]}}}, False),
        ({"connectors": {"time": {"commands": ["t"]}}}, False),
        ({"connectors": {"time": {"mode": "lax"}}}, False),
        ({"server": {"tls": {"cert": "file:/c", "key": "file:/k"}}}, True),
        ({"server": {"tls": {"cert": "file:/c"}}}, False),
        ({"server": {"database": None}}, False),
        ({"limits": {"depth": 1}}, False),
    ],
)
def test_the_schema_of_the_configuration_tells_good_from_bad(
    folder: Path, document: dict[str, object], valid: bool
) -> None:
    assert Draft202012Validator(schema(folder, "config")).is_valid(document) == valid


def test_without_a_name_all_names_are_listed(folder: Path) -> None:
    assert bascule(folder, "schema").stdout.split() == sorted(SCHEMAS)


def test_an_unknown_name_is_wrong_usage_and_all_names_are_told(folder: Path) -> None:
    result = bascule(folder, "schema", "nothing")
    assert result.exit_code == 2
    words = " ".join(result.stderr.split())
    assert all(name in words for name in SCHEMAS)


FACTS = {
    "agent": "desk",
    "connector": "time",
    "method": "tools/call",
    "name": "now",
    "now": 1764000000,
}
TIME_FOR_AN_HOUR = ("--tool", "time/now", "--for", "1h", "--reason", "a ticket")
PRINTED = {
    "add": ("add", "--no-lock", "other", "https://a.example/"),
    "user-add": ("user", "add", "bob", "--group", "g"),
    "user-list": ("user", "list"),
    "agent-add": ("agent", "add", "desk2", "--secret"),
    "agent-list": ("agent", "list"),
    "token-issue": ("token", "issue", "--user", "alice", "--connector", "time"),
    "revoke": ("revoke", "--user", "alice", "--reason", "gone"),
    "grant": ("grant", "--user", "alice", *TIME_FOR_AN_HOUR),
    "config-check": ("config", "check"),
    "policy-check": ("policy", "check"),
    "decide": ("decide", "FACTS"),
    "key-rotate": ("key", "rotate"),
    "posture": ("posture",),
    "audit-query": ("audit", "query"),
    "audit-verify": ("audit", "verify"),
}


def test_every_published_shape_is_tried() -> None:
    elsewhere = ["config", "bench", "doctor", "import-osv", "import-audits", "scan"]
    elsewhere += [f"policy-{it}" for it in ("diff", "simulate", "suggest")]
    elsewhere += [f"policy-{it}" for it in ("explain", "test", "who-can")]
    elsewhere += ["grant-list", "grant-list-unused", "secret-list"]
    elsewhere += [f"approvals-{verb}" for verb in ("approve", "deny", "list", "show")]
    of_locking = [
        "install",
        "lock",
        "diff",
        "approve",
        "approve-signers",
        "reject",
        "verify",
        "monitor",
        "update",
    ]
    assert sorted(SCHEMAS) == sorted([*PRINTED, *elsewhere, *of_locking])


def test_the_schema_of_bench_has_what_is_promised_of_it(folder: Path) -> None:
    report = schema(folder, "bench")["$defs"]["Report"]
    assert {"bascule", "peers", "ratio"} <= set(report["required"])


@pytest.mark.parametrize("name", PRINTED)
def test_what_a_command_prints_has_its_published_shape(folder: Path, name: str) -> None:
    facts = folder / "facts.json"
    facts.write_text(json.dumps(FACTS))
    assert bascule(folder, "user", "add", "alice").exit_code == 0
    assert bascule(folder, "agent", "add", "desk").exit_code == 0
    words = [str(facts) if word == "FACTS" else word for word in PRINTED[name]]
    result = bascule(folder, *words, "--json")
    shape = schema(folder, *name.split("-"))
    lines = result.stdout.splitlines()
    assert lines
    for line in lines:
        Draft202012Validator(shape).validate(json.loads(line))
