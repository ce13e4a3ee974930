"""`approve` and `reject`: from the command line to what may be served, on both engines."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from jsonschema import validate

from approving import ALICE, BOB, MALLORY, Person
from bascule.app.approval_keys import own_key
from bascule.app.approving import Decided, Desk, Wish, decide_on
from bascule.cli.context import CommandContext
from bascule.cli.schemas import schema_of
from bascule.clock import system_clock, system_entropy
from bascule.lock.dsse import parse_envelope
from bascule.lock.lock_file import read_lock
from bascule.lock.rules import DAY
from postgres import PostgresServer
from system.approval_place import ApprovalPlace
from system.replicas import in_database

TWO = "\n[approvals]\nquorum = 2\n"


@pytest.fixture
def at(tmp_path: Path) -> ApprovalPlace:
    place = ApprovalPlace(tmp_path / "repository", tmp_path / "data")
    place.lock()
    return place


@pytest.fixture(params=["sqlite", "postgresql"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> ApprovalPlace:
    server = ""
    if request.param == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres_server")
        template: str = request.getfixturevalue("migrated_template")
        url = postgres.url(postgres.create(template=template))
        server = in_database(tmp_path / "secrets", url)
    place = ApprovalPlace(tmp_path / "repository", tmp_path / "data", server=server)
    place.lock()
    return place


def records(at: ApprovalPlace) -> list[tuple[str, dict[str, str]]]:
    """Give type and what was done of the records about approvals."""
    rows = map(json.loads, at.run("audit", "query", "--json").stdout.splitlines())
    found = []
    for row in rows:
        record = json.loads(at.run("audit", "show", str(row["seq"]), "--json").stdout)
        found.append((record["type"], record["admin"]))
    return found


def test_approving_with_bascules_own_key(anywhere: ApprovalPlace) -> None:
    assert anywhere.state() == "missing"
    told = anywhere.json("approve", "time", "--reason", "read it")
    validate(told, schema_of("approve"))
    assert (told["approver"], told["state"], told["sequence"]) == ("local", "approved", 1)
    assert told["expires"] <= system_clock() + 90 * DAY
    assert anywhere.state() == "approved"
    assert anywhere.state(later=90 * DAY) == "expired"
    assert [str(it.relative_to(anywhere.folder)) for it in anywhere.files()] == [
        told["file"]
    ]
    rejected = anywhere.json("reject", "time", "--reason", "no")
    assert (rejected["state"], rejected["sequence"]) == ("rejected", 2)
    assert anywhere.state() == "rejected"
    anywhere.json("approve", "time", "--reason", "yes after all", "--expires", "2h")
    assert anywhere.state() == "approved"
    assert anywhere.state(later=7200) == "expired"
    anywhere.json("reject", "time", "--reason", "stop", "--revoke")
    assert anywhere.state() == "revoked"


def test_hosts_of_one_database_know_the_same_without_any_file(
    postgres_server: PostgresServer, migrated_template: str, tmp_path: Path
) -> None:
    url = postgres_server.url(postgres_server.create(template=migrated_template))
    server = in_database(tmp_path / "secrets", url)
    first = ApprovalPlace(tmp_path / "one", tmp_path / "data 1", server=server)
    second = ApprovalPlace(tmp_path / "two", tmp_path / "data 2", server=server)
    assert first.lock() == second.lock()
    first.run("approve", "time", "--reason", "x")
    assert second.state() == "approved"
    assert second.files() == []
    second.run("reject", "time", "--reason", "x")
    assert first.state() == "rejected"
    assert len(second.files()) == 2


def test_each_decision_is_in_the_log_with_its_statement(at: ApprovalPlace) -> None:
    told = at.json("approve", "time", "--reason", "read it")
    at.run("reject", "time", "--reason", "no")
    (first, admin), (pinned, by), (second, _) = records(at)
    assert (first, second) == ("approval.approve", "approval.reject")
    assert (pinned, by["set"]) == (
        "approval.approvers",
        at.standing().approvers.trusted.digest,
    )
    payload = parse_envelope(at.files()[0].read_bytes()).payload
    assert admin["statement"] == hashlib.sha256(payload).hexdigest()
    assert (admin["entry"], admin["reason"]) == (told["entry"], "read it")
    assert admin["os_user"]


def test_without_a_log_nothing_is_approved(at: ApprovalPlace) -> None:
    at.run("approve", "time", "--reason", "x")
    at.run("reject", "time", "--reason", "x")
    for path in (at.data / "audit").iterdir():
        if path.is_file():
            path.unlink()
    (at.data / "audit" / "inbox.db").mkdir(mode=0o700)
    at.run("approve", "time", "--reason", "y", code=3)
    assert at.state() == "rejected"


def verified_by_openssh(at: ApprovalPlace, path: Path, approver: str) -> bool:
    """Verify a statement by what the page on approvals says, without Bascule."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "approvals.md").read_text()
    (script,) = re.findall(r"```sh\n(python3.*?)```", page, re.DOTALL)
    names = {"statement": str(path), "approver": approver}
    command = ["bash", "-euc", script]
    done = subprocess.run(
        command,
        env={**os.environ, **names},
        cwd=at.folder,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def test_approving_with_ones_own_ssh_key(at: ApprovalPlace, tmp_path: Path) -> None:
    at.allow(ALICE, BOB)
    told = at.json("approve", "time", "--reason", "read it", "--key", at.key(BOB))
    assert (told["approver"], told["state"]) == (BOB.name, "approved")
    (path,) = at.files()
    assert verified_by_openssh(at, path, BOB.name)
    assert not verified_by_openssh(at, path, ALICE.name)
    refused = at.run("approve", "time", "--reason", "x", "--key", at.key(MALLORY), code=3)
    assert "may not sign approvals" in refused.stderr
    claimed = ("--key", at.key(BOB), "--as", ALICE.name)
    assert BOB.name in at.run("approve", "time", "--reason", "x", *claimed, code=3).stderr
    own = at.run("approve", "time", "--reason", "x", code=3)
    assert "--key" in own.stderr


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Give a real ssh-agent."""
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=-3) as process:
        while not socket.exists():
            assert process.poll() is None
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        yield
        process.terminate()


@pytest.mark.usefixtures("agent")
def test_approving_with_a_key_that_an_agent_has(at: ApprovalPlace) -> None:
    at.allow(ALICE)
    path = Path(at.key(ALICE))
    subprocess.run(["ssh-add", "-q", path], check=True, stderr=-3)
    path.unlink()
    told = at.json("approve", "time", "--reason", "read it", "--key", f"{path}.pub")
    assert told["state"] == "approved"
    assert verified_by_openssh(at, at.files()[0], ALICE.name)


def test_a_passphrase_is_asked_for_on_a_terminal_alone(
    at: ApprovalPlace, tmp_path: Path
) -> None:
    path = tmp_path / "locked"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", path]
    subprocess.run(command, check=True)
    blob = path.with_suffix(".pub").read_text().split()[1]
    (at.folder / "allowed_signers").write_text(f"carol ssh-ed25519 {blob}\n")
    words = [*at.arguments, "approve", "time", "--reason", "x", "--key", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", "bascule.cli.main", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "needs a terminal, or ssh-agent" in done.stderr
    assert at.state() == "missing"
    assert type_in("a passphrase\n", words) == 0
    assert at.state() == "approved"


def type_in(text: str, words: list[str]) -> int:
    """Run a command on a terminal of its own, and type when it asks."""
    pid, terminal = pty.fork()
    if pid == 0:
        command = [sys.executable, "-m", "bascule.cli.main", *words]
        os.execv(sys.executable, command)  # noqa: S606
    seen = b""
    while b"assphrase" not in seen:
        seen += os.read(terminal, 1000)
    os.write(terminal, text.encode())
    try:
        while os.read(terminal, 1000):
            pass
    except OSError:
        pass  # its other end is closed
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize(
    "content", ["", "ssh-rsa AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----"]
)
def test_what_is_no_key_is_refused_and_not_shown(at: ApprovalPlace, content: str) -> None:
    path = at.folder.parent / "no-key"
    path.touch(0o600)
    path.write_text(content + "\ncanary-5fd1")
    refused = at.run("approve", "time", "--reason", "x", "--key", str(path), code=3)
    assert "ssh-keygen -t ed25519" in refused.stderr
    assert "canary" not in refused.stderr


def test_a_private_key_that_others_can_read_is_refused(at: ApprovalPlace) -> None:
    at.allow(ALICE)
    path = Path(at.key(ALICE))
    path.chmod(0o644)
    refused = at.run("approve", "time", "--reason", "x", "--key", str(path), code=3)
    assert "others can read" in refused.stderr


def test_what_differs_from_the_lock_is_not_approved(at: ApprovalPlace) -> None:
    at.config.write_text(at.config.read_text().replace(":9/mcp", ":9/mcp2"))
    refused = at.run("approve", "time", "--reason", "x", code=1)
    assert "launch" in refused.stderr
    assert at.files() == []


def test_what_differs_makes_no_lines_of_its_own(at: ApprovalPlace) -> None:
    settings = at.config.read_text()
    at.config.write_text(settings.replace('"platform"', '"a\\n+ fine"'))
    assert at.config.read_text() != settings
    refused = at.run("approve", "time", "--reason", "x", code=1)
    assert "+ fine" in refused.stderr
    assert not any(it.startswith("+ fine") for it in refused.stderr.splitlines())


def test_what_was_reviewed_is_what_is_approved(at: ApprovalPlace) -> None:
    """The lock may change between the look at it and the signature."""
    reviewed = at.lock(requested="==1")
    other = at.lock(requested="==2")
    words = ("approve", "time", "--reason", "x", "--entry")
    for wanted in (reviewed, reviewed[:20], other[:19], ""):
        assert other in at.run(*words, wanted, code=1).stderr
    assert at.state() == "missing"
    at.run(*words, other[:20])
    assert at.state() == "approved"


def test_what_nobody_captured_is_not_approved(at: ApprovalPlace) -> None:
    at.lock(surface=False)
    assert "bascule lock" in at.run("approve", "time", "--reason", "x", code=3).stderr
    assert at.state() == "no_surface"
    at.lock()
    (at.folder / "surfaces" / "time.json").write_text("{}")
    assert "surface" in at.run("approve", "time", "--reason", "x", code=1).stderr
    assert at.state() == "missing"


@pytest.mark.parametrize(
    "words",
    [
        ("approve", "--reason", "x"),
        ("approve", "time", "--signers", "--reason", "x"),
        ("approve", "time", "--reason", " "),
        ("approve", "time", "--reason", "x" * 2001),
        ("approve", "time"),
        ("approve", "../time", "--reason", "x"),
        ("approve", "time", "--reason", "x", "--expires", "0d"),
        ("approve", "time", "--reason", "x", "--expires", "forever"),
        ("approve", "time", "--reason", "x", "--unsafe-replace"),
        ("reject", "time"),
    ],
    ids=str,
)
def test_wrong_usage_is_told_and_changes_nothing(
    at: ApprovalPlace, words: tuple[str, ...]
) -> None:
    at.run(*words, code=2)
    assert at.state() == "missing"


def test_an_unknown_connector_cannot_be_approved(at: ApprovalPlace) -> None:
    assert "bascule lock" in at.run("approve", "other", "--reason", "x", code=3).stderr


@pytest.mark.parametrize("more", [(), ("--revoke",)])
def test_an_unknown_connector_cannot_be_rejected(
    at: ApprovalPlace, more: tuple[str, ...]
) -> None:
    result = at.run("reject", "other", "--reason", "x", *more, code=3)
    assert "`other` is neither locked" in result.stderr


def test_a_revocation_needs_no_entry_in_the_lock(at: ApprovalPlace, tmp_path: Path) -> None:
    at.run("approve", "time", "--reason", "x")
    at.snapshot(tmp_path / "kept")
    (at.folder / "mcp.lock.json").unlink()
    at.run("reject", "time", "--reason", "stop", "--revoke")
    at.restore(tmp_path / "kept")
    assert at.state() == "revoked"


def test_going_back_in_git_revives_nothing(anywhere: ApprovalPlace, tmp_path: Path) -> None:
    at = anywhere
    at.run("approve", "time", "--reason", "first")
    at.snapshot(tmp_path / "kept")
    at.lock(requested="==2")
    at.run("approve", "time", "--reason", "second")
    assert at.state() == "approved"
    at.restore(tmp_path / "kept")
    assert at.state() == "superseded"
    at.run("reject", "time", "--reason", "no")
    at.restore(tmp_path / "kept")
    assert at.state() == "rejected"
    for path in at.files():
        path.unlink()
    assert at.state() == "rejected"
    at.run("approve", "time", "--reason", "on purpose")
    assert at.state() == "approved"
    assert len(at.files()) == 4


def test_what_was_approved_elsewhere_comes_by_git(
    at: ApprovalPlace, tmp_path: Path
) -> None:
    at.allow(ALICE, BOB)
    key = at.key(ALICE)
    server = at.other(tmp_path / "server")
    at.run("approve", "time", "--reason", "x", "--key", key)
    assert server.state() == "approved"
    assert server.state() == "approved"
    found = [kind for kind, admin in records(server) if admin.get("from") == "files"]
    assert found == ["approval.approve", "approval.approvers"]
    at.run("reject", "time", "--reason", "x", "--key", key)
    assert server.state() == "rejected"
    server.run("approve", "time", "--reason", "x", "--key", key)
    assert at.state() == "approved"


def test_bascules_own_key_counts_on_its_own_machine_alone(
    at: ApprovalPlace, tmp_path: Path
) -> None:
    at.run("approve", "time", "--reason", "x")
    server = at.other(tmp_path / "server")
    assert server.state() == "unknown_signer"
    assert "counts there alone" in server.run("verify", "time", code=1).stdout
    server.run("approve", "time", "--reason", "x")
    assert server.state() == "approved"
    assert len(at.files()) == 2


def test_files_of_strangers_change_nothing(at: ApprovalPlace) -> None:
    folder = at.folder / "approvals" / "time"
    folder.mkdir(parents=True)
    (folder / "huge.dsse.json").write_bytes(b"[" * 3_000_000)
    (folder / "empty.dsse.json").write_bytes(b"")
    (folder / "no.dsse.json").write_bytes(b"\xff\x00")
    (folder / "folder.dsse.json").mkdir()
    (folder / "link.dsse.json").symlink_to("/dev/zero")
    assert at.state() == "malformed"
    at.run("approve", "time", "--reason", "x")
    assert at.state() == "approved"


def test_who_approves_is_pinned_with_the_first_approval(
    at: ApprovalPlace, tmp_path: Path
) -> None:
    at.allow(ALICE, BOB)
    at.configure(TWO)
    alice, bob, mallory = (at.key(it) for it in (ALICE, BOB, MALLORY))
    at.run("approve", "time", "--reason", "x", "--key", alice)
    assert at.state() == "too_few"
    at.allow(MALLORY)
    at.configure()
    told = at.run("approve", "time", "--reason", "x", "--key", mallory, code=3)
    assert "stay in force" in told.stderr
    assert at.standing().approvers.pending
    assert at.state() == "too_few"
    at.run("approve", "--signers", "--reason", "me", "--key", mallory, code=3)
    first = at.json("approve", "--signers", "--reason", "she takes over", "--key", alice)
    assert (first["in_force"], first["approvers"], first["quorum"]) == (
        False,
        [ALICE.name],
        2,
    )
    assert (
        at.json("approve", "--signers", "--reason", "again", "--key", alice)["in_force"]
        is False
    )
    assert at.state() == "too_few"
    at.run("approve", "time", "--reason", "second", "--key", bob)
    assert at.state() == "approved"
    at.snapshot(tmp_path / "kept")
    done = at.json("approve", "--signers", "--reason", "agreed", "--key", bob)
    validate(done, schema_of("approve-signers"))
    assert done["in_force"] is True
    assert at.standing().approvers.pending == ""
    assert at.state() == "unknown_signer"
    at.run("approve", "time", "--reason", "x", "--key", alice, code=3)
    at.run("approve", "time", "--reason", "x", "--key", mallory)
    assert at.state() == "approved"
    at.restore(tmp_path / "kept")
    at.allow(ALICE, BOB)
    at.configure(TWO)
    assert "stay in force" in at.standing().approvers.pending
    assert at.state() == "approved"
    at.run("approve", "time", "--reason", "x", "--key", bob, code=3)


def test_a_new_data_directory_can_be_told_who_approves(
    at: ApprovalPlace, tmp_path: Path
) -> None:
    """As in a pipeline, where a commit brings its own signers along."""
    at.allow(ALICE)
    at.run("approve", "time", "--reason", "x", "--key", at.key(ALICE))
    digest = at.standing().approvers.trusted.digest
    at.run("verify", "time", "--approvers", digest)
    at.other(tmp_path / "pipeline 1").run("verify", "time", "--approvers", digest)
    at.allow(MALLORY)
    for path in at.files():
        path.unlink()
    forger = at.other(tmp_path / "forger")
    forger.run("approve", "time", "--reason", "x", "--key", at.key(MALLORY))
    pipeline = at.other(tmp_path / "pipeline 2")
    pipeline.run("verify", "time")
    refused = pipeline.run("verify", "time", "--approvers", digest, code=1)
    assert pipeline.standing().approvers.trusted.digest in refused.stderr
    assert at.state() == "approved"


def test_signed_changes_of_who_approves_come_by_git(
    at: ApprovalPlace, tmp_path: Path
) -> None:
    """Two changes at once, of which the server never saw the first one's files."""
    at.allow(ALICE)
    alice, bob = at.key(ALICE), at.key(BOB)
    at.run("approve", "time", "--reason", "x", "--key", alice)
    server = at.other(tmp_path / "server")
    assert server.state() == "approved"
    at.allow(BOB)
    at.run("approve", "--signers", "--reason", "x", "--key", alice)
    at.allow(BOB, MALLORY)
    at.run("approve", "--signers", "--reason", "x", "--key", bob)
    at.run("approve", "time", "--reason", "x", "--key", at.key(MALLORY))
    assert server.state() == "approved"
    standing = server.standing()
    assert standing.approvers.pending == ""
    assert standing.verdicts["time"].approvers == (MALLORY.name,)
    assert [kind for kind, _ in records(server)].count("approval.approvers") == 3


def test_when_all_keys_are_lost_the_operator_starts_anew(at: ApprovalPlace) -> None:
    at.allow(ALICE)
    at.run("approve", "time", "--reason", "x", "--key", at.key(ALICE))
    at.allow(BOB)
    done = at.json("approve", "--signers", "--unsafe-replace", "--reason", "she left")
    assert done["in_force"] is True
    assert at.state() != "approved"
    at.run("approve", "time", "--reason", "x", "--key", at.key(BOB))
    assert at.state() == "approved"
    assert any("unsafe" in admin for _, admin in records(at))


def test_consent_of_before_does_not_undo_a_replacement(at: ApprovalPlace) -> None:
    """Bob's key was stolen: he must not come back by what let him in once."""
    at.allow(ALICE)
    alice = at.key(ALICE)
    at.run("approve", "time", "--reason", "x", "--key", alice)
    at.allow(ALICE, BOB)
    at.run("approve", "--signers", "--reason", "he joins", "--key", alice)
    assert at.standing().approvers.trusted.signers.principals == {ALICE.name, BOB.name}
    at.allow(ALICE)
    at.run("approve", "--signers", "--unsafe-replace", "--reason", "stolen")
    for _ in range(2):
        assert at.standing().approvers.trusted.signers.principals == {ALICE.name}
        at.allow(ALICE, BOB)
    at.run("approve", "--signers", "--reason", "with a new key", "--key", alice)
    assert at.standing().approvers.pending == ""


def test_breaking_the_glass(at: ApprovalPlace) -> None:
    at.allow(ALICE, BOB)
    at.configure(TWO + f'break_glass = ["{ALICE.name}"]\n')
    alice, bob = at.key(ALICE), at.key(BOB)
    glass = ("approve", "time", "--break-glass", "--reason", "the shop is down")
    at.run(*glass, "--key", bob, code=3)
    at.run(*glass, "--key", alice, "--expires", "25h", code=3)
    told = at.json(*glass, "--key", alice, "--expires", "4h")
    assert (told["decision"], told["state"]) == ("break_glass", "approved")
    found = at.standing().verdicts["time"]
    assert found.break_glass
    assert at.state(later=4 * 3600) == "expired"
    assert records(at)[0][0] == "approval.break_glass"


def test_the_author_of_the_lock_does_not_approve_it(at: ApprovalPlace) -> None:
    def git(*words: str, author: Person = ALICE) -> None:
        identity = ["-c", f"user.email={author.name}", "-c", "user.name=x"]
        command = ["git", *identity, "-C", at.folder, *words]
        subprocess.run(command, check=True, capture_output=True)

    at.allow(ALICE, BOB)
    at.configure("\n[approvals]\nnot_author = true\n")
    alice, bob = at.key(ALICE), at.key(BOB)
    words = ("approve", "time", "--reason", "x", "--key")
    assert "who made the entry" in at.run(*words, bob, code=3).stderr
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "Lock time")
    (at.folder / "README").write_text("x")
    git("add", ".", author=BOB)
    git("commit", "-qm", "Say what this is", author=BOB)
    assert "must not approve" in at.run(*words, alice, code=3).stderr
    assert at.json(*words, bob)["state"] == "approved"


