"""`bascule policy test`, from files to exit codes, and the example of its page."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from bascule.cli.main import main
from bascule.cli.schemas import schema_of
from bascule.decision.cases import Case, read_cases

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "test-policies.md"
CONFIG = """\
[connectors.time]
mode = "observe"
command = ["time-server"]
[roles.clerk]
members = ["group:clerks"]
allow = ["time/now"]
[agents]
default_ceiling = ["time/*"]
"""
GOOD = """\
[[cases]]
name = "clerks know the time"
user = "alice"
groups = ["clerks"]
agent = "desk"
tool = "time/now"
expect = "allow"
"""
BAD = GOOD.replace("time/now", "time/set") + 'reason = "no_user_right"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bascule.toml").write_text(CONFIG)
    (tmp_path / "policies" / "tests").mkdir(parents=True)
    return tmp_path


def run(folder: Path, *words: str, cases: str = "") -> Result:
    if cases:
        (folder / "policies" / "tests" / "a.toml").write_text(cases)
    options = ["--config", str(folder / "bascule.toml"), "policy", "test"]
    return CliRunner().invoke(main, [*options, *words], catch_exceptions=False)


def report(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    shape = schema_of("policy-test")
    assert shape is not None
    jsonschema.validate(found, shape)
    return found


def test_what_is_as_expected_exits_0(folder: Path) -> None:
    result = run(folder, "--min-coverage", "100", cases=GOOD)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "1 tried, 0 failed; policies tested: 2 of 2, tools: 0 of 0 "
        "(at least 100 % of each is wanted)\n"
    )
    assert report(run(folder, "--json"))["ok"] is True


def test_what_is_not_exits_1_and_says_where(folder: Path) -> None:
    bad = BAD.replace('reason = "no_user_right"\n', "")
    result = run(folder, cases=GOOD + bad)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == (
        f"{folder}/policies/tests/a.toml:8: clerks know the time: time/set: "
        "deny in place of allow (no_user_right)"
    )
    found = report(run(folder, "--json"))
    assert (found["ok"], found["cases"], found["failed"]) == (False, 2, 1)


def test_too_little_coverage_exits_1(folder: Path) -> None:
    config = folder / "bascule.toml"
    config.write_text(CONFIG.replace('"time/now"', '"time/now", "time/set"'))
    assert run(folder, "--min-coverage", "60", cases=GOOD).exit_code == 0
    result = run(folder, "--min-coverage", "90", "--json")
    assert result.exit_code == 1
    assert report(result)["coverage"]["policies"] == {
        "tested": 2,
        "total": 3,
        "percent": 66,
        "missing": ["role:clerk/time/set"],
    }


def test_files_can_be_named(folder: Path) -> None:
    (folder / "b.toml").write_text(GOOD)
    result = run(folder, str(folder / "b.toml"), cases=BAD.replace("allow", "maybe"))
    assert result.exit_code == 0


def test_a_broken_file_exits_1_and_no_case_at_all_3(folder: Path) -> None:
    assert run(folder).exit_code == 3
    result = run(folder, "--json", cases="[[case]]\n")
    assert result.exit_code == 1
    assert report(result)["problems"][0]["line"] == 1


def test_the_page_shows_cases_that_can_be_read_and_every_key() -> None:
    page = PAGE.read_text()
    _, example = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    cases, problems = read_cases("a.toml", example)
    assert (len(cases), problems) == (6, [])
    table = page[page.index("| key |") :].partition("\n\n")[0]
    assert set(Case.__struct_fields__) <= set(re.findall(r"`(\w+)", table))


def test_the_page_can_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder, word by word."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(
        r"^```(?:toml|cedar|console)\n(.*?)^```$",
        PAGE.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    config, policies, cases, console, missing = blocks
    Path("policies/tests").mkdir(parents=True)
    Path("bascule.toml").write_text(config)
    Path("policies/support.cedar").write_text(policies)
    Path("policies/tests/support.toml").write_text(cases)
    test = partial(CliRunner().invoke, main, ["policy", "test"])
    failed = test()
    shown = console.removeprefix("$ bascule policy test\n").partition("$ echo $?\n")
    assert (failed.stdout, f"{failed.exit_code}\n") == (shown[0], shown[2])
    Path("policies/support.cedar").write_text(policies + missing)
    assert test().exit_code == 0


def test_what_a_file_says_is_no_command_to_the_runner(folder: Path) -> None:
    name = 'name = "a%\\n::add-mask::b"'
    bad = BAD.replace('name = "clerks know the time"', name).replace("allow", "maybe")
    bad = bad.replace('reason = "no_user_right"\n', "")
    result = run(folder, "--github", cases=bad)
    file = str(folder / "policies" / "tests" / "a.toml")
    assert result.stdout.splitlines()[0] == (
        f"::error file={file},line=1::a%25%0A::add-mask::b: time/set: "
        "deny in place of maybe (no_user_right)"
    )
    assert result.stdout.splitlines()[1] == "    Nothing gives the user a right to it."
    hostile = bad.replace('"time/set"', '"time/x\\n::stop-commands::y"')
    told = run(folder, "--github", cases=hostile).stdout.splitlines()
    assert [it for it in told if it.strip().startswith("::")] == told[:1]
    (folder / "policies" / "a,b.cedar").write_text("permit(principal, action, resource);")
    options = ["--config", str(folder / "bascule.toml"), "policy", "check", "--github"]
    checked = CliRunner().invoke(main, options).stdout
    assert checked.startswith(f"::error file={folder}/policies/a%2Cb.cedar,line=1::has no")


def test_the_workflow_of_the_page_calls_commands_that_there_are() -> None:
    (workflow,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    commands = re.findall(r"run: bascule (.*)", workflow)
    assert len(commands) == 2
    for words in commands:
        assert CliRunner().invoke(main, [*words.split(), "--help"]).exit_code == 0
