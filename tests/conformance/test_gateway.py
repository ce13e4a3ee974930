"""The official suite through the gateway: default deny, and rights to names alone."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conformance.gateway import at_port, endpoint, guarding
from conformance.rig import fixture_server
from conformance.rights import PROMPTS, RESOURCES, TOOLS
from conformance.suite import FROZEN, REVISIONS, Report, exceptions, required, run
from patience import until
from system.server import Installation

NARROW = tomllib.loads((Path(__file__).parent / "narrow.toml").read_text())
VACUOUS = {
    "input-required-result-unsupported-methods",
    "input-required-result-validate-input",
}
"""Scenarios that pass with a server that refuses everything."""
RECEIPTS = 5
LISTEN: dict[str, Any] = {"method": "subscriptions/listen"}
"""What a GET of 2025-11-25 is recorded as."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A fixture server behind the gateway."""

    own: Installation
    journal: Path
    """What reached the fixture server."""


@dataclass(frozen=True, slots=True)
class Passed:
    """One run of the suite through the gateway, and what is left of it."""

    revision: str
    token: str
    report: Report
    forwarded: list[dict[str, Any]]
    """Messages of requests that reached the fixture server, the gateway's own left out."""
    records: list[dict[str, Any]]
    guarded: Guarded


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    journal = folder / "journal"
    with fixture_server(journal=journal) as port, guarding(folder, at_port(port)) as own:
        yield Guarded(own, journal)


@pytest.fixture(scope="module", params=REVISIONS)
def passed(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Passed]:
    folder = tmp_path_factory.mktemp("passed")
    results = tmp_path_factory.mktemp("results")
    journal = folder / "journal"
    with fixture_server(journal=journal) as port, guarding(folder, at_port(port)) as own:
        token = own.token("alice", "desk", "--agent", "suite")
        report = run(endpoint(own), request.param, results, token=token)
        records = whole_log(own, journal)
        guarded = Guarded(own, journal)
        yield Passed(
            revision=request.param,
            token=token,
            report=report,
            forwarded=forwarded(journal),
            records=records,
            guarded=guarded,
        )


def whole_log(own: Installation, journal: Path) -> list[dict[str, Any]]:
    """Give all records, once each call stands in the log with its end."""

    def all_ended() -> bool:
        rows = own.whole_records()
        decided = {row["id"] for row in allowed(rows)}
        ended = {row["parent"] for row in rows if "parent" in row}
        return len(forwarded(journal)) <= len(decided) and decided <= ended

    until(all_ended)
    return own.whole_records()


def allowed(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the decided records of what was let through."""
    return [it for it in records if it.get("type") in {"call.start", "list"}]


def forwarded(journal: Path) -> list[dict[str, Any]]:
    """Read what reached the fixture server, the gateway's own questions left out."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    return [
        LISTEN if line["verb"] == "GET" else line["message"]
        for line in lines
        if (line["verb"] == "GET" or {"id", "method"} <= line["message"].keys())
        and not line["headers"].get("user-agent", "").startswith("bascule-probe/")
    ]


def test_what_a_revision_requires_passes_and_only_known_exceptions_fail(
    passed: Passed,
) -> None:
    needed = required(passed.revision)
    assert passed.report.failing == set(exceptions(passed.revision))
    assert len(needed) == len(needed & passed.report.passing) == REVISIONS[passed.revision]


def test_no_single_check_is_lost_on_the_way(
    passed: Passed, alone: Callable[[str], Report]
) -> None:
    """Through the gateway the same checks run, with the same result, as without it."""
    without = alone(passed.revision)
    for name in required(passed.revision):
        assert passed.report.checks[name] == without.checks[name]


