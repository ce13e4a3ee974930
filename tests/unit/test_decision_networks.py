"""From where a connector may be used: addresses in all their spellings."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.load import ConfigError, load
from bascule.decision.decide import OPEN_METHODS, decide
from bascule.decision.facts import Allowed, CallFacts, Denied, Principal, Reason
from bascule.decision.networks import Networks
from bascule.decision.snapshot import Snapshot, build_snapshot

CONFIG = """
[connectors.desk]
url = "https://desk.example/mcp"
mode = "{mode}"
boundary = {{ reachable_from = {networks} }}
[connectors.open]
url = "https://open.example/mcp"
mode = "observe"
[roles.clerk]
members = ["user:alice"]
allow = ["desk/*", "open/*"]
[agents]
default_ceiling = ["desk/*", "open/*"]
"""
ALICE = Principal("user:alice", "app", scopes=frozenset({"mcp:desk", "mcp:open"}))
CALL = CallFacts(ALICE, "desk", "tools/call", "tool", "echo", UnixTime(0))


def snapshot(*networks: str, mode: str = "observe") -> Snapshot:
    text = CONFIG.format(networks=list(networks), mode=mode)
    return build_snapshot(load(text, source="bascule.toml"), {})


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.20.0.0", True),
        ("10.20.255.255", True),
        ("10.21.0.0", False),
        ("::ffff:10.20.3.4", True),
        ("::ffff:a14:304", True),
        ("::10.20.3.4", False),  # IPv4-compatible (deprecated): another host altogether
        ("2002:a14:304::1", False),  # 6to4: whoever wrote that need not be that host
        ("64:ff9b::a14:304", False),
        ("2001:db8::1", True),
        ("2001:db8:0:1::1", False),
        ("fe80::1%eth0", True),
        ("fe80::1%10.20.0.1", True),
        ("2001:db9::%2001:db8::1", False),
        ("127.0.0.1", False),
        ("::1", False),
        ("010.020.0.1", False),
        ("10.20.1", False),
        ("169082880", False),
        ("10.20.0.1 ", False),
        ("10.20.0.1/32", False),
        ("10.20.0.1:80", False),
        ("[2001:db8::1]", False),
        ("local", False),
        ("localhost", False),
        ("", False),
        ("\0", False),
    ],
)
def test_which_addresses_are_inside(address: str, inside: bool) -> None:
    networks = Networks(["10.20.0.0/16", "2001:db8::/64", "fe80::/10"])
    assert networks.holds(address) is inside
    assert networks.holds(address) is inside  # remembered


def test_all_of_one_version_is_nothing_of_the_other() -> None:
    assert Networks(["0.0.0.0/0"]).holds("::ffff:1.2.3.4")
    assert not Networks(["0.0.0.0/0"]).holds("2001:db8::1")
    assert not Networks(["::/0"]).holds("::ffff:1.2.3.4")


def test_from_outside_nothing_is_there_for_any_method() -> None:
    held = snapshot("10.20.0.0/16")
    outside = replace(CALL, address="10.21.0.1")
    assert decide(outside, held) == Denied(Reason.OUTSIDE_BOUNDARY)
    for method in (*OPEN_METHODS, "notifications/initialized", "no/such"):
        asked = replace(outside, method=method, kind="none", name="")
        assert decide(asked, held) == Denied(Reason.OUTSIDE_BOUNDARY)
    assert isinstance(decide(replace(CALL, address="10.20.0.1"), held), Allowed)


def test_what_is_not_approved_is_not_there_from_outside_either() -> None:
    held = snapshot("10.20.0.0/16", mode="enforce")
    assert decide(CALL, held) == Denied(Reason.NOT_APPROVED)
    outside = decide(replace(CALL, address="192.0.2.1"), held)
    assert outside == Denied(Reason.OUTSIDE_BOUNDARY)


def test_no_network_named_is_no_boundary_and_others_keep_out_of_it() -> None:
    assert isinstance(decide(replace(CALL, address="192.0.2.1"), snapshot()), Allowed)
    elsewhere = replace(CALL, connector="open", address="192.0.2.1")
    assert isinstance(decide(elsewhere, snapshot("10.20.0.0/16")), Allowed)


def test_an_address_that_is_not_known_is_not_held_against_anybody() -> None:
    """`bascule policy who-can` asks what somebody may do, from nowhere."""
    held = snapshot("10.20.0.0/16")
    assert isinstance(decide(CALL, held), Allowed)
    assert decide(replace(CALL, address=""), held) == Denied(Reason.OUTSIDE_BOUNDARY)


def test_what_was_decided_inside_is_not_remembered_for_outside() -> None:
    held = snapshot("10.20.0.0/16")
    for address, reason in [("10.20.0.1", Reason.ALLOWED), ("10.0.0.1", None)] * 2:
        decision = decide(replace(CALL, address=address), held)
        assert decision.reason is (reason or Reason.OUTSIDE_BOUNDARY)


def test_other_networks_are_other_decisions() -> None:
    digests = {snapshot(*it).digest for it in ((), ("10.0.0.0/8",), ("10.0.0.0/9",))}
    assert len(digests) == 3


@pytest.mark.parametrize("address", ["office.example:8423", "10.0.0.1", "[::1]"])
def test_a_vantage_point_is_named_by_its_address(address: str) -> None:
    text = f'[boundary.vantages.office]\naddress = "{address}"\nfingerprint = "{"0" * 64}"'
    with pytest.raises(ConfigError, match="with an IP address"):
        load(text, source="bascule.toml")
    load(text.replace(address, "[2001:db8::7]:8423"), source="bascule.toml")


@pytest.mark.parametrize("network", ["::ffff:10.0.0.0/104", "fe80::%eth0/64"])
def test_a_network_that_no_client_can_be_in_is_refused(network: str) -> None:
    with pytest.raises(ConfigError, match="holds no client"):
        snapshot(network)
    snapshot("::/0")
