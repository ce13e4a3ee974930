"""From which of a machine's networks a server answers without Bascule.

In a network namespace with two interfaces, which is made for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from system.boundary_ways import CARD, CASES, OTHER
from system.test_net_namespace import namespace, run

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """Give what came of each server."""
    with namespace() as name:
        for number, address in enumerate((CARD, OTHER)):
            card, cable = f"card{number}", f"cable{number}"
            pair = ["type", "veth", "peer", "name", cable]
            run("ip", "-n", name, "link", "add", card, *pair)
            run("ip", "-n", name, "address", "add", f"{address}/24", "dev", card)
            for end in (card, cable):
                run("ip", "-n", name, "link", "set", end, "up")
        done = subprocess.run(
            ["ip", "netns", "exec", name, sys.executable, "-m", "system.boundary_ways"],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    result: dict[str, dict[str, Any]] = json.loads(done.stdout)
    assert result.keys() == {*CASES, "nobody", "from elsewhere", "by a stranger", "asked"}
    return result


def answered(judged: dict[str, Any]) -> set[str]:
    return {
        it["address"].rpartition(":")[0]
        for it in judged["tried"]
        if it["state"] in {"open", "garbage_accepted"}
    }


@pytest.mark.parametrize("case", ["everywhere", "everywhere, older", "everywhere, sse"])
def test_who_answers_on_every_interface_is_outside_from_all_of_them(
    found: dict[str, dict[str, Any]], case: str
) -> None:
    judged = found[case]
    assert judged["inward"] == "outside"
    assert answered(judged) == {"127.0.0.1", CARD, OTHER}
    (finding,) = judged["findings"]
    assert (finding["rule"], finding["severity"]) == ("boundary-bypass", "critical")
    assert "card0, 10.77.0.0/24" in finding["evidence"]


def test_who_answers_on_loopback_alone_is_outside_for_programs_of_the_machine(
    found: dict[str, dict[str, Any]],
) -> None:
    judged = found["loopback"]
    assert (judged["inward"], answered(judged)) == ("outside", {"127.0.0.1"})
    assert judged["findings"][0]["severity"] == "high"


def test_who_answers_on_one_interface_is_named_with_it(
    found: dict[str, dict[str, Any]],
) -> None:
    judged = found["one card"]
    assert (judged["inward"], answered(judged)) == ("outside", {CARD})
    assert judged["findings"][0]["severity"] == "critical"


@pytest.mark.parametrize("case", ["token", "token, older", "says who it is"])
def test_who_demands_a_token_everywhere_is_inside(
    found: dict[str, dict[str, Any]], case: str
) -> None:
    judged = found[case]
    assert judged["inward"] == "inside"
    assert judged["findings"] == []


def test_who_takes_any_token_is_outside(found: dict[str, dict[str, Any]]) -> None:
    judged = found["any token"]
    assert judged["inward"] == "outside"
    assert "takes any token" in judged["findings"][0]["evidence"]


def test_nobody_there_is_unknown(found: dict[str, dict[str, Any]]) -> None:
    judged = found["nobody"]
    assert (judged["inward"], judged["findings"]) == ("unknown", [])
    assert judged["not_assessed"]


def test_a_vantage_point_lends_its_view(found: dict[str, dict[str, Any]]) -> None:
    judged = found["from elsewhere"]
    assert judged["inward"] == "outside"
    by_way = {it["way"]: it["state"] for it in judged["tried"]}
    assert by_way["vantage point `north`"] == "open"
    assert "vantage point `north`" in judged["findings"][0]["evidence"]
    assert found["asked"]


def test_a_vantage_point_that_refuses_us_leaves_it_unknown(
    found: dict[str, dict[str, Any]],
) -> None:
    judged = found["by a stranger"]
    (tried,) = (it for it in judged["tried"] if it["way"] == "vantage point `north`")
    assert tried["state"] == "unknown"
    assert "signed by another key" in tried["why"]
