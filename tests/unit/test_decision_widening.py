"""What a new configuration allows beyond the old one is named, and nothing else."""

from __future__ import annotations

import pytest

from bascule.config.load import load
from bascule.decision.widening import widenings

BASE = """
[connectors.desk]
mode = "observe"
url = "http://127.0.0.1:1/mcp"
[connectors.annex]
mode = "observe"
url = "http://127.0.0.1:2/mcp"
[toolsets]
"desk:read" = ["desk/search"]
[roles.clerk]
members = ["user:alice"]
allow = ["desk:read"]
[agents]
default_ceiling = ["desk/*"]
[agents.ceilings]
robot = ["desk/search"]
[scopes]
"desk.read" = ["desk:read"]
"""
FORBID = """@id("no-night") forbid(principal, action, resource) when { context.now > 1 };"""
PERMIT = """@id("extra") permit(principal, action, resource) when { context.now > 1 };"""


def found(after: str, *, before: str = BASE) -> list[str]:
    return widenings(load(before, source="a"), {}, load(after, source="b"), {})


def with_files(before: str, after: str) -> list[str]:
    config = load(BASE, source="a")
    return widenings(config, {"p.cedar": before}, config, {"p.cedar": after})


def test_the_same_widens_nothing() -> None:
    assert found(BASE) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'members = ["user:alice"]',
            'members = ["user:alice", "group:all"]',
            ["`group:all` may use `desk/search`"],
        ),
        (
            'allow = ["desk:read"]',
            'allow = ["desk:read", "annex/*"]',
            ["`user:alice` may use `annex/*`"],
        ),
        (
            '"desk:read" = ["desk/search"]',
            '"desk:read" = ["desk/search", "desk/delete"]',
            [
                "`user:alice` may use `desk/delete`",
                "scope `desk.read` covers `desk/delete`",
            ],
        ),
        (
            'default_ceiling = ["desk/*"]',
            'default_ceiling = ["desk/*", "annex/*"]',
            ["any other agent may be used for `annex/*`"],
        ),
        ('robot = ["desk/search"]', "", ["agent `robot` may be used for `desk/*`"]),
        (
            "[connectors.annex]",
            '[connectors.annex]\nmay_ask = ["sampling"]',
            ["`annex` may ask for `sampling`"],
        ),
        (
            "[connectors.annex]",
            "[connectors.annex]\nboundary = { reachable_from = [] }",
            [],
        ),
        (
            "[scopes]",
            '[scopes]\nall = ["desk/*"]',
            ["scope `all` covers `desk/*`"],
        ),
        (
            "[roles.clerk]",
            '[issuers.corp]\nissuer="https://idp.example"\naudiences={desk="x"}\n[roles.clerk]',
            ["`https://idp.example` may issue tokens for `desk`"],
        ),
    ],
)
def test_what_is_new_is_named_and_its_reverse_is_not(
    old: str, new: str, expected: list[str]
) -> None:
    changed = BASE.replace(old, new, 1)
    assert changed != BASE
    assert found(changed) == expected
    assert found(BASE, before=changed) == []


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('mode = "warn"', 'mode = "observe"', True),
        ('mode = "enforce"', 'mode = "warn"', True),
        ("", 'mode = "observe"', True),
        ('mode = "enforce"', "", False),
        ("", 'mode = "enforce"', False),
    ],
)
def test_a_mode_that_refuses_less_is_named(old: str, new: str, named: bool) -> None:
    before = BASE.replace('mode = "observe"', old, 1)
    after = BASE.replace('mode = "observe"', new, 1)
    mode = new.removeprefix("mode = ").strip('"')
    expected = [f"`desk` is served in mode `{mode}`"] if named else []
    assert found(after, before=before) == expected
    assert found(before, before=before) == []


def test_a_new_connector_that_is_served_unapproved_is_named() -> None:
    new = '\n[connectors.new]\nurl = "http://127.0.0.1:3/mcp"\n'
    assert found(BASE + new) == []
    assert found(BASE + new + 'mode = "warn"\n') == ["`new` is served in mode `warn`"]


def test_a_forbid_that_goes_or_changes_widens() -> None:
    assert with_files(FORBID, "") == ["policy `no-night` forbids less"]
    changed = FORBID.replace("> 1", "> 2")
    assert with_files(FORBID, changed) == ["policy `no-night` forbids less"]
    assert with_files("", FORBID) == []


def test_a_permit_that_comes_or_changes_widens() -> None:
    assert with_files("", PERMIT) == ["policy `extra` permits"]
    assert with_files(PERMIT, PERMIT.replace("> 1", "> 2")) == ["policy `extra` permits"]
    assert with_files(PERMIT, "") == []


def test_a_forbid_that_becomes_a_permit_is_named_twice() -> None:
    permit = PERMIT.replace("extra", "no-night")
    assert with_files(FORBID, permit) == [
        "policy `no-night` forbids less",
        "policy `no-night` permits",
    ]


