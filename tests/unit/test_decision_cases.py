"""Cases of policy tests: read, with all that is wrong with them and where."""

from __future__ import annotations

import datetime

import pytest

from bascule.decision.cases import Case, read_cases
from bascule.decision.facts import Reason

GOOD = """\
# Support.
[defaults]
user = "alice"
groups = ["support"]
agent = "desk"

[[cases]]
name = "reads"
tool = ["tickets/search", "tickets/get_*"]
expect = "allow"

[[cases]]
alone = true
resource = "docs/file:///a"
at = 2026-11-24T10:00:00Z
expect = "deny"
reason = "no_agent_right"
"""


def test_a_case_takes_what_it_leaves_out_from_the_defaults() -> None:
    cases, problems = read_cases("a.toml", GOOD)
    assert problems == []
    first, second = cases
    assert (first.file, first.line, second.line) == ("a.toml", 7, 12)
    assert first.case == Case(
        user="alice",
        groups=("support",),
        agent="desk",
        name="reads",
        tool=("tickets/search", "tickets/get_*"),
        expect="allow",
    )
    assert second.case == Case(
        alone=True,
        groups=("support",),
        agent="desk",
        resource=("docs/file:///a",),
        at=datetime.datetime(2026, 11, 24, 10, tzinfo=datetime.UTC),
        expect="deny",
        reason=Reason.NO_AGENT_RIGHT,
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("[defaults]", "[defaults", 1, "not valid TOML"),
        ("[defaults]", "[default]", 1, "default: is no setting that Bascule knows"),
        ('name = "reads"', 'nam = "reads"', 7, "cases[0].nam: is no setting"),
        ('"no_agent_right"', '"because"', 12, "cases[1].reason"),
        ('expect = "allow"\n', "", 7, "cases[0].expect: is missing"),
        (
            'expect = "deny"',
            'expect = "denied"',
            12,
            "must be `allow` or `deny` or `maybe`",
        ),
        ("10:00:00Z", "10:00:00", 12, "cases[1].at"),
        ("alone = true\n", "alone = false\n", 12, "names no one `user`"),
        ("alone = true\n", 'alone = true\nuser = "bob"\n', 12, "names no one `user`"),
        ('user = "alice"\n', "", 6, "names no one `user`"),
        ("alone = true\n", 'alone = true\ntool = "a/b"\n', 12, "is about one of"),
        ('resource = "docs/file:///a"\n', "", 12, "is about one of"),
        ('"tickets/search"', '"search"', 7, "`search` is not of the form"),
        ('"tickets/search"', '"/search"', 7, "`/search` is not of the form"),
        ('expect = "deny"', 'expect = "maybe"', 12, "`reason` is that of a denial"),
        ("alone = true\n", "alone = true\napproved = true\n", 12, "say its `arguments`"),
        ("alone = true\n", 'alone = true\ntouched = ["x"]\n', 12, "say its `arguments`"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    old: str, new: str, line: int, said: str
) -> None:
    assert old in GOOD
    _, problems = read_cases("a.toml", GOOD.replace(old, new))
    (problem,) = problems
    assert (problem.file, problem.line, problem.severity) == ("a.toml", line, "error")
    assert said in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "cases = 3",
        "cases = [1]",
        "cases = [[]]",
        "defaults = 1\ncases = []",
        "defaults = []\n[[cases]]\n",
        "[[cases]]\ntool = 3",
        "[[cases]]\ntool = [3]",
        "[cases]",
        f"cases = {'[' * 5000}",
        'cases = [{user = "a", tool = "/", expect = "deny"}]',
    ],
)
def test_whatever_the_shape_there_are_problems(text: str) -> None:
    _, problems = read_cases("a.toml", text)
    assert problems
    assert all(it.line >= 1 for it in problems)
