"""Rights that reach far are named, with their place; narrow ones are not."""

from __future__ import annotations

import pytest

from bascule.config.load import load
from bascule.decision.breadth import Breadth, breadth
from bascule.decision.policy_files import read_policy_files
from bascule.decision.snapshot import policy_problems

BASE = """
[connectors.desk]
url = "http://127.0.0.1:1/mcp"
[connectors.shop]
url = "http://127.0.0.1:2/mcp"
[toolsets]
"desk:read" = ["desk/search"]
"desk:all" = ["desk/*"]
[roles.clerk]
members = ["user:alice", "agent:job"]
allow = ["desk:read", "shop/list"]
[agents.ceilings]
app = ["desk/*"]
"""


def found(*changes: tuple[str, str], more: str = "", cedar: str = "") -> list[Breadth]:
    text = BASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    config = load(text + more, source="x")
    written, _ = read_policy_files({"p.cedar": cedar}, config)
    return breadth(config, written)


def test_what_is_narrow_is_not_named() -> None:
    assert found() == []


@pytest.mark.parametrize("entries", ['"desk/*", "shop/*"', '"desk:all", "shop/*"'])
def test_a_role_or_ceiling_of_everything_is_named(entries: str) -> None:
    (role, *_) = found(('"desk:read", "shop/list"', entries))
    assert (role.reach, role.where) == ("everything", ("roles", "clerk", "allow"))
    (ceiling, *_) = found(('app = ["desk/*"]', f"app = [{entries}]"))
    assert (ceiling.reach, ceiling.where) == ("everything", ("agents", "ceilings", "app"))


def test_all_of_the_only_connector_is_nothing_special() -> None:
    config = load(
        '[connectors.desk]\nurl = "http://127.0.0.1:1/mcp"\n'
        '[roles.r]\nmembers = ["user:a"]\nallow = ["desk/*"]\n'
        '[agents.ceilings]\napp = ["desk/*"]',
        source="x",
    )
    assert breadth(config, {}) == []


@pytest.mark.parametrize(
    ("default", "reach"),
    [
        ('"desk/*"', "any_agent"),
        ('"desk:all"', "any_agent"),
        ('"desk/*", "shop/*"', "everything"),
    ],
)
def test_what_any_agent_may_be_used_for_is_named(default: str, reach: str) -> None:
    agents = f"[agents]\ndefault_ceiling = [{default}]\n[agents.ceilings]"
    first = found(("[agents.ceilings]", agents))[0]
    assert (first.reach, first.where) == (reach, ("agents", "default_ceiling"))


def test_a_default_ceiling_of_single_tools_is_not() -> None:
    narrow = '[agents]\ndefault_ceiling = ["desk/search"]\n[agents.ceilings]'
    assert found(("[agents.ceilings]", narrow)) == []


def test_an_agent_between_connectors_is_named_where_somebody_has_rights_at_both() -> None:
    both = ('app = ["desk/*"]', 'app = ["desk/*", "shop/list"]')
    (crossing,) = found(both)
    assert crossing.reach == "crossing"
    assert crossing.where == ("agents", "ceilings", "app")
    assert "`desk` and `shop`" in crossing.message
    assert found(both, ('"desk:read", "shop/list"', '"desk:read"')) == []


def test_rights_of_one_user_add_up_over_roles() -> None:
    two = '[roles.buyer]\nmembers = ["user:alice"]\nallow = ["shop/list"]\n'
    both = ('app = ["desk/*"]', 'app = ["desk/*", "shop/*"]')
    only = ('"desk:read", "shop/list"', '"desk:read"')
    assert [it.reach for it in found(both, only, more=two)] == ["everything", "crossing"]
    other = two.replace("user:alice", "user:bob")
    assert [it.reach for it in found(both, only, more=other)] == ["everything"]


def test_an_agent_by_itself_between_connectors_is_named() -> None:
    job = 'app = ["desk/*"]\njob = ["desk/search", "shop/list"]'
    members = ('"user:alice", "agent:job"', '"agent:job"')
    (crossing,) = found(('app = ["desk/*"]', job), members)
    assert crossing.where == ("agents", "ceilings", "job")


def test_a_scope_of_two_connectors_and_a_permit_of_all_are_named() -> None:
    (scope,) = found(more='[scopes]\n"all" = ["desk/search", "shop/list"]\n')
    assert (scope.reach, scope.where) == ("crossing", ("scopes", "all"))
    wide = '@id("wide") permit(principal is Mcp::User, action, resource);'
    assert [it.policy for it in found(cedar=wide)] == ["wide"]
    bounded = '@id("b") permit(principal, action, resource in Mcp::Server::"desk");'
    asks = '@id("a") permit(principal, action, resource) when { context.method == "x" };'
    assert found(cedar=bounded + asks) == []


def test_only_what_is_hardly_meant_is_a_warning_of_the_check() -> None:
    text = BASE.replace('app = ["desk/*"]', 'app = ["desk/*", "shop/*"]')
    (problem,) = policy_problems(load(text, source="x"), {})
    assert problem.severity == "warning"
    assert problem.where == ("agents", "ceilings", "app")
    assert problem.message.startswith("agents.ceilings.app: is no limit")