RULE = """
[call_approvals.writes]
tools = ["desk:read", "annex/delete"]
destructive = true
approvers = ["user:carol"]
quorum = 1
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", []),
        ('"annex/delete"', '"annex/*"', ["asks for no approval of `annex/delete`"]),
        ('"desk:read", ', "", ["asks for no approval of `desk/search`"]),
        ("destructive = true", "", ["asks for no approval of destructive tools"]),
        ("[]", "[]", []),
        ("user:carol", "user:dave", ["`user:dave` may approve calls by rule `writes`"]),
        ("destructive", "self_approval = true\ndestructive", ["approve their own calls"]),
    ],
)
def test_what_is_approved_more_easily_is_named(
    old: str, new: str, expected: list[str]
) -> None:
    after = RULE.replace(old, new) if old else RULE
    said = found(BASE + after, before=BASE + RULE)
    assert len(said) == len(expected)
    assert all(part in text for part, text in zip(expected, said, strict=True))
    assert found(BASE + RULE) == []


def test_a_smaller_toolset_or_quorum_and_a_rule_that_is_gone_are_named() -> None:
    both = RULE.replace("quorum = 1", "self_approval = true\nquorum = 2")
    alone = both.replace("quorum = 2", "quorum = 1")
    assert found(BASE + alone, before=BASE + both) == [
        "rule `writes` is content with 1 of 2 approvals"
    ]
    smaller = BASE.replace('["desk/search"]\n[roles', '["desk/other"]\n[roles')
    assert "rule `writes` asks for no approval of `desk/search`" in found(
        smaller + RULE, before=BASE + RULE
    )
    assert len(found(BASE, before=BASE + RULE)) == 3


FLOWS = (
    BASE
    + """