def test_each_forwarded_request_has_one_decided_and_one_completed_record(
    passed: Passed,
) -> None:
    decided = {it["id"]: it for it in allowed(passed.records)}
    completed = Counter(it["parent"] for it in passed.records if "parent" in it)
    assert completed == Counter(decided.keys())
    refused = {
        it["parent"]
        for it in passed.records
        if it.get("result", {}).get("outcome") == "refused"
    }
    sent = Counter(
        (it["mcp"]["method"], it["mcp"].get("name"))
        for key, it in decided.items()
        if key not in refused
    )
    assert sent == Counter((it["method"], name_of(it)) for it in passed.forwarded)
    assert sum(sent.values()) >= REVISIONS[passed.revision]
    assert passed.revision in {it["mcp"]["proto"] for it in decided.values()}


def test_the_token_went_nowhere(passed: Passed) -> None:
    """Neither to the fixture server nor into the log or the server's messages."""
    assert passed.token.rpartition(".")[2] not in passed.guarded.journal.read_text()
    assert "authorization" not in passed.guarded.journal.read_text().lower()
    assert passed.token.rpartition(".")[2] not in json.dumps(passed.records)
    assert passed.token.rpartition(".")[2] not in passed.guarded.own.log


def name_of(message: dict[str, Any]) -> str | None:
    """Give what a request is about, as its record says it."""
    params = message.get("params", {})
    ref = params.get("ref", {})
    match message["method"]:
        case "tools/call" | "prompts/get":
            return params["name"]
        case "completion/complete":
            return ref.get("name") or ref.get("uri")
        case "resources/read" | "resources/subscribe" | "resources/unsubscribe":
            return params["uri"]
    return None


def test_afterwards_the_log_verifies_and_receipts_check(
    passed: Passed, tmp_path: Path
) -> None:
    own = passed.guarded.own
    until(lambda: own.ask("audit", "verify")["pending"] == 0)
    verified = own.ask("audit", "verify")
    assert (verified["ok"], verified["problems"]) == (True, [])
    vkey = (own.data / "audit" / "log.vkey").read_text().strip()
    for seq in range(0, len(passed.records), len(passed.records) // RECEIPTS or 1):
        receipt = tmp_path / f"{seq}.tlog-proof"
        receipt.write_bytes(own.cli("audit", "prove", str(seq)).stdout_bytes)
        checked = own.cli("audit", "check", str(receipt), "--vkey", vkey, "--json")
        assert checked.exit_code == 0
        assert json.loads(checked.stdout)["id"] == passed.records[seq]["id"]


@pytest.mark.parametrize("revision", sorted(FROZEN))
@pytest.mark.parametrize("narrow", NARROW)
def test_narrow_rights_fail_exactly_what_they_leave_out(
    narrow: str, revision: str, guarded: Guarded, tmp_path: Path
) -> None:
    own, what = guarded.own, NARROW[narrow]
    token = own.token("alice", "desk", *what["options"])
    guarded.journal.write_text("")
    report = run(endpoint(own), revision, tmp_path, token=token)
    assert required(revision) & report.failing == set(what[revision])
    names = {name_of(it) for it in forwarded(guarded.journal)}
    assert names <= {None, *what["names"]}


@pytest.mark.parametrize("revision", sorted(FROZEN))
def test_without_a_token_nothing_at_all_reaches_the_server(
    revision: str, guarded: Guarded, tmp_path: Path
) -> None:
    guarded.journal.write_text("")
    report = run(endpoint(guarded.own), revision, tmp_path)
    assert guarded.journal.read_text() == ""
    assert required(revision) & report.passing <= VACUOUS


def test_rights_name_all_that_the_fixture_server_offers(guarded: Guarded) -> None:
    """Else a new tool would be denied, and a scenario fail for want of a right."""
    own = guarded.own
    token = own.token("alice", "desk", "--agent", "suite")
    shown = {
        kind: {
            it.get("name") if kind in {"tools", "prompts"} else it.get("uri")
            for it in own.call(token, f"{kind}/list").json["result"][kind]
        }
        for kind in ("tools", "prompts", "resources")
    }
    assert shown["tools"] == set(TOOLS)
    assert shown["prompts"] == set(PROMPTS)
    assert shown["resources"] == {uri for uri in RESOURCES if "template" not in uri}
