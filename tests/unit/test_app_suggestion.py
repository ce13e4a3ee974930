"""What a suggestion cuts, keeps, and says of those who may notice."""

from __future__ import annotations

import tomllib

from bascule.app.narrowed_config import narrowed_text
from bascule.app.recorded import Recorded
from bascule.app.suggestion import MAX_RESOURCES, Cut, Suggestion, suggest
from bascule.app.usage import Usage
from bascule.clock import UnixTime
from bascule.config.load import load
from bascule.decision.decide_many import METHODS
from bascule.decision.entries import TargetKind
from bascule.decision.facts import CallFacts, Principal
from bascule.decision.snapshot import build_snapshot

NOW = UnixTime(1_764_000_000)
LONG_AGO = UnixTime(NOW - 90 * 86_400)
TEXT = """\
[connectors.desk]
mode = "observe"
url = "https://desk.example/mcp"

[toolsets]
"desk:read" = ["desk/get", "desk/list"]

[roles.clerk]          # those at the desk
members = ["user:alice", "user:bob"]
allow = ["desk:read", "desk/put", "desk/resource:note:*"]

[roles.boss]
members = ["user:bob"]
allow = ["desk/*"]     # everything

[agents]
default_ceiling = ["desk/get"]
ceilings = { app = ["desk/*"] }
"""
POLICIES = '@id("never") permit(principal == Mcp::User::"eve", action, resource);'
CONFIG = load(TEXT, source="bascule.toml")
LIVE = build_snapshot(CONFIG, {"x.cedar": POLICIES})


def call(
    user: str,
    name: str,
    when: UnixTime = NOW,
    agent: str = "app",
    kind: TargetKind = "tool",
) -> Recorded:
    principal = Principal(f"user:{user}", agent, scopes=frozenset({"mcp:desk"}))
    facts = CallFacts(principal, "desk", METHODS[kind], kind, name, when)
    return Recorded(0, facts, "allow", "allowed", (), consented=False, missing="")


def suggested(*calls: Recorded) -> Suggestion:
    usage = Usage()
    for it in calls:
        usage.note(it, LIVE, recent=it.facts.now == NOW)
    return suggest(CONFIG, LIVE, usage)


def cuts(found: Suggestion, table: str) -> dict[str, Cut]:
    return {it.entry: it for it in found.cuts if it.table == table}


def test_entries_are_narrowed_to_what_was_used_by_them() -> None:
    found = suggested(call("alice", "get"), call("alice", "put"), call("alice", "get"))
    assert found.config.roles["clerk"].allow == ("desk/get", "desk/put")
    assert found.config.roles["boss"].allow == ()
    assert found.config.agents.ceilings == {"app": ("desk/get", "desk/put")}
    assert found.config.agents.default_ceiling == ()
    assert set(cuts(found, "roles.clerk")) == {"desk:read", "desk/resource:note:*"}
    assert cuts(found, "roles.boss")["desk/*"].kept == []
    assert found.unused == ["never"]


def test_what_two_roles_give_is_left_to_the_one_that_gives_it_to_fewer() -> None:
    found = suggested(call("bob", "get"))
    assert found.config.roles["boss"].allow == ("desk/get",)
    assert found.config.roles["clerk"].allow == ()
    found = suggested(call("bob", "get"), call("alice", "get"))
    assert found.config.roles["boss"].allow == ()
    assert found.config.roles["clerk"].allow == ("desk/get",)


def test_who_uses_less_than_its_role_keeps_is_named() -> None:
    found = suggested(call("alice", "get"), call("alice", "put"), call("bob", "put"))
    assert [(it.role, it.user, it.entries) for it in found.idle] == [
        ("clerk", "user:bob", ["desk/get"])
    ]


def test_who_used_it_long_ago_is_named() -> None:
    found = suggested(call("alice", "get"), call("alice", "list", LONG_AGO))
    cut = cuts(found, "roles.clerk")["desk:read"]
    assert (cut.kept, cut.missed_by, cut.last_used) == (
        ["desk/get"],
        ["user:alice"],
        LONG_AGO,
    )
    assert cut.held_by == ["user:alice", "user:bob"]
    assert cuts(found, "agents.ceilings.app")["desk/*"].missed_by == ["app"]
    assert cuts(found, "roles.clerk")["desk/put"].last_used is None


def test_an_entry_by_which_very_much_was_read_stays() -> None:
    few = [call("alice", f"note:{n}", kind="resource") for n in range(MAX_RESOURCES)]
    found = suggested(*few)
    assert len(found.config.roles["clerk"].allow) == MAX_RESOURCES
    found = suggested(*few, call("alice", "note:more", kind="resource"))
    assert found.config.roles["clerk"].allow == ("desk/resource:note:*",)


def test_a_name_with_a_star_in_it_is_not_made_an_entry() -> None:
    found = suggested(call("bob", "odd*"))
    assert found.config.roles["boss"].allow == ("desk/*",)


def test_what_is_not_allowed_any_more_counts_for_nothing() -> None:
    found = suggested(call("eve2", "get"), call("alice", "get"))
    assert found.config.roles["clerk"].allow == ("desk/get",)


def test_comments_stay_in_the_text() -> None:
    found = suggested(call("alice", "get"))
    text = narrowed_text(f'{TEXT}\n[shadow]\nconfig = "x"\n', found.config)
    assert "# those at the desk" in text
    assert load(text, source="x") == found.config
    assert "shadow" not in tomllib.loads(text)
    assert narrowed_text(TEXT, CONFIG) == TEXT


def test_a_tool_whose_entry_would_mean_a_prompt_keeps_what_covers_it() -> None:
    found = suggested(call("bob", "prompt:x"))
    assert found.config.roles["boss"].allow == ("desk/*",)
    found = suggested(call("bob", "x", kind="prompt"))
    assert found.config.roles["boss"].allow == ("desk/prompt:x",)
