"""Other rights beside those in force: counted, recorded, simulated, never followed."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from patience import until
from system.recorder import Recorder
from system.server import FORBIDDEN, Installation, install

POLICIES = """\
@id("small")
forbid (principal is Mcp::User, action == Mcp::Action::"call_tool",
        resource == Mcp::Tool::"desk/echo")
when { context.args has text && context.args.text like "secret*" };
"""
CANDIDATE = """\
[connectors.desk]
url = "https://elsewhere.example/mcp"

[roles.clerk]
members = ["user:alice"]
allow = ["desk/*"]

[agents]
default_ceiling = ["desk/*"]
"""


@pytest.fixture(scope="module")
def own(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[Installation]:
    made = install(tmp_path_factory.mktemp("shadow"), recorder)
    candidate = made.config.parent / "candidate"
    (candidate / "policies").mkdir(parents=True)
    (candidate / "bascule.toml").write_text(CANDIDATE)
    (candidate / "policies" / "p.cedar").write_text(POLICIES)
    text = made.config.read_text()
    text = text.replace("[connectors.desk]", "[connectors.desk]\nrecord_values = true", 1)
    made.config.write_text(f'{text}\n[shadow]\nconfig = "candidate"\n')
    made.start("--workers", "2")
    try:
        yield made
    finally:
        made.kill()


@pytest.fixture(scope="module")
def called(own: Installation) -> list[dict[str, Any]]:
    """Make calls that both decide alike, and calls that they do not; give the records."""
    alice, bob = own.token(), own.token("bob")
    assert own.tool(alice, "echo", text="hello").status == 200
    assert own.tool(alice, "echo", text="secret plan").status == 200
    assert own.tool(bob, "echo", text="hello").status == 200
    assert own.tool(alice, FORBIDDEN).status == 400
    own.wait_for_records("--type", "call.end", count=3)
    return [
        it for it in own.whole_records() if it["type"] in {"call.start", "authz.decision"}
    ]


def test_only_what_comes_out_otherwise_is_in_the_record(
    called: list[dict[str, Any]],
) -> None:
    shadows = [it["authz"].get("shadow") for it in called]
    assert [it and (it["decision"], it["reason"]) for it in shadows] == [
        None,
        ("deny", "policy_forbids"),
        ("deny", "no_user_right"),
        ("allow", "allowed"),
    ]
    assert shadows[1]["policies"] == ["small"]
    assert all(it["user"]["groups"] == [] for it in called)
    assert len({it["policy_digest"] for it in shadows if it}) == 1


def test_the_differences_are_counted_and_name_nobody(
    own: Installation, called: list[dict[str, Any]]
) -> None:
    url = f"http://127.0.0.1:{own.admin}/metrics"

    def counted() -> bool:
        with urllib.request.urlopen(url) as answer:
            text = answer.read().decode()
        wanted = (
            'bascule_shadow_decisions_total{decision="allow",shadow="allow"} 1.0',
            'bascule_shadow_decisions_total{decision="allow",shadow="deny"} 2.0',
            'bascule_shadow_decisions_total{decision="deny",shadow="allow"} 1.0',
        )
        return all(it in text for it in wanted)

    until(counted)


def simulated(own: Installation, candidate: Path) -> tuple[int, dict[str, Any]]:
    result = own.cli("policy", "simulate", str(candidate), "--since", "1d", "--json")
    found: dict[str, Any] = json.loads(result.stdout)
    shape = json.loads(own.cli("schema", "policy-simulate").stdout)
    Draft202012Validator(shape).validate(found)
    return result.exit_code, found


def test_a_simulation_comes_to_what_the_shadow_said(
    own: Installation, called: list[dict[str, Any]]
) -> None:
    code, found = simulated(own, own.config.parent / "candidate")
    assert (code, found["calls"], found["same"], found["undecided"]) == (1, 4, 1, {})
    assert {
        (it["user"], it["name"], it["recorded"], it["candidate"], it["candidate_reason"])
        for it in found["differences"]
    } == {
        ("user:alice", "echo", "allow", "deny", "policy_forbids"),
        ("user:bob", "echo", "allow", "deny", "no_user_right"),
        ("user:alice", FORBIDDEN, "deny", "allow", "allowed"),
    }
    assert all(it["now"] == it["recorded"] for it in found["differences"])
    text = own.cli("policy", "simulate", str(own.config.parent / "candidate")).stdout
    assert text.startswith("4 calls in 7d: 1 are decided alike, 3 otherwise\n")


def test_the_rights_in_force_simulate_to_what_was_decided(
    own: Installation, called: list[dict[str, Any]]
) -> None:
    code, found = simulated(own, own.config)
    assert (code, found["calls"], found["same"], found["differences"]) == (0, 4, 4, [])


def test_what_is_suggested_is_what_was_used_and_nothing_more(
    own: Installation, called: list[dict[str, Any]]
) -> None:
    folder = own.config.parent / "suggested"
    result = own.cli(
        "policy", "suggest", "--since", "1d", "--output", str(folder), "--json"
    )
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    shape = json.loads(own.cli("schema", "policy-suggest").stdout)
    Draft202012Validator(shape).validate(found)
    assert found["roles"] == {"clerk": ["desk/echo"]}
    assert found["default_ceiling"] == []  # the built-in agent has a ceiling of its own
    code, simulation = simulated(own, folder)
    assert (code, simulation["differences"]) == (0, [])
    compared = own.cli("policy", "diff", str(own.config), str(folder), "--json")
    counts = json.loads(compared.stdout)["counts"]
    assert counts.pop("denied") > 0
    assert not any(counts.values())
    again = own.cli("policy", "suggest", "--output", str(folder))
    assert again.exit_code == 3
    assert "name a folder that does not exist" in again.stderr


def reload(own: Installation) -> dict[str, Any]:
    """Have the configuration read anew; give the record of it."""
    reloads = len(own.records("--type", "policy.reload"))
    assert own.process is not None
    own.process.send_signal(signal.SIGHUP)
    own.wait_for_records("--type", "policy.reload", count=reloads + 1)
    found = [it for it in own.whole_records() if it["type"] == "policy.reload"]
    until(lambda: own.log.count("configuration reloaded") == len(found))
    admin: dict[str, Any] = found[-1]["admin"]
    return admin


def test_what_cannot_be_tried_out_stops_nothing(
    own: Installation, called: list[dict[str, Any]]
) -> None:
    broken = own.config.parent / "candidate" / "policies" / "p.cedar"
    good = broken.read_text()
    try:
        broken.write_text("permit(")
        assert "shadow" not in reload(own)
        assert "shadow: nothing is tried out" in own.log
        assert own.call(own.token(), "tools/list").status == 200
        broken.unlink()
        os.mkfifo(broken)  # nobody ever writes into it
        assert "shadow" not in reload(own)
        broken.unlink()
    finally:
        broken.write_text(good)


def test_after_a_reload_a_record_says_whose_rights_changed(
    own: Installation, called: list[dict[str, Any]]
) -> None:
    text = own.config.read_text()
    assert len(reload(own)["shadow"]) == 64
    both = 'members = ["user:alice", "user:bob"]'
    try:
        own.config.write_text(text.replace(both, 'members = ["user:alice"]'))
        digest = reload(own)["after"]
        own.wait_for_records("--type", "policy.rights")
        (found,) = [it for it in own.whole_records() if it["type"] == "policy.rights"]
        assert found["admin"].keys() == {"before", "after", "denied"}
        assert found["admin"]["after"] == digest
        assert ": user:bob through bascule-cli, " in found["admin"]["denied"]
    finally:
        own.config.write_text(text)
        reload(own)
    own.wait_for_records("--type", "policy.rights", count=2)
