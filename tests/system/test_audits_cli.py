"""Audits of packages, from `audits.toml` to what may be approved."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from audits import CRITERIA, audit, exemption, sha512
from system.locked import SERVER, TOOL, Locked

PURL = "pkg:generic/small@1.0"
RULE = """
[approvals]
break_glass = ["local"]
[approvals.rules.all]
connectors = ["*"]
audited = "safe-to-run"
"""
THEIRS = CRITERIA + audit("left", "1.2.3", who="dave")
APPROVE = ("approve", "small", "--reason", "read it")


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lock a server that comes as a bundle, which is one package; not to be changed."""
    folder = tmp_path_factory.mktemp("bundled")
    made = Locked(folder)
    shutil.rmtree(made.server)
    config = {"command": "python", "args": ["${__dirname}/server.py"]}
    manifest = {
        "name": "small",
        "version": "1.0",
        "server": {"type": "python", "mcp_config": config},
    }
    with zipfile.ZipFile(folder / "small.mcpb", "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("tools.json", json.dumps([TOOL]))
        archive.write(SERVER, "server.py")
    made.configure(command='["./small.mcpb"]')
    made.run("lock")
    return folder


@pytest.fixture
def at(bundled: Path, tmp_path: Path) -> Locked:
    """Give a copy, in which a rule asks for reviews."""
    folder = tmp_path / "at"
    shutil.copytree(bundled, folder)
    made = Locked(folder, made=True)
    made.configure(RULE, command='["./small.mcpb"]')
    return made


def write_audits(at: Locked, *tables: str) -> None:
    (at.folder / "audits.toml").write_text("# Ours.\n" + CRITERIA + "".join(tables))


def audited(at: Locked) -> str:
    """Write an audit of the bundle, by its bytes."""
    digest = hashlib.sha256((at.folder / "small.mcpb").read_bytes()).hexdigest()
    text = audit("small", "1.0").replace("pkg:npm", "pkg:generic")
    return text.replace("sha512", "sha256").replace(sha512("small 1.0"), digest)


def test_what_nobody_has_read_is_said(bundled: Path, at: Locked) -> None:
    at.configure(command='["./small.mcpb"]')
    page = at.run("diff", "small", code=1).stdout
    assert "unreviewed: 1 of 1 (audited 0, trusted 0, exempt 0)" in page
    assert "changed, and read by nobody: generic/small@1.0" in page
    (count,) = at.row("diff", "small", code=1)["reviews"]
    assert (count["criterion"], count["unreviewed"]) == (None, [PURL])
    # No rule asks for more: it is said, and does not stand in the way.
    told = at.run(*APPROVE).stdout
    assert "\n  unreviewed: 1 of 1 (audited 0, trusted 0, exempt 0)\n" in told


def test_a_rule_refuses_what_nobody_has_read(at: Locked) -> None:
    refused = at.run(*APPROVE, code=1).stderr
    assert "not approved: the rules ask for `safe-to-run`" in refused
    assert f"1 of 1 packages are unreviewed:\n  {PURL}" in refused
    assert "bascule import audits" in refused
    assert list(at.folder.glob("approvals/**/*.dsse.json")) == []
    write_audits(at, audited(at))
    done = at.row(*APPROVE)
    assert done["state"] == "approved"
    (run, deploy) = done["reviews"]
    assert (run["criterion"], run["audited"], run["unreviewed"]) == ("safe-to-run", 1, [])
    assert (deploy["criterion"], deploy["unreviewed"]) == ("safe-to-deploy", [PURL])
    # What was approved stays so: its bytes are the same.
    (at.folder / "audits.toml").unlink()
    assert at.run("verify", "small", "--json").exit_code == 0


def test_an_audit_of_other_bytes_does_not_do(at: Locked) -> None:
    text = audited(at)
    write_audits(at, text)
    digest = hashlib.sha256((at.folder / "small.mcpb").read_bytes()).hexdigest()
    write_audits(at, text.replace(digest, "0" * 64))
    assert PURL in at.run(*APPROVE, code=1).stderr


def test_audits_that_other_users_can_write_are_refused(at: Locked) -> None:
    write_audits(at, audited(at))
    (at.folder / "audits.toml").chmod(0o666)
    assert "others can write" in at.run(*APPROVE, code=3).stderr


def test_an_exemption_passes_until_it_ends(at: Locked) -> None:
    write_audits(at, exemption("pkg:generic/small", "1.0", until="2026-01-01"))
    assert PURL in at.run(*APPROVE, code=1).stderr
    write_audits(at, exemption("pkg:generic/small", "1.0", until="2999-01-01"))
    assert at.row(*APPROVE)["reviews"][0]["exempt"] == 1


def test_a_file_that_is_not_valid_stops_approvals_and_nothing_else(at: Locked) -> None:
    write_audits(at, "[[audits]]\nwho = 'alice'\nby = 'bob'\n")
    refused = at.run(*APPROVE, code=3).stderr
    assert "audits[0].by: is no setting that Bascule knows" in refused
    at.run("reject", "small", "--reason", "stop")
    at.run(*APPROVE, "--break-glass")
    at.run("reject", "small", "--reason", "stop", "--revoke")


def test_audits_of_others_are_imported_and_count_once_somebody_says_so(at: Locked) -> None:
    write_audits(at, "\n# Nobody else yet.\n")
    file = at.folder.parent / "friends.toml"
    file.write_text(THEIRS)
    row = at.row("import", "audits", "friends", str(file))
    assert (row["audits"], row["people"]) == (1, ["dave"])
    assert (row["people_that_count"], row["criteria_that_count"]) == ([], {})
    assert (at.folder / "audits" / "friends.toml").read_text() == THEIRS
    text = (at.folder / "audits.toml").read_text()
    assert text.startswith("# Ours.\n")
    assert "# Nobody else yet.\n" in text
    digest = hashlib.sha256(THEIRS.encode()).hexdigest()
    assert f'file = "audits/friends.toml"\nsha256 = "{digest}"\n' in text
    (record,) = at.rows("audit", "query", "--type", "audits.import")
    shown = json.loads(at.run("audit", "show", str(record["seq"]), "--json").stdout)
    assert (shown["admin"]["name"], shown["admin"]["sha256"]) == ("friends", digest)


def test_what_counts_of_an_import_stays_when_it_is_renewed(at: Locked) -> None:
    file = at.folder.parent / "friends.toml"
    file.write_text(THEIRS)
    at.run("import", "audits", "friends", str(file))
    counting = 'people = ["dave"]\ncriteria = { safe-to-run = ["safe-to-run"] }\n'
    ours = (at.folder / "audits.toml").read_text()
    (at.folder / "audits.toml").write_text(CRITERIA + ours + counting)
    file.write_text(THEIRS + "\n# New.\n")
    row = at.row("import", "audits", "friends", str(file))
    assert row["people_that_count"] == ["dave"]
    assert row["criteria_that_count"] == {"safe-to-run": ["safe-to-run"]}
    assert counting in (at.folder / "audits.toml").read_text()
    at.run("import", "audits", "more", str(file))
    at.run("diff", "small", code=1)


def test_a_copy_that_was_changed_is_refused(at: Locked) -> None:
    file = at.folder.parent / "friends.toml"
    file.write_text(THEIRS)
    at.run("import", "audits", "friends", str(file))
    copy = at.folder / "audits" / "friends.toml"
    copy.write_text(THEIRS.replace("dave", "erin"))
    for words in (("diff", "small"), APPROVE):
        assert "is not what was imported" in at.run(*words, code=3).stderr
    copy.unlink()
    assert "cannot read" in at.run("diff", "small", code=3).stderr
    at.run("import", "audits", "friends", str(file))
    at.run("diff", "small", code=1)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("../friends", THEIRS, "is no name"),
        ("Friends", THEIRS, "is no name"),
        ("friends", THEIRS + "[more]\n", "more: is no setting"),
        ("friends", "", ""),
    ],
)
def test_what_cannot_be_imported_changes_nothing(
    at: Locked, name: str, content: str, said: str
) -> None:
    file = at.folder.parent / "friends.toml"
    if content:
        file.write_text(content)
    assert said in at.run("import", "audits", name, str(file), code=3).stderr
    assert not (at.folder / "audits.toml").exists()
    assert not (at.folder / "audits").exists()
    assert at.rows("audit", "query", "--type", "audits.import") == []
