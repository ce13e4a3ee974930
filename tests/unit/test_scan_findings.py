import pytest

from bascule.scan.finding import found
from bascule.scan.report import Gap, Report, Sent, merged
from bascule.scan.rule import Rule, reaches
from bascule.scan.rules import RULES
from bascule.scan.server import Server

RULE = Rule(
    id="left-open",
    severity="high",
    promise="known",
    title="it is open",
    why="anybody gets in",
    fix="close it",
    owasp=("MCP07",),
)


def test_a_finding_says_what_its_rule_says():
    finding = found(RULE, "http://localhost:1/mcp", "it listed two tools")

    assert (finding.rule, finding.severity, finding.fix) == (
        "left-open",
        "high",
        "close it",
    )
    assert finding.owasp == ("MCP07",)


def test_the_same_thing_has_the_same_id_whatever_was_seen():
    one = found(RULE, "here", "two tools", severity="low", title="other", fix="other")

    assert one.id == found(RULE, "here", "three tools").id
    assert one.id.startswith("left-open-")


@pytest.mark.parametrize(
    ("target", "key"),
    [("there", ""), ("here", "b"), ("here\0b", "")],
    ids=["at", "key", "nul"],
)
def test_other_things_have_other_ids(target, key):
    assert found(RULE, target, "", key=key).id != found(RULE, "here", "", key="").id


@pytest.mark.parametrize(
    ("severity", "threshold", "does"),
    [("high", "low", True), ("low", "low", True), ("info", "low", False)],
)
def test_a_threshold_is_reached_by_what_is_as_bad(severity, threshold, does):
    assert reaches(severity, threshold) is does


def test_merged_reports_say_everything_once_and_the_worst_first():
    low = found(RULE, "a", "", severity="low")
    high = found(RULE, "b", "")
    gap = Gap(target="a", what="tools", why="it hung")
    late = Sent(at=2.0, method="GET", url="u", address="a:1", status=None)
    early = Sent(at=1.0, method="POST", url="u", address="a:1", status=200)

    both = merged(
        [
            Report(findings=(low,), not_assessed=(gap,), requests=(late,), scope=("x",)),
            Report(
                servers=(Server(name="s"),),
                findings=(high, low),
                not_assessed=(gap,),
                requests=(early,),
                scope=("x",),
            ),
        ]
    )

    assert both.findings == (high, low)
    assert both.not_assessed == (gap,)
    assert [it.at for it in both.requests] == [1.0, 2.0]
    assert (len(both.servers), both.scope) == (1, ("x",))


def test_rules_are_named_and_say_what_to_do():
    for name, rule in RULES.items():
        assert name == rule.id == rule.id.lower()
        assert rule.title, name
        assert rule.why, name
        assert rule.fix, name