KILLS = [
    ("app/approving.py", "settled = store.run(keep)", "missing"),
    ("storage/approvals.py", "insert(approvals).values(", "missing"),
    ("app/approving.py", "desk.place.note_change()", "approved"),
]


@pytest.mark.parametrize(("file", "text", "state"), KILLS)
def test_killed_while_approving_it_is_approved_or_not(
    at: ApprovalPlace, file: str, text: str, state: str
) -> None:
    assert at.state() == "missing"  # the databases are made, which takes long when traced
    script = Path(__file__).with_name("breakpoint.py")
    words = [*at.arguments, "approve", "time", "--reason", "killed"]
    command = [sys.executable, str(script), file, text, *words]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert at.state() == state
    at.run("audit", "verify")
    told = at.json("approve", "time", "--reason", "again")
    assert told["state"] == "approved"
    assert told["sequence"] == (2 if state == "approved" else 1)
    assert len(at.files()) == told["sequence"]


def decide(at: ApprovalPlace, wish: Wish) -> Decided:
    """Decide as a process of its own would."""
    context = CommandContext(at.config, at.data)
    try:
        place = context.place()
        desk = Desk(place, at.config, context.config(), read_lock(at.folder))
        key = own_key(place.keys, system_entropy)
        return decide_on(desk, "time", key, wish, now=system_clock())
    finally:
        context.close()


def test_approvals_that_race_are_recorded_one_after_another(
    anywhere: ApprovalPlace,
) -> None:
    at = anywhere
    at.run("approve", "time", "--reason", "first")
    wishes = [Wish("approve", f"number {number}") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        decided = list(pool.map(lambda it: decide(at, it), wishes))
    assert {it.approval.sequence for it in decided} == {2, 3, 4, 5}
    assert len(at.files()) == 5
    assert at.state() == "approved"


def test_a_rejection_that_races_an_approval_loses_only_to_a_later_one(
    anywhere: ApprovalPlace,
) -> None:
    at = anywhere
    at.run("approve", "time", "--reason", "first")
    with ThreadPoolExecutor(2) as pool:
        both = [Wish("approve", "yes"), Wish("reject", "no")]
        approval, rejection = pool.map(lambda it: decide(at, it), both)
    later = approval.approval.sequence > rejection.approval.sequence
    assert at.state() == ("approved" if later else "rejected")
