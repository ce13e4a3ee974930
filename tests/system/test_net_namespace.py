"""The fetcher end to end, with the real resolver, where public addresses are ours.

In a network namespace that is made for it, so that nothing leaves the machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bascule.net.resolver import MAX_LOOKUPS
from system.namespace_probe import (
    ADDRESSES,
    LITERALS,
    METADATA,
    PRIVATE,
    PUBLIC,
    PUBLIC_V6,
)

TESTS = Path(__file__).parents[1]
CONFIGURATION = Path("/etc/netns")
"""Where `ip netns exec` finds what stands for files of /etc in a namespace."""


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextmanager
def namespace(*addresses: str) -> Iterator[str]:
    """Make a network namespace with these addresses and a name server on loopback."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.fail(
            "this test makes a network namespace: run it as root, with iproute2 installed"
        )
    name = f"bascule-test-{os.getpid()}"
    folder = CONFIGURATION / name
    try:
        run("ip", "netns", "add", name)
        folder.mkdir(parents=True)
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1\n")
        run("ip", "-n", name, "link", "set", "lo", "up")
        for address in addresses:
            if not address.startswith("127."):
                run("ip", "-n", name, "address", "add", address, "dev", "lo")
        yield name
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """Give what came of each fetch."""
    probe = [sys.executable, "-m", "system.namespace_probe"]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with namespace(*ADDRESSES) as name:
        done = subprocess.run(
            ["ip", "netns", "exec", name, *probe],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    result: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(
    ("case", "address"),
    [
        ("public.example", PUBLIC),
        ("six.example", PUBLIC_V6),
        ("half-deaf.example", PUBLIC),
        ("private.example listed", PRIVATE),
    ],
)
def test_what_is_allowed_is_fetched(
    found: dict[str, dict[str, Any]], case: str, address: str
) -> None:
    assert found[case]["outcome"] == "{}"
    assert found[case]["connections"] == {address: 1}


@pytest.mark.parametrize(
    "case",
    [
        "private.example",
        "local.example",
        "metadata.example",
        "mixed.example",
        "mixed-six.example",
        "mapped.example",
        "rebinding.example again",
        *LITERALS,
    ],
)
def test_nothing_inside_is_ever_connected_to(
    found: dict[str, dict[str, Any]], case: str
) -> None:
    assert found[case]["outcome"] != "{}"
    assert found[case]["connections"] == {}


def test_a_name_that_changes_its_address_is_connected_to_where_it_was_checked(
    found: dict[str, dict[str, Any]],
) -> None:
    """Had the name been asked for twice, the second answer would have been taken."""
    assert found["rebinding.example"]["outcome"] == "{}"
    assert found["rebinding.example"]["connections"] == {PUBLIC: 1}
    assert found["rebinding.example"]["lookups"] == 1


def test_a_redirect_to_the_inside_is_not_followed(
    found: dict[str, dict[str, Any]],
) -> None:
    assert "redirects are not followed" in found["redirecting.example"]["outcome"]
    assert found["redirecting.example"]["connections"] == {PUBLIC: 1}
    assert METADATA not in found["redirecting.example"]["outcome"]


def test_a_name_server_that_does_not_answer_is_left_at_the_deadline(
    found: dict[str, dict[str, Any]],
) -> None:
    assert "longer than 2 s" in found["silent.example"]["outcome"]
    assert found["silent.example"]["connections"] == {}


def test_a_name_that_nobody_has_is_told(found: dict[str, dict[str, Any]]) -> None:
    assert found["nobody.example"]["outcome"] == "the host cannot be reached"


def test_names_that_nobody_answers_for_hold_up_no_other_use(
    found: dict[str, dict[str, Any]],
) -> None:
    """Neither another policy's fetches nor the threads that the state is read with."""
    assert found["crowded, the same"]["outcome"] == "the host cannot be reached"
    assert found["crowded, another"]["outcome"] == "{}"
    assert found["crowded, a thread"]["outcome"] == "{}"
    assert found["crowded, still"]["outcome"] == str(MAX_LOOKUPS)
