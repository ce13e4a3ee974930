"""Lists that upstreams give: read once while the same, filtered for each caller."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from bascule.clock import UnixTime, system_entropy
from bascule.config.load import load
from bascule.config.model import Role
from bascule.decision.facts import Principal
from bascule.decision.snapshot import Snapshot, build_snapshot
from bascule.gateway.handles import KEY_BYTES, Sealer
from bascule.gateway.lists import MAX_BYTES, SeenLists
from bascule.gateway.results import BadResultError, Passage, Passed, pass_result

CONFIG = load(
    """
[connectors.desk]
url = "http://127.0.0.1:1/mcp"

[roles.some]
members = ["user:ann", "user:bob"]
allow = ["desk/add"]

[roles.more]
members = ["user:bob"]
allow = ["desk/drop"]

[agents]
default_ceiling = ["desk/*"]
""",
    source="bascule.toml",
)
LIST = {
    "resultType": "complete",
    "tools": [{"name": "add", "x": 1}, {"name": "drop"}, {"name": "other"}],
    "nextCursor": "page 2",
}


def result(**fields: object) -> Raw:
    return Raw(msgspec.json.encode({**LIST, **fields}))


def tools(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


@pytest.fixture
def snapshot() -> Snapshot:
    return build_snapshot(CONFIG, {})


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(bytes(KEY_BYTES), system_entropy)


async def _steps(passing: Coroutine[Any, None, Passed]) -> Passed:
    """Let a result pass that comes in several batches, and lets others run between."""
    while True:
        try:
            passing.send(None)
        except StopIteration as end:
            found: Passed = end.value
            return found
        await asyncio.sleep(0)


class Upstream:
    """What one upstream's results go through."""

    def __init__(self, snapshot: Snapshot, sealer: Sealer) -> None:
        self.lists = SeenLists()
        self.snapshot = snapshot
        self.sealer = sealer

    def passed(
        self, user: str, result: Raw, method: str = "tools/list"
    ) -> dict[str, object]:
        """Give what a user sees of a result."""
        passage = Passage(
            method=method,
            principal=Principal(f"user:{user}", "app", scopes=frozenset({"mcp:desk"})),
            connector_name="desk",
            connector=CONFIG.connectors["desk"],
            snapshot=self.snapshot,
            sealer=self.sealer,
            binding=(user,),
            now=UnixTime(1_800_000_000),
            max_event_bytes=1 << 20,
            lists=self.lists,
        )
        found = asyncio.run(_steps(pass_result(result, passage))).result
        return msgspec.json.decode(found, type=dict[str, object])

    def names(self, user: str, result: Raw) -> list[str]:
        """Give what a user sees in a list of tools."""
        seen = self.passed(user, result)["tools"]
        return [it.name for it in msgspec.convert(seen, list[_Named])]


class _Named(msgspec.Struct):
    name: str


@pytest.fixture
def upstream(snapshot: Snapshot, sealer: Sealer) -> Iterator[Upstream]:
    return Upstream(snapshot, sealer)


def test_the_same_bytes_are_read_once() -> None:
    lists = SeenLists()
    first = lists.read("tools/list", result())
    assert lists.read("tools/list", result()) is first
    assert first.names == ["add", "drop", "other"]
    assert bytes(first.items[0]) == b'{"name":"add","x":1}'


def test_what_differs_in_one_byte_is_read_anew() -> None:
    lists, whole = SeenLists(), bytes(result())
    first = lists.read("tools/list", Raw(whole))
    read = 0
    for place in range(len(whole)):
        changed = whole[:place] + bytes((whole[place] ^ 1,)) + whole[place + 1 :]
        try:
            found = lists.read("tools/list", Raw(changed))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        read += 1
        assert found is not first
        assert all(bytes(item) in changed for item in found.items)
    assert read > 20
    assert lists.read("tools/list", Raw(whole)).names == first.names


def test_the_same_bytes_of_another_method_are_read_as_its_list() -> None:
    lists = SeenLists()
    both = result(prompts=tools("ask"))
    assert lists.read("tools/list", both).names == ["add", "drop", "other"]
    assert lists.read("prompts/list", both).names == ["ask"]
    assert lists.read("resources/list", both).names == []


def test_a_list_is_kept_without_the_answer_around_it() -> None:
    lists = SeenLists()
    answer = bytearray(b'{"result":%b}' % bytes(result()))
    inner = msgspec.json.decode(answer, type=dict[str, Raw])["result"]
    first = lists.read("tools/list", inner)
    assert lists.read("tools/list", result()) is first


