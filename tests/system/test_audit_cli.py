"""`bascule audit`, from the command line to the files."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from audit_logs import LogFolder, new_log, record
from bascule.app.place import Place
from bascule.app.state import exclusive, record_admin
from bascule.audit.checkpoint import Checkpoint
from bascule.audit.merkle import leaf_hash
from bascule.audit.proof import Proof
from bascule.audit.record import AgentPart, AuthzPart, McpPart, UserPart, encode
from bascule.cli.main import main
from bascule.config.model import Server

ROW = [
    "seq",
    "id",
    "ts",
    "type",
    "user",
    "agent",
    "agent_verified",
    "connector",
    "method",
    "name",
    "decision",
    "reason",
    "policies",
]
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u202eevil\x00\x7f"


@pytest.fixture
def log(tmp_path: Path) -> LogFolder:
    return new_log(tmp_path / "data")


def bascule(log: LogFolder, *arguments: str) -> Result:
    options = ["--data-dir", str(log.data_dir)]
    return CliRunner().invoke(main, [*options, *arguments], catch_exceptions=False)


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def fill(log: LogFolder) -> None:
    """Put four records of different kinds into the inbox."""
    log.put(
        encode(
            record(
                0,
                user=UserPart(sub="alice"),
                agent=AgentPart(client_id="claude", verified=True),
                authz=AuthzPart(
                    decision="allow", policies=("role.support",), reason="permitted"
                ),
            )
        ),
        encode(
            record(
                1,
                agent=AgentPart(client_id="claude", iss="https://idp.example"),
                authz=AuthzPart(decision="deny", reason="no_permit"),
                code="c0de",
                connector="files",
                type="authz.decision",
                user=UserPart(sub="alice", iss="https://idp.example"),
            )
        ),
        encode(
            record(
                2, authz=AuthzPart(decision="deny", reason="bad_token"), type="auth.fail"
            )
        ),
        encode(record(3, mcp=McpPart(method="tools/list"), type="list")),
    )


def assert_harmless(text: str) -> None:
    """No character that a terminal obeys, but for line ends and our own colours."""
    for number in (0, 1, 31, 32):
        text = text.replace(f"\x1b[{number}m", "")
    assert [it for it in text if not it.isprintable() and it != "\n"] == []


def test_every_key_of_a_row_is_always_there(log: LogFolder) -> None:
    fill(log)
    first, second, third, fourth = rows = lines(bascule(log, "audit", "query", "--json"))
    assert [list(row) for row in rows] == [ROW] * 4
    assert first | {"id": None} == {
        "seq": 0,
        "id": None,
        "ts": 1_700_000_000_000_000,
        "type": "call.start",
        "user": "user:alice",
        "agent": "claude",
        "agent_verified": True,
        "connector": "tickets",
        "method": "tools/call",
        "name": "tool_0",
        "decision": "allow",
        "reason": "permitted",
        "policies": ["role.support"],
    }
    assert (second["user"], second["agent_verified"]) == (
        "user:https://idp.example|alice",
        False,
    )
    assert (third["user"], third["agent"], third["agent_verified"]) == (None, None, None)
    assert (fourth["name"], fourth["policies"]) == (None, [])


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], [0, 1, 2, 3]),
        (["--user", "alice"], [0]),
        (["--user", "user:alice"], [0]),
        (["--user", "user:https://idp.example|alice"], [1]),
        (["--user", "bob"], []),
        (["--agent", "claude"], [0]),
        (["--agent", "https://idp.example|claude"], [1]),
        (["--connector", "files"], [1]),
        (["--name", "tool_1"], [1]),
        (["--name", "tool_"], []),
        (["--type", "list"], [3]),
        (["--decision", "deny"], [1, 2]),
        (["--decision", "deny", "--type", "auth.fail"], [2]),
        (["--limit", "2"], [0, 1]),
        (["--decision", "allow", "--limit", "1"], [0]),
        (["--since", "2023-11-14T22:13:20.000001Z"], [1, 2, 3]),
        (["--until", "2023-11-14T22:13:20.000001"], [0]),
        (["--since", "2023-11-15T00:13:20.000002+02:00"], [2, 3]),
    ],
)
def test_records_are_filtered(log: LogFolder, options: list[str], found: list[int]) -> None:
    fill(log)
    rows = lines(bascule(log, "audit", "query", *options, "--json"))
    assert [row["seq"] for row in rows] == found


@pytest.mark.parametrize(
    "options", [["--since", "yesterday"], ["--limit", "0"], ["--decision", "maybe"]]
)
def test_wrong_usage_exits_2(log: LogFolder, options: list[str]) -> None:
    assert bascule(log, "audit", "query", *options).exit_code == 2


def test_tail_shows_the_newest(log: LogFolder) -> None:
    fill(log)
    rows = lines(bascule(log, "audit", "tail", "-n", "2", "--json"))
    assert [list(row) for row in rows] == [ROW] * 2
    assert [row["seq"] for row in rows] == [2, 3]
    assert lines(bascule(log, "audit", "tail", "-n", "0", "--json")) == []
    assert len(bascule(log, "audit", "tail").stdout.splitlines()) == 4


def test_show_finds_a_record_by_number_id_and_code(log: LogFolder) -> None:
    fill(log)
    (whole,) = lines(bascule(log, "audit", "show", "1", "--json"))
    assert (whole["seq"], whole["code"], whole["v"]) == (1, "c0de", 1)
    assert lines(bascule(log, "audit", "show", whole["id"], "--json")) == [whole]
    assert lines(bascule(log, "audit", "show", "c0de", "--json")) == [whole]


@pytest.mark.parametrize("name", ["4", "999999999", "9" * 5000, "²", "٣", "nil", "\udcff"])
def test_show_of_what_is_not_there_exits_3(log: LogFolder, name: str) -> None:
    fill(log)
    result = bascule(log, "audit", "show", name)
    assert result.exit_code == 3
    assert "no record" in result.stderr


def test_verify_says_what_the_contract_says(log: LogFolder) -> None:
    fill(log)
    (verdict,) = lines(bascule(log, "audit", "verify", "--json"))
    assert list(verdict) == [
        "origin",
        "size",
        "signed_size",
        "pending",
        "root",
        "trust",
        "ok",
        "problems",
    ]
    assert verdict | {"root": ""} == {
        "origin": log.keys.signer.name,
        "size": 4,
        "signed_size": 4,
        "pending": 0,
        "root": "",
        "trust": "self",
        "ok": True,
        "problems": [],
    }
    assert len(bytes.fromhex(verdict["root"])) == 32


def test_a_changed_record_exits_1(log: LogFolder) -> None:
    fill(log)
    log.step()
    path = log.folder / "tile/entries/000.p/4"
    path.write_bytes(path.read_bytes().replace(b"deny", b"allo", 1))
    result = bascule(log, "audit", "verify", "--json")
    assert result.exit_code == 1
    verdict = json.loads(result.stdout)
    assert (verdict["ok"], bool(verdict["problems"])) == (False, True)
    assert bascule(log, "audit", "verify").exit_code == 1


@pytest.mark.parametrize(
    "name",
    ["state", "checkpoint", "tile/entries/000.p/4", "tile/0/000.p/4", "openings/000.p/4"],
)
@pytest.mark.parametrize("data", [None, b"", b"\xff\xff"])
def test_a_spoilt_file_exits_1(log: LogFolder, name: str, data: bytes | None) -> None:
    fill(log)
    log.step()
    path = log.folder / name
    path.unlink() if data is None else path.write_bytes(data)
    result = bascule(log, "audit", "verify", "--json")
    assert result.exit_code == 1, result.output
    assert json.loads(result.stdout)["ok"] is False


def test_a_forged_inbox_exits_1(log: LogFolder, tmp_path: Path) -> None:
    stranger = new_log(tmp_path / "other")
    stranger.fill(2)
    log.step()
    shutil.copy(stranger.folder / "inbox.db", log.folder / "inbox.db")
    for end in ("-wal", "-shm"):
        (log.folder / f"inbox.db{end}").unlink(missing_ok=True)
    result = bascule(log, "audit", "verify", "--json")
    assert result.exit_code == 1, result.output
    verdict = json.loads(result.stdout)
    assert (verdict["ok"], verdict["size"], verdict["pending"]) == (False, 0, 2)


def test_an_inbox_that_cannot_be_read_exits_3(log: LogFolder) -> None:
    log.step()
    for path in log.folder.glob("inbox.db*"):
        path.unlink()
    (log.folder / "inbox.db").write_bytes(b"SQLite? No. " * 1000)
    for command in ("query", "verify", "tail"):
        result = bascule(log, "audit", command)
        assert result.exit_code == 3, result.output
        assert "inbox" in result.stderr


def test_a_damaged_page_of_the_inbox_exits_3(log: LogFolder) -> None:
    for number in range(300):
        log.put(encode(record(number)))
    path = log.folder / "inbox.db"
    data = bytearray(path.read_bytes())
    assert len(data) > 5 * 4096
    data[2 * 4096 :] = b"\xff" * (len(data) - 2 * 4096)
    path.write_bytes(data)
    for command in ("query", "verify"):
        result = bascule(log, "audit", command)
        assert result.exit_code == 3, result.output
        assert "inbox" in result.stderr


def test_a_copy_is_verified_with_key_and_checkpoint(log: LogFolder, tmp_path: Path) -> None:
    fill(log)
    log.step()
    kept = tmp_path / "kept"
    kept.write_bytes((log.folder / "checkpoint").read_bytes())
    log.grow(0)
    log.put(encode(record(4)))
    log.step()
    copy = tmp_path / "copy"
    shutil.copytree(log.folder, copy)
    key = tmp_path / "key"
    key.write_text(log.keys.signer.verifier.text + "\n")
    for vkey in (str(key), log.keys.signer.verifier.text):
        options = ["--vkey", vkey, "--checkpoint", str(kept), "--json"]
        (verdict,) = lines(bascule(log, "audit", "verify", str(copy), *options))
        assert (verdict["trust"], verdict["size"]) == ("checkpoint", 5)


@pytest.mark.parametrize("vkey", ["", "a+b+c", "x" * 5000, "/nowhere", "\udcff+1+2"])
def test_what_is_no_key_exits_3(log: LogFolder, vkey: str) -> None:
    fill(log)
    assert bascule(log, "audit", "verify", "--vkey", vkey).exit_code == 3


def test_a_folder_without_a_log_exits_3(log: LogFolder, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert bascule(log, "audit", "verify", str(tmp_path / "empty")).exit_code == 3


def test_a_receipt_is_made_and_checked_without_the_log(
    log: LogFolder, tmp_path: Path
) -> None:
    fill(log)
    vkey = log.keys.signer.verifier.text
    for seq in range(4):
        receipt = tmp_path / f"{seq}.proof"
        receipt.write_bytes(bascule(log, "audit", "prove", str(seq)).stdout_bytes)
        head = receipt.read_text().split("\n")
        assert head[0] == "c2sp.org/tlog-proof@v1"
        assert base64.b64decode(head[1].removeprefix("extra ")) == log.written[seq]
        (found,) = lines(
            bascule(log, "audit", "check", str(receipt), "--vkey", vkey, "--json")
        )
        assert found == {"seq": seq, **json.loads(log.written[seq])}


def test_a_changed_receipt_exits_1(log: LogFolder, tmp_path: Path) -> None:
    fill(log)
    whole = bascule(log, "audit", "prove", "1").stdout_bytes
    receipt = tmp_path / "receipt"
    vkey = log.keys.signer.verifier.text
    changes = [
        whole.replace(b"index 1", b"index 0"),
        whole[:-3],
        b"",
        b"\x1b[2J\n\n",
        whole.replace(b"extra ey", b"extra ez"),
    ]
    for changed in changes:
        receipt.write_bytes(changed)
        result = bascule(log, "audit", "check", str(receipt), "--vkey", vkey)
        assert (result.exit_code, result.stdout) == (1, "")
        assert_harmless(result.stderr)


def test_a_receipt_of_an_entry_that_is_no_record_exits_1(
    log: LogFolder, tmp_path: Path
) -> None:
    signer = log.keys.signer
    for entry in (b"[]", b"\xff", b'{"v":2}'):
        note = signer.sign(Checkpoint(signer.name, 1, leaf_hash(entry)).text)
        (tmp_path / "receipt").write_bytes(Proof(entry, 0, (), note).write())
        options = [str(tmp_path / "receipt"), "--vkey", signer.verifier.text]
        assert bascule(log, "audit", "check", *options).exit_code == 1


def test_a_record_that_is_not_there_has_no_receipt(log: LogFolder) -> None:
    fill(log)
    result = bascule(log, "audit", "prove", "4")
    assert (result.exit_code, result.stdout) == (3, "")
    assert bascule(log, "audit", "prove", "-1").exit_code == 2


def test_what_a_stranger_named_does_not_reach_the_terminal(
    log: LogFolder, tmp_path: Path
) -> None:
    log.put(
        encode(
            record(
                agent=AgentPart(client_id=HOSTILE),
                connector=HOSTILE,
                mcp=McpPart(method=HOSTILE, name=HOSTILE),
                type=HOSTILE,
                user=UserPart(sub=HOSTILE),
            )
        )
    )
    receipt = tmp_path / "receipt"
    receipt.write_bytes(bascule(log, "audit", "prove", "0").stdout_bytes)
    vkey = ["--vkey", log.keys.signer.verifier.text]
    for command in (
        ["query"],
        ["tail"],
        ["show", "0"],
        ["verify"],
        ["check", str(receipt), *vkey],
    ):
        result = bascule(log, "audit", *command)
        assert result.exit_code == 0, result.output
        assert_harmless(result.output)


def test_a_command_sees_its_own_records_at_once(log: LogFolder) -> None:
    record_admin(
        Place(log.data_dir, Server()),
        "user.add",
        {"user": "bob"},
        user=None,
        agent=None,
        connector=None,
    )
    (row,) = lines(bascule(log, "audit", "query", "--json"))
    assert (row["seq"], row["type"], row["decision"]) == (0, "user.add", None)


def test_the_log_is_read_while_another_process_writes_it(log: LogFolder) -> None:
    fill(log)
    log.step()
    with log.inbox() as inbox, log.sequencer(inbox):
        log.put(encode(record(4)))
        assert len(lines(bascule(log, "audit", "query", "--json"))) == 4
        (verdict,) = lines(bascule(log, "audit", "verify", "--json"))
        assert (verdict["size"], verdict["pending"]) == (4, 1)


def test_restart_puts_the_old_log_aside_and_begins_with_saying_so(
    log: LogFolder, tmp_path: Path
) -> None:
    fill(log)
    (before,) = lines(bascule(log, "audit", "verify", "--json"))
    old = log.keys.signer
    result = bascule(log, "audit", "restart", "--reason", "restored from backup", "--json")
    (told,) = lines(result)
    suffix = old.name.rpartition("/")[2]
    assert told["origin"] != old.name
    aside = log.data_dir / f"audit.{suffix}.4"
    assert (told["replaces"], told["folder"]) == (old.name, str(aside))
    (first,) = lines(bascule(log, "audit", "show", "0", "--json"))
    assert (first["type"], first["log"]) == ("log.restart", told["origin"])
    assert first["admin"] | {"os_user": ""} == {
        "folder": aside.name,
        "origin": old.name,
        "os_user": "",
        "reason": "restored from backup",
        "root": before["root"],
        "size": "4",
    }
    # The old one can be verified still, and its private key is not among what is shown.
    options = ["--vkey", old.verifier.text, "--json"]
    (verdict,) = lines(bascule(log, "audit", "verify", str(aside), *options))
    assert (verdict["ok"], verdict["size"], verdict["root"]) == (True, 4, before["root"])
    assert (log.data_dir / f"keys/log.{suffix}.key").read_text() == old.text
    for path in aside.rglob("*"):
        assert not path.is_file() or b"PRIVATE" not in path.read_bytes()
    (verdict,) = lines(bascule(log, "audit", "verify", "--json"))
    assert (verdict["ok"], verdict["origin"]) == (True, told["origin"])


@pytest.mark.parametrize("name", ["state", "checkpoint", "tile/0/000.p/4", "log.vkey"])
def test_restart_needs_nothing_of_the_old_log_to_be_whole(
    log: LogFolder, name: str
) -> None:
    fill(log)
    log.step()
    (log.folder / name).write_bytes(b"\xff")
    (told,) = lines(bascule(log, "audit", "restart", "--reason", "damaged", "--json"))
    (first,) = lines(bascule(log, "audit", "query", "--json"))
    assert first["type"] == "log.restart"
    assert (Path(told["folder"]) / name).read_bytes() == b"\xff"


def test_a_log_can_be_restarted_again_and_again(log: LogFolder) -> None:
    for number in range(3):
        bascule(log, "audit", "restart", "--reason", f"try {number}")
    assert len(list(log.data_dir.glob("audit.*"))) == 3
    assert len(list((log.data_dir / "keys").glob("log.*.key"))) == 3
    (row,) = lines(bascule(log, "audit", "query", "--json"))
    assert row["type"] == "log.restart"


def test_a_lost_key_is_told_and_restart_begins_anew(log: LogFolder) -> None:
    fill(log)
    log.step()
    (log.data_dir / "keys/log.key").unlink()
    # What is there can still be read; that it cannot grow is said.
    result = bascule(log, "audit", "query", "--json")
    assert len(lines(result)) == 4
    assert "restart" in result.stderr
    assert bascule(log, "audit", "verify").exit_code == 1
    assert bascule(log, "audit", "restart", "--reason", "key lost").exit_code == 0
    assert len(lines(bascule(log, "audit", "query", "--json"))) == 1


def test_restart_needs_a_reason(log: LogFolder) -> None:
    fill(log)
    assert bascule(log, "audit", "restart").exit_code == 2
    assert len(lines(bascule(log, "audit", "query", "--json"))) == 4


def test_restart_is_refused_while_a_server_has_the_data_directory(log: LogFolder) -> None:
    fill(log)
    with exclusive(log.data_dir):
        assert bascule(log, "audit", "restart", "--reason", "x").exit_code == 3
    assert len(lines(bascule(log, "audit", "query", "--json"))) == 4


@pytest.mark.parametrize("reason", [HOSTILE, "x" * 200_000])
def test_any_reason_can_be_recorded(log: LogFolder, reason: str) -> None:
    reason = reason.replace("\x00", "")
    result = bascule(log, "audit", "restart", "--reason", reason)
    assert result.exit_code == 0, result.output
    assert_harmless(result.output)
    (first,) = lines(bascule(log, "audit", "show", "0", "--json"))
    assert first["admin"]["reason"][:10] == reason[:10]


def test_following_shows_records_as_they_come(log: LogFolder) -> None:
    fill(log)
    command = [sys.executable, "-m", "bascule.cli.main", "--data-dir", str(log.data_dir)]
    with subprocess.Popen(
        [*command, "audit", "tail", "-f", "-n", "1", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert json.loads(child.stdout.readline())["seq"] == 3
        log.put(encode(record(9)))
        log.step()
        assert json.loads(child.stdout.readline())["seq"] == 4
        child.kill()
