"""What kept probes say of connectors, and what is closed by them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from bascule.app.boundaries import (
    STALE_SECONDS,
    for_nobody,
    standings,
    subject_of,
    with_closed,
)
from bascule.clock import UnixTime
from bascule.config.load import load
from bascule.config.model import Config
from bascule.decision.decide import decide
from bascule.decision.facts import CallFacts, Denied, Principal, Reason
from bascule.decision.gate import Gate
from bascule.decision.snapshot import build_snapshot
from bascule.scan.boundary import Judged, Verdict
from bascule.storage import boundary_verdicts
from bascule.storage.boundary_verdicts import Kept
from bascule.storage.store import Store
from postgres import OpenStore

NOW = UnixTime(1_800_000_000)


def config(rule: str = "close", url: str = "https://desk.example/mcp") -> Config:
    return load(
        f'[boundary]\non_breach = "{rule}"\n[connectors.desk]\nurl = "{url}"\n'
        'mode = "observe"\n[connectors.time]\ncommand = ["time-server"]\n',
        source="bascule.toml",
    )


CONFIG = config()


def kept(
    inward: Verdict,
    place: str = "here",
    *,
    age: int = 0,
    connector: str = "desk",
    of: Config = CONFIG,
) -> Kept:
    document = msgspec.json.encode(Judged(inward=inward, outward="unknown"))
    subject = subject_of(of.connectors[connector])
    at = UnixTime(NOW - age)
    return Kept(connector, place, subject, inward, "unknown", at, at, document)


@pytest.fixture
def store(open_state: OpenStore) -> Iterator[Store]:
    with contextlib.closing(open_state()) as opened:
        yield opened


def inward(*rows: Kept, of: Config = CONFIG) -> str:
    return standings(rows, of, NOW)["desk"].inward


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((), "unknown"),
        (("inside",), "inside"),
        (("inside", "inside"), "inside"),
        (("inside", "unknown"), "unknown"),
        (("inside", "outside"), "outside"),
        (("unknown", "outside"), "outside"),
    ],
)
def test_the_worst_that_any_place_saw_counts(
    verdicts: tuple[Verdict, ...], expected: str
) -> None:
    assert inward(*(kept(it, f"host {n}") for n, it in enumerate(verdicts))) == expected


def test_what_was_seen_long_ago_or_of_another_server_counts_for_nothing() -> None:
    assert inward(kept("inside", age=STALE_SECONDS)) == "inside"
    assert inward(kept("inside", age=STALE_SECONDS + 1)) == "unknown"
    other = config(url="https://other.example/mcp")
    assert inward(kept("outside", of=other)) == "unknown"
    assert standings([kept("inside", of=CONFIG)], other, NOW)["desk"].inward == "unknown"


@pytest.mark.parametrize("mode", [None, "observe", "warn", "enforce"])
def test_a_breach_closes_by_rule_whatever_the_mode(mode: str | None) -> None:
    approved = Gate(mode=mode, entry="e") if mode else None  # type: ignore[arg-type]
    gates = {"desk": approved, "time": None}
    broken = [kept("outside")]
    assert with_closed(gates, broken, config("report"), NOW) == gates
    assert with_closed(gates, [kept("inside")], CONFIG, NOW) == gates
    closed = with_closed(gates, broken, CONFIG, NOW)
    assert closed["time"] is None
    snapshot = build_snapshot(CONFIG, {}, closed)
    who = Principal("user:alice", "app", scopes=frozenset({"mcp:desk"}))
    for method in ("tools/list", "tools/call", "notifications/progress"):
        facts = CallFacts(who, "desk", method, "none", "", NOW)
        assert decide(facts, snapshot) == Denied(Reason.BOUNDARY_BROKEN)
    gate = closed["desk"]
    assert gate is not None
    assert gate.shuts(NOW) is Reason.BOUNDARY_BROKEN


def test_what_is_not_approved_is_said_before_what_is_closed() -> None:
    gate = Gate(mode="enforce", missing=Reason.NOT_APPROVED, closed=True)
    assert gate.shuts(NOW) is Reason.NOT_APPROVED


@pytest.mark.parametrize(
    ("server", "networks", "named"),
    [
        ("", ["10.0.0.0/8"], True),
        ("", ["10.0.0.0/8", "127.0.0.1"], False),
        ("", ["::1"], False),
        ("", ["0.0.0.0/0"], False),
        ("", [], False),
        ('behind_proxy = ["127.0.0.1"]', ["10.0.0.0/8"], False),
        ('listen = "10.0.0.1:8420"', ["10.0.0.0/8"], False),
    ],
)
def test_a_boundary_that_leaves_everybody_out_is_named(
    server: str, networks: list[str], named: bool
) -> None:
    text = (
        f'[server]\n{server}\n[connectors.desk]\nurl = "https://desk.example/mcp"\n'
        f"boundary = {{ reachable_from = {networks} }}\n"
    )
    found = for_nobody(load(text, source="bascule.toml"))
    assert found == (["desk"] if named else [])


def test_what_another_version_kept_counts_without_its_details() -> None:
    """In a fleet that is updated host by host, both read the same rows."""
    newer = replace(kept("outside"), document=b'{"inward":"outside","tried":[{"way":3}]}')
    found = standings([newer], CONFIG, NOW)["desk"]
    assert (found.inward, dict(found.seen)) == ("outside", {})
    assert inward(replace(newer, inward="beside")) == "unknown"
    closed = with_closed({"desk": None, "time": None}, [newer], CONFIG, NOW)["desk"]
    assert closed is not None
    assert closed.closed


def test_rows_are_replaced_and_forgotten(store: Store) -> None:
    for it in (kept("inside"), kept("outside"), kept("inside", "there", age=50)):
        store.run(lambda conn, it=it: boundary_verdicts.put(conn, it))
    found = store.read(boundary_verdicts.every)
    assert [(it.place, it.inward) for it in found] == [
        ("here", "outside"),
        ("there", "inside"),
    ]
    assert found[0] == kept("outside")
    store.run(
        lambda conn: boundary_verdicts.forget(
            conn, connectors=["desk"], before=UnixTime(NOW - 49)
        )
    )
    assert [it.place for it in store.read(boundary_verdicts.every)] == ["here"]
    store.run(
        lambda conn: boundary_verdicts.forget(
            conn, connectors=["desk"], before=UnixTime(0), place="elsewhere"
        )
    )
    assert store.read(boundary_verdicts.every) == []
    store.run(lambda conn: boundary_verdicts.put(conn, kept("outside")))
    store.run(
        lambda conn: boundary_verdicts.forget(conn, connectors=[], before=UnixTime(0))
    )
    assert store.read(boundary_verdicts.every) == []
