"""Policy tests: a case that is not as expected is found, and what no case is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from bascule.app.policy_tests import Tried, case_files, run_tests
from bascule.clock import UnixTime
from bascule.config.load import load
from bascule.decision.problems import PolicyError
from bascule.errors import BasculeError
from bascule.lock.lock_file import change_lock, with_entry
from bascule.lock.model import Access, Entry, Launch, Source
from bascule.lock.surface import Context, Document, document_name, format_document, pins

NOW = UnixTime(1_764_000_000)
CONFIG = """
[connectors.files]
url = "https://files.example/mcp"
[connectors.notes]
url = "https://notes.example/mcp"
mode = "observe"
[roles.writer]
members = ["group:writers", "agent:job"]
allow = ["files/*", "notes/read_*"]
[agents]
default_ceiling = ["files/read", "files/wipe", "notes/*"]
"""
CEDAR = """
@id("docs-only") forbid(principal, action == Mcp::Action::"call_tool",
    resource == Mcp::Tool::"files/read")
unless { context has args && context.args has path && context.args.path like "/docs/*" };
@id("by-day") forbid(principal is Mcp::User, action in Mcp::Action::"use",
    resource == Mcp::Tool::"notes/read_diary")
when { context.now.toTime() < duration("6h") };
@id("ask-first") @obligation("approve")
forbid(principal, action == Mcp::Action::"call_tool",
    resource == Mcp::Tool::"files/wipe");
"""
PATH = {"type": "object", "properties": {"path": {"type": "string"}}}
DOCUMENT = Document(
    format=1,
    context=Context(),
    tools={
        name: ({"name": name, "inputSchema": PATH},) for name in ("read", "wipe", "write")
    },
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a lock, and nothing that is approved."""
    made = Entry(
        Source("http", "https://files.example/mcp"),
        Launch("http", url="https://files.example/mcp"),
        Access(),
        surface=pins(DOCUMENT),
    )
    beside = {document_name("files"): format_document(DOCUMENT)}
    change_lock(tmp_path, lambda lock: with_entry(lock, "files", made), beside=beside)
    (tmp_path / "policies" / "tests").mkdir(parents=True)
    return tmp_path


def tried(folder: Path, *cases: str, cedar: str = CEDAR, config: str = CONFIG) -> Tried:
    who = '[defaults]\nuser = "alice"\ngroups = ["writers"]\n'
    text = who + "".join(f"[[cases]]\n{case}\n" for case in cases)
    (folder / "policies" / "tests" / "a.toml").write_text(text)
    path = folder / "bascule.toml"
    made = load(config, source="bascule.toml")
    return run_tests(path, made, {"x.cedar": cedar}, case_files(path), now=NOW)


READS = 'tool = "files/read"\narguments = { path = "/docs/a" }\nexpect = "allow"'


@pytest.mark.parametrize(
    "case",
    [
        READS,
        READS.replace("/docs/a", "/etc/passwd").replace("allow", "deny")
        + '\nreason = "policy_forbids"\npolicies = ["docs-only"]',
        'tool = "files/read"\nexpect = "maybe"',
        READS.replace("read", "write").replace("allow", "allow"),
        READS.replace("read", "write").replace("allow", "deny")
        + '\nagent = "desk"\nreason = "above_ceiling"',
        'tool = "files/write"\nexpect = "deny"\nscopes = []\nreason = "insufficient_scope"',
        'tool = "files/write"\nexpect = "deny"\nuser = "eve"\ngroups = []',
        'tool = "notes/read_all"\nalone = true\nagent = "job"\nexpect = "allow"',
        'tool = "notes/write"\nexpect = "deny"\nreason = "no_user_right"',
        'tool = "notes/read_diary"\nat = 2026-01-01T05:00:00Z\nexpect = "deny"',
        'tool = "notes/read_diary"\nat = 2026-01-01T07:00:00Z\nexpect = "allow"',
        'tool = "files/wipe"\narguments = {}\nexpect = "deny"\n'
        'reason = "approval_required"',
        'tool = "files/read"\narguments = { pth = "/etc" }\nexpect = "deny"\n'
        'reason = "invalid_arguments"',
        'tool = "files/wipe"\narguments = {}\napproved = true\nexpect = "allow"',
    ],
)
def test_what_is_as_expected_is_fine(folder: Path, case: str) -> None:
    tested = tried(folder, case)
    (outcome,) = tested.outcomes
    assert (outcome.problem, outcome.ok, tested.ok) == ("", True, True)


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        (READS.replace('"allow"', '"deny"'), "allow in place of deny"),
        (READS.replace("/docs/a", "/etc/passwd"), "deny in place of allow"),
        (
            'tool = "files/write"\nagent = "desk"\nexpect = "deny"\n'
            'reason = "no_user_right"',
            "denied for above_ceiling in place of no_user_right",
        ),
        (READS + '\npolicies = ["docs-only"]', "not decided by `docs-only`"),
        ('tool = "files/reed"\nexpect = "deny"', "`files` has no tool `reed`"),
        ('tool = "files/re?*"\nexpect = "deny"', "`files` has no tool `re?*`"),
        ('tool = "notes/*"\nexpect = "deny"', "`*` needs `notes` to be locked"),
        ('tool = "file/read"\nexpect = "deny"', "connector `file` does not exist"),
        (
            'tool = "files/read"\narguments = { pth = "/etc/passwd" }\nexpect = "deny"',
            "denied for invalid_arguments, whatever the rights are: ",
        ),
        (
            'resource = "files/file:///a/../b"\nexpect = "deny"',
            "denied for ambiguous_uri, whatever the rights are",
        ),
        ('tool = "notes/read_diary"\nexpect = "allow"', "the time decides: say `at`"),
    ],
)
def test_what_is_not_as_expected_is_found(folder: Path, case: str, problem: str) -> None:
    tested = tried(folder, READS, case)
    assert not tested.ok
    good, bad = tested.outcomes
    assert good.ok
    assert not bad.ok
    assert bad.problem.startswith(problem)
    assert bad.line == 8