def test_a_long_list_is_not_kept() -> None:
    lists = SeenLists()
    long = result(_meta={"x": "y" * MAX_BYTES})
    assert lists.read("tools/list", long) is not lists.read("tools/list", long)


WRONG = [b"[]", b'{"tools":{}}', b'{"tools":[1]}', b'{"tools":[{}]}']


@pytest.mark.parametrize("bad", WRONG)
def test_what_is_no_list_is_refused_each_time(upstream: Upstream, bad: bytes) -> None:
    for _ in range(2):
        with pytest.raises(BadResultError):
            upstream.passed("ann", Raw(bad))
    assert upstream.names("ann", result()) == ["add"]


def test_each_caller_sees_their_own_of_one_list(upstream: Upstream) -> None:
    for _ in range(3):
        assert upstream.names("ann", result()) == ["add"]
        assert upstream.names("bob", result()) == ["add", "drop"]
        assert upstream.names("eve", result()) == []


def test_a_list_that_was_seen_follows_the_policies_of_now(upstream: Upstream) -> None:
    assert upstream.names("bob", result()) == ["add", "drop"]
    roles = {name: it for name, it in CONFIG.roles.items() if name != "more"}
    upstream.snapshot = build_snapshot(msgspec.structs.replace(CONFIG, roles=roles), {})
    assert upstream.names("bob", result()) == ["add"]


def test_cursors_are_sealed_for_each_caller_anew(upstream: Upstream) -> None:
    seen = [upstream.passed(user, result())["nextCursor"] for user in ("ann", "bob", "ann")]
    assert len({"page 2", *map(str, seen)}) == 4
    for user, cursor in zip(("ann", "bob", "ann"), seen, strict=True):
        now = UnixTime(1_800_000_000)
        opened = upstream.sealer.open(str(cursor), bound_to=(user,), now=now)
        assert opened == "page 2"


def test_what_a_caller_got_changes_nothing_for_the_next(upstream: Upstream) -> None:
    before = upstream.passed("bob", result(nextCursor="x", ttlMs=9, cacheScope="public"))
    upstream.passed("ann", result(nextCursor="x", ttlMs=9, cacheScope="public"))
    after = upstream.passed("bob", result(nextCursor="x", ttlMs=9, cacheScope="public"))
    assert {**before, "nextCursor": ""} == {**after, "nextCursor": ""}
    assert after["cacheScope"] == "private"


ARGUMENTS = """
@id("no-zero") forbid(principal, action, resource) when { context.args.n == 0 };
@id("never") forbid(principal is Mcp::User, action, resource == Mcp::Tool::"desk/drop")
when { context.args.n > 3 || context.args.n <= 3 };
@id("unclear") forbid(principal is Mcp::User, action, resource == Mcp::Tool::"desk/other")
when { ip(context.args.a).isLoopback() || !ip(context.args.a).isLoopback() };
"""


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        (None, {}),
        ({}, {}),
        ({"x": [1, {"y": None}]}, {"x": [1, {"y": None}]}),
        ({"bascule/access": "always", "x": 1}, {"x": 1}),
        (7, {}),
    ],
)
def test_what_depends_on_arguments_is_marked(
    sealer: Sealer, meta: object, expected: dict[str, object]
) -> None:
    roles = {**CONFIG.roles, "some": Role(members=("user:ann",), allow=("desk/*",))}
    config = msgspec.structs.replace(CONFIG, roles=roles)
    upstream = Upstream(build_snapshot(config, {"a.cedar": ARGUMENTS}), sealer)
    extra = {} if meta is None else {"_meta": meta}
    listed = [{"name": it, **extra} for it in ("add", "drop", "other")]
    seen = upstream.passed("ann", result(tools=listed))["tools"]
    assert seen == [
        {"name": "add", "_meta": {**expected, "bascule/access": "maybe"}},
        {"name": "other", "_meta": {**expected, "bascule/access": "unproved"}},
    ]


@pytest.mark.parametrize(
    "key", ["bascule/access", "bascule\\/access", "b\\u0061scule/access"]
)
def test_an_upstream_cannot_mark_its_own_tools(upstream: Upstream, key: str) -> None:
    item = f'{{"name": "add", "_meta": {{"{key}": "maybe", "k": 1.50}}}}'
    seen = upstream.passed("ann", Raw(b'{"tools": [%b]}' % item.encode()))["tools"]
    assert seen == [{"name": "add", "_meta": {"k": 1.5}}]