[labels]
seen = ["annex/*"]
own = ["desk/read"]
out = ["desk:read", "desk/send"]
[flows.x]
after = ["seen"]
after_all = ["own", "out"]
close = ["out"]
minutes = 10
[rates.r]
of = ["desk/send"]
calls = 5
by = ["user"]
"""
)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("minutes = 10", "minutes = 11", []),
        ("minutes = 10", "minutes = 9", ["flow `x` closes less"]),
        ("minutes = 10", 'minutes = 10\nthen = "approve"', ["flow `x` closes less"]),
        ('after = ["seen"]', 'after = ["seen", "own"]', []),
        ('after = ["seen"]', "", ["flow `x` closes less"]),
        ('after_all = ["own", "out"]', 'after_all = ["own"]', []),
        (
            'after_all = ["own", "out"]',
            'after_all = ["own", "seen"]',
            ["flow `x` closes less"],
        ),
        ('after_all = ["own", "out"]', "", ["flow `x` closes less"]),
        ('close = ["out"]', 'close = ["own", "out"]', []),
        ('close = ["out"]', 'close = ["own"]', ["flow `x` closes less"]),
        ('seen = ["annex/*"]', 'seen = ["annex/a"]', ["flow `x` closes less"]),
        ('own = ["desk/read"]', "own = []", ["flow `x` closes less"]),
        ('"desk:read", "desk/send"]', '"desk/search", "desk/send"]', []),
        ('"desk:read", "desk/send"]', '"desk:read"]', ["flow `x` closes less"]),
        ("[flows.x]", "[flows.y]", ["flow `x` closes less"]),
        ("calls = 5", "calls = 4", []),
        ("calls = 5", "calls = 6", ["rate `r` lets more calls through"]),
        ("calls = 5", 'calls = 5\nper = "day"', ["rate `r` lets more calls through"]),
        ('by = ["user"]', "by = []", []),
        ('by = ["user"]', 'by = ["user", "tool"]', ["rate `r` lets more calls through"]),
        ('of = ["desk/send"]', 'of = ["annex/*"]', ["rate `r` lets more calls through"]),
        ("[rates.r]", "[rates.s]", ["rate `r` lets more calls through"]),
    ],
)
def test_flows_and_rates_that_hold_back_less_are_named(
    old: str, new: str, expected: list[str]
) -> None:
    assert FLOWS.count(old) == 1
    assert found(FLOWS.replace(old, new), before=FLOWS) == expected


def test_a_flow_that_asks_others_is_named() -> None:
    rules = "[call_approvals.a]\nself_approval = true\n[call_approvals.b]\nquorum = 1\n"
    asks = 'minutes = 10\nthen = "approve"\nrule = "a"'
    before = FLOWS.replace("minutes = 10", asks) + rules
    assert found(before, before=before) == []
    assert found(FLOWS + rules, before=before) == []
    others = before.replace('rule = "a"', 'rule = "b"')
    assert found(others, before=before) == ["flow `x` closes less"]


def test_arguments_that_pass_or_are_read_otherwise_are_named() -> None:
    allows = BASE.replace("[toolsets]", 'unknown_arguments = "allow"\n[toolsets]')
    assert found(allows) == ["`annex` takes arguments that its tools do not have"]
    assert found(BASE, before=allows) == []
    text = BASE.replace(
        "[toolsets]", '[connectors.annex.arguments]\nx = "text"\n[toolsets]'
    )
    assert found(text) == ["argument `x` of `annex` is read as text"]
    assert found(BASE, before=text) == [
        "argument `x` of `annex` is read as what it seems to be"
    ]


TOOLSET = '"desk:read" = ["desk/search"]'
ROLE = 'members = ["user:alice"]'
IN_TOOLSET = '(principal, action, resource in Mcp::Toolset::"desk:read");'
IN_ROLE = '(principal in Mcp::Role::"clerk", action, resource);'
READS = '(principal, action, resource) {} {{ resource in Mcp::Toolset::"desk:read" }};'
LABELLED = """(principal, action == Mcp::Action::"call_tool", resource)
when { resource.labels.contains("out") };"""
MORE, NONE = TOOLSET.replace("]", ', "desk/wipe"]'), '"desk:read" = []'
OTHERS, NOBODY = ROLE.replace("]", ', "user:bob"]'), "members = []"


@pytest.mark.parametrize(
    ("policy", "old", "new", "is_wider"),
    [
        ("permit" + IN_TOOLSET, TOOLSET, MORE, True),
        ("permit" + IN_TOOLSET, MORE, TOOLSET, False),
        ("forbid" + IN_TOOLSET, TOOLSET, NONE, True),
        ("forbid" + IN_TOOLSET, TOOLSET, MORE, False),
        ("permit" + READS.format("when"), TOOLSET, MORE, True),
        ("permit" + READS.format("unless"), TOOLSET, NONE, True),
        ("forbid" + READS.format("when"), TOOLSET, NONE, True),
        ("permit" + IN_ROLE, ROLE, OTHERS, True),
        ("permit" + IN_ROLE, ROLE, NOBODY, False),
        ("forbid" + IN_ROLE, ROLE, NOBODY, True),
        ("forbid" + LABELLED, 'out = ["desk/search"]', "out = []", True),
    ],
)
def test_policies_that_stay_are_named_where_what_they_speak_of_does_not(
    policy: str, old: str, new: str, *, is_wider: bool
) -> None:
    """The role allows nothing by itself, so nothing else would be named."""
    base = BASE.replace('allow = ["desk:read"]', "allow = []").partition("[scopes]")[0]
    base += "[labels]\nout = []\n" if "out" not in old else f"[labels]\n{old}\n"
    before = base.replace(TOOLSET, old) if "desk:read" in old else base
    before = before.replace(ROLE, old) if "members" in old else before
    files = {"p.cedar": f'@id("p") {policy}'}
    one, other = load(before, source="a"), load(before.replace(old, new), source="b")
    found = widenings(one, files, other, files)
    assert [it for it in found if it.startswith("policy `p` ")] == found
    assert bool(found) is is_wider


def test_a_rule_that_names_nobody_any_more_is_for_administrators() -> None:
    rule = '[call_approvals.r]\ntools = ["desk/search"]\napprovers = ["user:bob"]\n'
    wider = found(BASE + rule.replace('"user:bob"', ""), before=BASE + rule)
    assert wider == ["administrators may approve calls by rule `r`"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('["10.0.0.0/8"]', "[]", ["`desk` may be used from everywhere"]),
        (
            '["10.0.0.0/8"]',
            '["10.1.0.0/16", "192.168.0.0/24"]',
            ["`desk` may be used from 192.168.0.0/24"],
        ),
        ('["10.0.0.0/8"]', '["10.0.0.0/7"]', ["`desk` may be used from 10.0.0.0/7"]),
        ('["10.0.0.0/8"]', '["::/0"]', ["`desk` may be used from ::/0"]),
        ('["10.0.0.0/8"]', '["10.9.9.9"]', []),
        ("[]", '["10.0.0.0/8"]', []),
    ],
)
def test_networks_that_are_new_are_named(old: str, new: str, expected: list[str]) -> None:
    def reachable(networks: str) -> str:
        boundary = f"boundary = {{ reachable_from = {networks} }}"
        return BASE.replace("[connectors.desk]", f"[connectors.desk]\n{boundary}", 1)

    assert found(reachable(new), before=reachable(old)) == expected


def test_what_need_not_be_proven_any_more_is_named() -> None:
    strict = BASE.replace(
        'url = "http://127.0.0.1:1/mcp"', 'url = "http://127.0.0.1:1/mcp"\nrequire = "dpop"'
    )
    strict += '[agents.require]\nrobot = "dpop"\n[dpop]\nnonce = true\n'
    assert found(strict) == []
    assert found(BASE, before=strict) == [
        "`desk` does not demand dpop",
        "agent `robot` need not show dpop",
        "proofs need no nonce",
    ]
