"""The gate of a connector, from lock, ledger and configuration."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from bascule.app.approval_news import ApprovalNotices
from bascule.app.approved import gate_of, gates_of
from bascule.app.place import Place
from bascule.clock import UnixTime
from bascule.config.load import load
from bascule.config.model import Config, Server
from bascule.decision.facts import Reason
from bascule.decision.gate import Gate
from bascule.lock.approvals import Verdict
from bascule.lock.declared import access_of, launch_of, sandbox_of
from bascule.lock.ledger import State
from bascule.lock.model import FORMAT, Entry, LockFile, Source, Surface, entry_digest

NOW = UnixTime(1_764_000_000)
DAY = 86_400
CONFIG = """
[connectors.desk]
url = "https://desk.example/mcp"
owner = "support"
[connectors.annex]
url = "https://annex.example/mcp"
mode = "observe"
[toolsets]
"desk:read" = ["desk/get_*"]
"""
SURFACE = Surface(
    "5e" * 32,
    "c0" * 32,
    server=("s",),
    instructions=("i",),
    tools={"get_one": ("1", "2")},
    prompts={"hello": ("3",)},
    resource_templates={"note:{id}": ("4",)},
)
APPROVED = Verdict("approved", "is approved", UnixTime(NOW + DAY))


def config(old: str = "", new: str = "") -> Config:
    text = CONFIG.replace(old, new) if old else CONFIG
    assert not old or text != CONFIG
    return load(text, source="bascule.toml")


def entry() -> Entry:
    made = config()
    return Entry(
        source=Source("http", "https://desk.example/mcp"),
        launch=launch_of(made.connectors["desk"]),
        access=access_of("desk", made, SURFACE.tools),
        sandbox=sandbox_of("desk", made),
        surface=SURFACE,
    )


def gate(verdict: Verdict | None = APPROVED, after: Config | None = None) -> Gate:
    found = gate_of("desk", after or config(), entry(), verdict)
    assert found is not None
    return found


def test_an_approved_entry_gives_its_pins_and_its_end() -> None:
    assert gate() == Gate(
        mode="enforce",
        until=UnixTime(NOW + DAY),
        entry=entry_digest(entry()),
        pins={
            "tools": {"get_one": frozenset({"1", "2"})},
            "prompts": {"hello": frozenset({"3"})},
            "resourceTemplates": {"note:{id}": frozenset({"4"})},
        },
        instructions=frozenset({"i"}),
        server=frozenset({"s"}),
    )


@pytest.mark.parametrize("state", get_args(State))
def test_only_an_approved_entry_is_served(state: State) -> None:
    found = gate(Verdict(state, "says why", UnixTime(NOW + DAY)))
    assert (found.lapsed(NOW) is None) == (state == "approved")
    if state != "approved":
        assert found.problem == "says why"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("missing", Reason.NOT_APPROVED),
        ("too_few", Reason.NOT_APPROVED),
        ("expired", Reason.APPROVAL_EXPIRED),
        ("rejected", Reason.APPROVAL_REJECTED),
        ("revoked", Reason.APPROVAL_REJECTED),
    ],
)
def test_a_verdict_is_told_as_its_reason(state: State, reason: Reason) -> None:
    assert gate(Verdict(state, "")).missing is reason


def test_an_entry_that_nobody_judged_is_not_served() -> None:
    assert gate(None).missing is Reason.NOT_APPROVED


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("desk.example", "other.example", "launch.url"),
        ('owner = "support"', 'owner = "sales"', "access.owner"),
        ('owner = "support"', 'may_ask = ["roots"]', "access.may_ask"),
        ('["desk/get_*"]', '["desk/none"]', "access.toolsets"),
        (
            'owner = "support"',
            'boundary = { may_reach = ["a.example:443"] }',
            "sandbox.may_reach",
        ),
    ],
)
def test_an_approval_does_not_cover_another_configuration(
    old: str, new: str, part: str
) -> None:
    found = gate(after=config(old, new))
    assert found.missing is Reason.LOCK_DRIFTED
    assert part in found.problem


def test_what_holds_malware_is_not_served_whoever_approved_it() -> None:
    lock = LockFile(FORMAT, {"desk": entry()})
    verdicts = {"desk": APPROVED}
    fine, held = (gates_of(config(), lock, verdicts, it)["desk"] for it in ((), {"desk"}))
    assert fine is not None
    assert held is not None
    assert fine.missing is None
    assert held.missing is Reason.KNOWN_MALWARE


def test_each_connector_has_its_gate() -> None:
    gates = gates_of(config(), LockFile(FORMAT, {"gone": entry()}), {"gone": APPROVED})
    assert gates.keys() == {"desk", "annex"}
    assert gates["annex"] is None
    assert gates["desk"] is not None
    assert gates["desk"].missing is Reason.NOT_APPROVED


def test_the_operator_is_warned_once_a_day_before_an_approval_ends(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    notices = ApprovalNotices(Place(tmp_path, Server()))
    ending = replace(gate(), until=UnixTime(NOW + 30 * DAY))
    for hour in range(30 * 24):
        notices.tell({"desk": ending, "annex": None}, UnixTime(NOW + hour * 3600))
    warned = [it for it in caplog.messages if "approval of connector `desk` ends" in it]
    assert len(warned) in {7, 8}  # the first and the last day may be parts of days
