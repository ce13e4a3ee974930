"""What nobody used: by the log, for each member of a role and each grant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import UNSET

from audit_logs import new_log, record
from bascule.app.recertification import Unused, Uses, unused, uses_since
from bascule.audit.record import AgentPart, AuthzPart, McpPart, Record, UserPart, encode
from bascule.clock import UnixTime
from bascule.config.load import load
from bascule.decision.cells import Asked
from bascule.storage.access_grants import AccessGrant

NOW = UnixTime(1_700_000_000)
SINCE = UnixTime(NOW - 30 * 86_400)
CONFIG = load(
    """
[connectors.desk]
url = "http://127.0.0.1:1/mcp"
[roles.clerk]
members = ["user:alice", "group:staff", "agent:job",
           { who = "user:gone", until = 2020-01-01T00:00:00Z }]
allow = ["desk/search", "desk/close"]
""",
    source="x",
)
ALICE = UserPart(sub="alice", groups=())
GRANT = AccessGrant(
    id="g",
    user="user:bob",
    agent="app",
    connector="desk",
    entries=("desk/delete",),
    seconds=30 * 86_400,
    reason="x",
    requested_by="ops",
    requested_at=SINCE,
    expires_at=UnixTime(NOW + 60),
    decision="grant",
    decided_by="ops",
    decided_at=SINCE,
)


def use(
    tool: str, *policies: str, user: UserPart | None = ALICE, decision: str = "allow"
) -> Record:
    return record(
        connector="desk",
        mcp=McpPart(method="tools/call", name=tool),
        agent=AgentPart(client_id="job", verified=True),
        authz=AuthzPart(decision=decision, reason="allowed", policies=policies),
        user=UNSET if user is None else user,
    )


def found(*records: Record, grants: tuple[AccessGrant, ...] = ()) -> dict[str, Unused]:
    uses = Uses(SINCE)
    for seq, it in enumerate(records):
        uses.note(seq, it)
    rows = unused(CONFIG, grants, uses, now=NOW)
    assert len({it.member for it in rows}) == len(rows)
    return {it.member: it for it in rows}


ALL = ("desk/search", "desk/close")


def test_what_nobody_used_is_listed_for_each_member_that_is_one() -> None:
    rows = found()
    assert rows.keys() == {"user:alice", "group:staff", "agent:job"}
    assert all(it.tools == ALL and it.last_used is None for it in rows.values())


def test_an_entry_that_was_used_is_no_longer_listed_for_who_used_it() -> None:
    rows = found(use("search"))
    assert rows["user:alice"].tools == ("desk/close",)
    assert rows["user:alice"].last_used == NOW
    assert rows["group:staff"].tools == ALL
    assert "user:alice" not in found(use("search"), use("close"))


def test_a_group_uses_what_one_of_its_members_uses() -> None:
    carol = UserPart(sub="carol", groups=("staff",))
    assert found(use("search", user=carol))["group:staff"].tools == ("desk/close",)
    of_another = UserPart(sub="carol", iss="https://idp", groups=("staff",))
    assert found(use("search", user=of_another))["group:staff"].tools == ALL


def test_who_may_have_been_in_a_group_is_taken_to_have_been() -> None:
    unknown = UserPart(sub="carol")
    assert found(use("search", user=unknown))["group:staff"].tools == ("desk/close",)


def test_an_agent_by_itself_uses_its_own_right() -> None:
    assert found(use("search", user=None))["agent:job"].tools == ("desk/close",)
    assert found(use("search"))["agent:job"].tools == ALL


def test_what_policies_were_called_then_does_not_matter() -> None:
    """Their ids are another after each edit of a table; what was used is the same."""
    rows = found(use("search", "role:former/desk/*"))
    assert rows["user:alice"].tools == ("desk/close",)


def test_only_a_call_through_a_grant_is_a_use_of_it() -> None:
    bob = UserPart(sub="bob", groups=())
    by_a_role = use("delete", "role:clerk/desk/*", user=bob)
    assert "user:bob" in found(by_a_role, grants=(GRANT,))


def test_a_refusal_is_no_use() -> None:
    assert found(use("search", decision="deny"))["user:alice"].tools == ALL


def test_a_grant_that_was_there_all_the_time_is_listed_until_it_is_used() -> None:
    row = found(grants=(GRANT,))["user:bob"]
    assert (row.grant, row.agent, row.tools) == ("g", "app", ("desk/delete",))
    assert row.until == NOW + 60
    bob = UserPart(sub="bob", groups=())
    used = use("delete", "grant:g/desk/delete", user=bob)
    assert "user:bob" not in found(used, grants=(GRANT,))


@pytest.mark.parametrize(
    "grant",
    [
        replace(GRANT, decided_at=UnixTime(SINCE + 1)),
        replace(GRANT, expires_at=NOW),
        replace(GRANT, ended_at=UnixTime(NOW - 1)),
        replace(GRANT, decision=None, decided_at=None),
    ],
    ids=["younger", "over", "ended", "not decided"],
)
def test_a_grant_that_was_not_is_not(grant: AccessGrant) -> None:
    assert "user:bob" not in found(grants=(grant,))


def test_the_log_is_read_as_far_back_as_asked(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.put(*map(encode, (record(0), use("search"), use("close", decision="deny"))))
    log.step()
    read = uses_since(log.files, NOW)
    assert read.begin == NOW
    assert read.of("user:alice") == [(Asked("desk", "tool", "search"), NOW)]
    assert uses_since(log.files, UnixTime(NOW + 1)).of("user:alice") == []


def test_an_empty_log_says_that_it_is(tmp_path: Path) -> None:
    assert uses_since(new_log(tmp_path).files, NOW).begin is None
