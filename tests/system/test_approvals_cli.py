"""`bascule approvals`, run as an operator does."""

from __future__ import annotations

import json
import os
import pty
import pwd
import re
import sqlite3
import subprocess
from pathlib import Path

import jsonschema
import pytest

from bascule.cli.schemas import schema_of
from patience import PATIENCE
from ports import free_ports
from system.asked_calls import ARGUMENTS, asked
from system.server import Installation

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "how-to" / "approve-calls.md").read_text()
PAGES = ROOT / "src" / "bascule" / "authserver"
CONFIG = """\
[connectors.desk]
mode = "observe"
url = "http://127.0.0.1:9/mcp"

[call_approvals.two]
approvers = ["group:security"]
quorum = 2
"""


@pytest.fixture
def made(tmp_path: Path) -> Installation:
    public, admin = free_ports(2)
    found = Installation(tmp_path, public, admin)
    found.config.write_text(CONFIG)
    return found


def rows(made: Installation, *words: str) -> list[dict[str, object]]:
    result = made.cli("approvals", *words, "--json")
    assert result.exit_code == 0
    found = [json.loads(line) for line in result.stdout.splitlines()]
    for row in found:
        jsonschema.validate(row, schema_of("approvals-list") or {})
    return found


def test_what_waits_is_listed_looked_at_and_allowed(
    made: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rows(made) == []
    approval = asked(made)
    (row,) = rows(made)
    assert row == {
        "id": approval.id,
        "state": "pending",
        "user": "user:alice",
        "agent": "desk-app",
        "connector": "desk",
        "tool": "delete",
        "rules": ["default"],
        "approvers": [],
        "asked_at": approval.asked_at,
        "expires_at": approval.asked_at + 300,
    }
    assert rows(made, "list") == [row]
    shown = made.ask("approvals", "show", approval.id)
    jsonschema.validate(shown, schema_of("approvals-show") or {})
    assert shown["arguments"] == ARGUMENTS
    assert shown["arguments_digest"] == approval.request.arguments_digest
    monkeypatch.setenv("USER", "somebody-else")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    done = made.ask("approvals", "approve", approval.id, "--reason", "seen")
    jsonschema.validate(done, schema_of("approvals-approve") or {})
    assert done["state"] == "approved"
    assert str(done["approvers"][0]).startswith(f"os:{pwd.getpwuid(os.getuid()).pw_name} ")
    assert rows(made) == []
    assert rows(made, "list", "--all") == [done]
    (record,) = made.records("--type", "call_approval.approve")
    assert (record["agent"], record["connector"]) == ("desk-app", "desk")
    admin = made.whole_records()[record["seq"]]["admin"]
    assert admin["approval"] == approval.id
    assert admin["for"] == "user:alice"
    assert admin["binding"] == approval.request.binding
    assert admin["reason"] == "seen"
    assert admin["os_user"].startswith(pwd.getpwuid(os.getuid()).pw_name)
    assert "canary" not in json.dumps(made.whole_records())


def test_what_was_refused_is_over(made: Installation) -> None:
    approval = asked(made)
    done = made.ask("approvals", "deny", approval.id)
    jsonschema.validate(done, schema_of("approvals-deny") or {})
    assert done["state"] == "denied"
    assert made.ask("approvals", "show", approval.id)["arguments"] is None
    result = made.cli("approvals", "approve", approval.id)
    assert result.exit_code == 3
    assert "it is denied" in result.stderr
    assert len(made.records("--type", "call_approval.approve")) == 0


def test_one_operator_is_one_of_two(made: Installation) -> None:
    approval = asked(made, "two")
    result = made.cli("approvals", "approve", approval.id)
    assert "waits for others too" in result.stdout
    again = made.cli("approvals", "approve", approval.id)
    assert again.exit_code == 3
    assert "decided already" in again.stderr
    assert made.ask("approvals", "show", approval.id)["state"] == "pending"


def test_a_rule_that_is_gone_lets_nothing_through(made: Installation) -> None:
    approval = asked(made, "two")
    made.config.write_text(CONFIG.partition("[call_approvals")[0])
    assert made.ask("approvals", "approve", approval.id)["state"] == "pending"


def test_who_denies_need_not_mend_the_configuration_first(made: Installation) -> None:
    approval = asked(made)
    made.config.write_text(CONFIG + "\n[roles.x]\nmember = []\n")
    assert made.cli("approvals", "approve", approval.id).exit_code == 3
    assert made.ask("approvals", "deny", approval.id)["state"] == "denied"


@pytest.mark.parametrize("name", ["0" * 32, "../x\x1b[2J"])
def test_what_is_not_there_is_said_so(made: Installation, name: str) -> None:
    for verb in ("show", "approve", "deny"):
        result = made.cli("approvals", verb, name)
        assert result.exit_code == 3
        assert "there is no call approval" in result.stderr
        assert "\x1b" not in result.stderr


def test_who_sits_at_a_terminal_sees_all_of_it_and_is_asked(made: Installation) -> None:
    approval = asked(made)
    there, here = pty.openpty()
    command = [*made.command, *made.options, "approvals", "approve", approval.id]
    with (
        os.fdopen(there, "wb", buffering=0) as keyboard,
        os.fdopen(here, "rb", buffering=0) as terminal,
        subprocess.Popen(command, stdin=terminal, stdout=subprocess.PIPE) as process,
    ):
        keyboard.write(b"n\n")
        said, _ = process.communicate(timeout=PATIENCE)
    assert b'path: "/srv/notes/canary.txt"' in said
    assert made.ask("approvals", "show", approval.id)["state"] == "pending"


def test_no_argument_drives_the_terminal(made: Installation) -> None:
    text = "ok\x1b[2J\x9b31m\r\n  state: approved\u202e"
    approval = asked(made, arguments={"text": text, "\x1b]0;x\x07": 1}, agent="a\u200bb")
    shown = made.cli("approvals", "show", approval.id).stdout
    assert all(line.isprintable() for line in shown.splitlines())
    assert '  text: "ok\\u001b[2J\\u009b31m\\r\\n\n      state: approved\\u202e"' in shown
    assert "a\\u200bb" in shown
    assert "cannot be seen" in shown
    listed = made.cli("approvals").stdout
    assert "\u200b" not in listed
    assert "\x1b" not in listed


def test_a_row_that_somebody_has_changed_is_not_approved(made: Installation) -> None:
    first, second = asked(made), asked(made, arguments={"path": "/"})
    with sqlite3.connect(made.data / "state.db") as database:
        (box,) = database.execute(
            "SELECT sealed_arguments FROM call_approvals WHERE id = ?", (first.id,)
        ).fetchone()
        database.execute(
            "UPDATE call_approvals SET sealed_arguments = ? WHERE id = ?", (box, second.id)
        )
    for verb in ("show", "approve"):
        result = made.cli("approvals", verb, second.id)
        assert result.exit_code == 3
        assert "somebody has changed the database" in result.stderr
    assert made.ask("approvals", "deny", second.id)["state"] == "denied"


def test_the_database_holds_no_argument_in_the_clear(made: Installation) -> None:
    asked(made)
    for path in made.data.rglob("*"):
        assert path.is_dir() or b"canary" not in path.read_bytes()


def test_the_guide_gives_rules_that_can_be_meant(made: Installation) -> None:
    (rules,) = re.findall(r"^```toml\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    connectors = "".join(
        f'[connectors.{name}]\nmode = "observe"\nurl = "http://127.0.0.1:9/{name}"\n'
        for name in ("tickets", "files", "bank")
    )
    made.config.write_text(connectors + rules)
    assert made.ask("policy", "check")["problems"] == []


def test_the_guide_names_what_the_page_says() -> None:
    table = GUIDE.partition("## When it does not work")[2]
    titles = re.findall(r"^\| ([A-Z][^|]+) \|", table, re.MULTILINE)
    assert len(titles) == 5
    sources = [path.read_text() for path in PAGES.glob("call_approval*.py")]
    assert [it for it in titles if not any(f'"{it}"' in text for text in sources)] == []
