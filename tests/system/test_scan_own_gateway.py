"""Bascule itself, judged as any server: nothing is found, and what is not known is said."""

from __future__ import annotations

import pytest

from system.recorder import Recorder
from system.server import Installation
from twins.judging import Seen, look

UNKNOWN_BEHIND_A_TOKEN = {
    "header-mismatch-tolerated",
    "weak-session-ids",
    "whether tokens for other resources are accepted",
}


@pytest.fixture(scope="module")
def judged(bascule: Installation) -> Seen:
    return look(f"{bascule.url}/c/desk/mcp")


def test_the_gateway_has_no_findings_but_that_loopback_needs_no_tls(judged: Seen) -> None:
    assert {rule: it.severity for rule, it in judged.findings.items()} == {
        "cleartext": "info"
    }


def test_of_the_gateway_only_what_lies_behind_a_token_is_unknown(judged: Seen) -> None:
    assert {it.what for it in judged.gaps} == UNKNOWN_BEHIND_A_TOKEN


def test_no_leg_reaches_the_server_behind_it(
    bascule: Installation, upstream: Recorder
) -> None:
    assert look(f"{bascule.url}/c/desk/mcp").sent
    assert upstream.take() == []


def test_an_unknown_connector_looks_the_same(bascule: Installation, judged: Seen) -> None:
    other = look(f"{bascule.url}/c/nobody/mcp")
    assert other.rules == judged.rules
    assert {it.what for it in other.gaps} == {it.what for it in judged.gaps}


def test_no_other_path_of_either_listener_has_findings(bascule: Installation) -> None:
    for port in (bascule.public, bascule.admin):
        seen = look(f"http://127.0.0.1:{port}/")
        assert {it.severity for it in seen.findings.values()} <= {"info"}