def test_a_pattern_is_about_all_tools_that_it_matches(folder: Path) -> None:
    tested = tried(folder, 'tool = "files/*e"\nexpect = "deny"\nuser = "eve"\ngroups = []')
    assert [it.use for it in tested.outcomes] == ["files/wipe", "files/write"]
    assert tested.tools.missing == ("files/read",)
    assert (tested.tools.tested, tested.tools.total, tested.tools.percent) == (2, 3, 66)


def test_policies_that_decided_nothing_are_named(folder: Path) -> None:
    tested = tried(folder, READS)
    assert tested.policies.missing == (
        "ask-first",
        "by-day",
        "ceiling:*/files/read",
        "ceiling:*/files/wipe",
        "ceiling:*/notes/*",
        "docs-only",
        "role:writer/files/*/agent:job",
        "role:writer/notes/read_*",
        "role:writer/notes/read_*/agent:job",
    )
    more = tried(
        folder,
        # Denied for the agent; yet the role was decisive for the user.
        'tool = "notes/read_all"\nagent = "bascule-cli"\nscopes = []\nexpect = "deny"',
        'tool = "files/wipe"\nagent = "desk"\narguments = {}\nexpect = "deny"',
        READS.replace("/docs/a", "/x").replace("allow", "deny"),
    )
    assert more.ok
    assert more.policies.missing == (
        "by-day",
        "ceiling:*/files/read",
        "ceiling:*/notes/*",
        "role:writer/files/*/agent:job",
        "role:writer/notes/read_*/agent:job",
    )


def test_a_membership_that_ends_needs_a_time(folder: Path) -> None:
    until = '{ who = "group:writers", until = 2026-06-01T00:00:00Z }'
    config = CONFIG.replace('"group:writers"', until)
    (outcome,) = tried(folder, READS, config=config).outcomes
    assert outcome.problem == "the time decides: say `at`"
    assert tried(folder, f"{READS}\nat = 2026-05-01T00:00:00Z", config=config).ok
    late = f"{READS}\nat = 2026-07-01T00:00:00Z".replace("allow", "deny")
    assert tried(folder, late, config=config).ok


def test_a_role_of_agents_alone_has_no_policies_for_users_to_test(folder: Path) -> None:
    job = 'members = ["agent:job"]\nallow = ["files/read"]\n[agents]'
    tested = tried(folder, READS, config=CONFIG.replace("[agents]", f"[roles.job]\n{job}"))
    found = [it for it in tested.policies.missing if it.startswith("role:job/")]
    assert found == ["role:job/files/read/agent:job"]


def test_nothing_depends_on_whether_it_is_approved_here(folder: Path) -> None:
    """The lock's entry has no approval; its tools are there all the same."""
    assert tried(folder, READS).ok
    (folder / "mcp.lock.json").unlink()
    assert tried(folder, READS).ok


def test_without_cases_nothing_is_tested(folder: Path) -> None:
    with pytest.raises(BasculeError, match="there are no cases"):
        tried(folder)


def test_policies_that_do_not_stand_are_not_tested(folder: Path) -> None:
    with pytest.raises(PolicyError):
        tried(folder, READS, cedar="permit(principal, action, resource);")


def test_policies_that_do_not_fit_the_locked_tools_are_not_tested(folder: Path) -> None:
    with pytest.raises(PolicyError, match="`docs-only`"):
        tried(folder, READS, cedar=CEDAR.replace("args.path", "args.pth"))


def test_a_file_with_a_problem_is_no_success(folder: Path) -> None:
    tested = tried(folder, READS, 'tool = "files/read"\nexpect = "alow"')
    assert not tested.ok
    assert tested.outcomes == ()
    assert [it.line for it in tested.problems] == [8]
