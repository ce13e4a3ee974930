"""Grants while servers run: in force and over within two seconds, on every process."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator

import pytest
from jsonschema import Draft202012Validator

from bascule.cli.grant_list import UNUSED_COLUMNS
from bascule.clock import monotonic
from patience import until
from system.recorder import FORBIDDEN, Recorder
from system.server import Installation, install
from system.test_workers import workers

IN_FORCE_SECONDS = 6.0
"""Two, and what a busy machine is slow by."""
WHAT = ("--tool", f"desk/{FORBIDDEN}", "--for", "4h", "--reason", "ticket 7")


@pytest.fixture(scope="module")
def bascule(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> Iterator[Installation]:
    made = install(tmp_path_factory.mktemp("grants"), recorder)
    made.start("--workers", "2")
    try:
        yield made
    finally:
        made.kill()


@pytest.fixture(autouse=True)
def nothing_granted(bascule: Installation) -> Iterator[None]:
    """End with what a test granted, so that the next begins without."""
    yield
    for user in ("alice", "bob"):
        bascule.ask("revoke", "--user", user, "--reason", "the test is over")


def may(bascule: Installation, token: str) -> bool:
    """Tell whether a call is carried; each is a connection of its own, to either worker."""
    answer = bascule.tool(token, FORBIDDEN)
    assert answer.status in {200, 400}, answer
    return answer.status == 200


def all_agree(bascule: Installation, token: str, *, allowed: bool) -> Callable[[], bool]:
    return lambda: all(may(bascule, token) is allowed for _ in range(6))


def assert_soon(bascule: Installation, token: str, *, allowed: bool) -> None:
    begin = monotonic()
    until(lambda: may(bascule, token) is allowed)
    until(all_agree(bascule, token, allowed=allowed))
    assert monotonic() - begin < IN_FORCE_SECONDS


def test_a_grant_is_in_force_on_all_workers_and_so_is_its_end(
    bascule: Installation,
) -> None:
    token = bascule.token()
    until(all_agree(bascule, token, allowed=False))  # what a test before gave has ended
    grant = bascule.ask("grant", "--user", "alice", *WHAT)
    assert grant["state"] == "active"
    assert_soon(bascule, token, allowed=True)
    until(lambda: FORBIDDEN in names(bascule, token))
    bascule.ask("grant", "end", grant["grant"], "--reason", "done")
    assert_soon(bascule, token, allowed=False)
    until(lambda: FORBIDDEN not in names(bascule, token))


def names(bascule: Installation, token: str) -> set[str]:
    tools = bascule.call(token, "tools/list").json["result"]["tools"]
    return {it["name"] for it in tools}


def test_a_request_gives_nothing_until_it_is_approved(bascule: Installation) -> None:
    token = bascule.token()
    asked = bascule.ask("grant", "request", "--user", "alice", *WHAT)
    assert asked["state"] == "requested"
    until(all_agree(bascule, token, allowed=False))
    bascule.ask("grant", "approve", asked["grant"], "--for", "5m", "--reason", "fine")
    assert_soon(bascule, token, allowed=True)


def test_a_denied_request_never_gives_anything(bascule: Installation) -> None:
    asked = bascule.ask("grant", "request", "--user", "alice", *WHAT)
    bascule.ask("grant", "deny", asked["grant"], "--reason", "no")
    again = bascule.cli("grant", "approve", asked["grant"], "--reason", "yes")
    assert again.exit_code == 3
    assert "is denied" in again.stderr


@pytest.mark.parametrize("selector", ["--user", "--grant", "--connector", "--all"])
def test_a_revocation_ends_grants_for_tokens_of_later_too(
    bascule: Installation, selector: str
) -> None:
    grant = bascule.ask("grant", "--user", "alice", *WHAT)
    key = {"--user": "alice", "--grant": grant["grant"], "--connector": "desk"}
    words = [selector] + ([key[selector]] if selector in key else [])
    bascule.ask("revoke", *words, "--reason", "lost laptop")
    assert_soon(bascule, bascule.token(), allowed=False)
    shown = [it for it in listed(bascule) if it["grant"] == grant["grant"]]
    assert [it["end_reason"] for it in shown] == ["lost laptop"]


def listed(bascule: Installation) -> list[dict[str, object]]:
    result = bascule.cli("grant", "list", "--all", "--json")
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_worker_that_was_killed_and_a_reload_lose_no_grant(bascule: Installation) -> None:
    token = bascule.token()
    bascule.ask("grant", "--user", "alice", *WHAT)
    until(all_agree(bascule, token, allowed=True))
    before = workers(bascule)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(set(workers(bascule)) - set(before)) == len(before))
    until(all_agree(bascule, token, allowed=True))
    bascule.signal(signal.SIGHUP)
    bascule.wait_for_records("--type", "policy.reload")
    assert all_agree(bascule, token, allowed=True)()


def test_the_log_says_who_gave_what_and_by_which_grant_a_call_was_allowed(
    bascule: Installation,
) -> None:
    token = bascule.token("bob")
    grant = bascule.ask("grant", "--user", "bob", "--agent", "bascule-cli", *WHAT)
    assert_soon(bascule, token, allowed=True)
    bascule.ask("grant", "end", grant["grant"], "--reason", "done")
    (given,) = bascule.wait_for_records("--type", "access.grant", "--user", "bob")
    assert (given["agent"], given["connector"]) == ("bascule-cli", "desk")
    (shown,) = [it for it in bascule.whole_records() if it["id"] == given["id"]]
    assert shown["admin"]["grant"] == grant["grant"]
    assert shown["admin"]["reason"] == "ticket 7"
    assert shown["admin"]["os_user"] == grant["decided_by"]
    assert bascule.wait_for_records("--type", "access.end", "--user", "bob")
    calls = bascule.wait_for_records("--type", "call.start", "--user", "bob")
    assert f"grant:{grant['grant']}/desk/{FORBIDDEN}" in calls[-1]["policies"]


def test_what_nobody_used_is_listed_for_who_reviews_rights(bascule: Installation) -> None:
    token = bascule.token("bob")
    assert bascule.tool(token, "echo").status == 200
    bascule.wait_for_records("--type", "call.start", "--user", "bob", "--name", "echo")
    shown = bascule.cli("grant", "list", "--unused", "30d", "--json")
    assert "the log begins at" in shown.stderr
    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    (bob,) = [it for it in rows if it["member"] == "user:bob"]
    assert bob["role"] == "clerk"
    assert bob["last_used"] is not None
    assert "desk/echo" not in bob["tools"]
    assert "annex/*" in bob["tools"]
    shape = json.loads(bascule.cli("schema", "grant", "list", "unused").stdout)
    Draft202012Validator(shape).validate(bob)
    table = bascule.cli("grant", "list", "--unused", "30d").stdout.splitlines()
    assert table[0].split() == [*UNUSED_COLUMNS]
