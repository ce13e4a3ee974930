"""What no caller of SCIM gets: others' users, other answers, others' time."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, cast

import pytest

from bascule.audit.record import RecordTooLargeError
from bascule.config.load import load
from bascule.provisioning.scim import endpoint
from scim import CONFIG, CORP, PATCH, TOKENS, Rig


def test_only_the_providers_own_token_lets_in(rig: Rig) -> None:
    for token in ("", "x", TOKENS["azure"], TOKENS["corp"][:-1], TOKENS["corp"] + "x"):
        assert rig.refused("GET", "/Users", token=token)[0] == 401, token
    rig.records.failures = 0
    bare = rig.client.get("/scim/corp/v2/Users")
    assert bare.status_code == 401
    assert bare.headers["WWW-Authenticate"].startswith("Bearer")
    basic = {"Authorization": f"Basic {TOKENS['corp']}"}
    assert rig.client.get("/scim/corp/v2/Users", headers=basic).status_code == 401
    query = {"access_token": TOKENS["corp"]}
    assert rig.client.get("/scim/corp/v2/Users", params=query).status_code == 401
    assert rig.client.get("/scim/corp/v2/ServiceProviderConfig").status_code == 401


def test_who_guesses_is_slowed_down_and_who_knows_is_not(rig: Rig) -> None:
    guesses = [rig.refused("GET", "/Users", token="guess")[0] for _ in range(7)]
    assert guesses == [401] * 5 + [429] * 2
    assert rig.ask("GET", "/Users").status_code == 200


def test_a_provider_without_the_setting_has_no_address(rig: Rig) -> None:
    rig.tokens["silent"] = rig.tokens["nobody"] = "x" * 40
    assert rig.refused("GET", "/Users", name="silent")[0] == 404
    assert rig.refused("GET", "/Users", name="nobody")[0] == 404


@pytest.mark.parametrize("token", ["", "short", None])
def test_a_token_that_is_none_lets_nobody_in(rig: Rig, token: str | None) -> None:
    if token is None:
        del rig.tokens["corp"]
    else:
        rig.tokens["corp"] = token
    assert rig.refused("GET", "/Users", token=token or "")[0] == 503


def test_nobody_reaches_what_another_provider_has(rig: Rig) -> None:
    alice = rig.user("alice")
    support = rig.group("support", alice)
    patch = {
        "schemas": [PATCH],
        "Operations": [{"op": "replace", "path": "active", "value": False}],
    }
    whole = {"userName": "x", "externalId": "x", "displayName": "x"}
    for path in (f"/Users/{alice}", f"/Groups/{support}"):
        for verb, body in (
            ("GET", None),
            ("DELETE", None),
            ("PATCH", patch if "Users" in path else {**patch, "Operations": [NAMED]}),
            ("PUT", {**whole, "externalId": OID}),
        ):
            assert rig.refused(verb, path, body, name="azure")[0] == 404, (verb, path)
    for text in (f'id eq "{alice}"', 'externalId eq "alice"'):
        found = rig.done("GET", "/Users", params={"filter": text}, name="azure")
        assert found["totalResults"] == 0
    members = {"displayName": "theirs", "members": [{"value": alice}]}
    assert rig.refused("POST", "/Groups", members, name="azure")[0] == 400
    of_alice = {"filter": f'members eq "{alice}"'}
    assert rig.done("GET", "/Groups", params=of_alice, name="azure")["totalResults"] == 0
    assert rig.done("GET", f"/Users/{alice}")["active"] is True
    assert rig.signs_in("alice")


OID = "5f1b0c2e-9c58-4f4f-9d6d-0f6f5a1e2b3c"
NAMED = {"op": "replace", "path": "displayName", "value": "x"}


def test_the_same_id_at_two_providers_is_two_users(rig: Rig) -> None:
    rig.user("alice")
    plain = rig.user("alice", name="plain")
    rig.done("DELETE", f"/Users/{plain}", name="plain")
    assert rig.signs_in("alice")
    assert not rig.signs_in("alice", name="plain")


def test_an_address_that_changes_hands_has_nothing_of_the_issuer_before(rig: Rig) -> None:
    alice = rig.user("alice")
    rig.signs_in("alice")
    before = rig.config
    text = CONFIG.replace(f'"{CORP}"', '"https://login.new.example"')
    rig.config = load(text, source="test")
    assert rig.done("GET", "/Users")["totalResults"] == 0
    assert rig.refused("DELETE", f"/Users/{alice}")[0] == 404
    theirs = rig.user("alice", active=False)
    rig.patch(f"/Users/{theirs}", {"op": "replace", "value": {"active": True}})
    rig.group("admins", theirs)
    rig.config = before
    assert rig.groups_of("alice") == frozenset()
    rig.config = load(CONFIG.replace(".corp]", ".renamed]"), source="test")
    rig.tokens["renamed"] = rig.tokens["corp"]
    assert rig.done("GET", f"/Users/{alice}", name="renamed")["active"] is True


def test_two_users_are_never_one(rig: Rig) -> None:
    rig.user("alice", userName="Alice@corp.example")
    bob = rig.user("bob")
    for body in (
        {"userName": "aLICE@corp.example", "externalId": "x"},
        {"userName": "x", "externalId": "alice"},
    ):
        assert rig.refused("POST", "/Users", body) == (409, "uniqueness")
        assert rig.refused("PUT", f"/Users/{bob}", body) == (409, "uniqueness")
    rig.user("Alice", userName="x")  # ids have a case


INJECTIONS = [
    'userName eq "alice" or userName eq "bob"',
    "userName eq 'alice'",
    'userName eq "alice" and',
    'userName eq "alice"; drop table users',
    "userName pr",
    'userName sw ""',
    'not (userName eq "nobody")',
    'password eq "x"',
    'userName eq "a" and userName eq "b"',
    "userName eq true",
    'active eq "true"',
    'userName eq "\\x"',
    'userName eq "\\u0000"',
    'userName eq "\\ud800"',
    "(" * 1000,
    'userName eq "' + "a" * 3000 + '"',
    "",
]


def test_a_filter_that_is_not_understood_finds_nobody(rig: Rig) -> None:
    rig.user("alice")
    for text in INJECTIONS:
        refused = rig.refused("GET", "/Users", params={"filter": text})
        assert refused == (400, "invalidFilter"), text


def test_values_of_a_filter_are_only_values(rig: Rig) -> None:
    name = "o'neil\" or 1=1 -- %_\\"
    rig.user("alice")
    id = rig.user("oneil", userName=name)
    for value, found in ((name, [id]), ("x' or '1'='1", []), ("%", [])):
        params = {"filter": f"userName EQ {json.dumps(value)} AND active eq True"}
        page = rig.done("GET", "/Users", params=params)
        assert [it["id"] for it in page["Resources"]] == found


BODIES = [
    b"",
    b"[]",
    b"null",
    b"{",
    b'"text"',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"userName": "a", "USERNAME": "b"}',
    b"\xff",
]


def test_bodies_that_are_none_are_refused(rig: Rig) -> None:
    for body in BODIES:
        found = rig.refused("POST", "/Users", content=body)
        assert found == (400, "invalidSyntax"), body[:20]


def test_operations_are_bounded(rig: Rig) -> None:
    id = rig.user("alice")
    body = {"schemas": [PATCH], "Operations": [NAMED] * 1001}
    assert rig.refused("PATCH", f"/Users/{id}", body)[0] == 413
    assert rig.refused("PATCH", f"/Users/{id}", {"Operations": [NAMED]})[0] == 400
    assert rig.refused("PATCH", f"/Users/{id}", {"schemas": [PATCH]})[0] == 400


def test_pages_are_bounded_and_whole(rig: Rig) -> None:
    ids = {rig.user(f"user{number}") for number in range(5)}
    seen = set()
    for start in (1, 3, 5):
        page = rig.done("GET", "/Users", params={"startIndex": start, "count": 2})
        assert page["totalResults"] == 5
        assert page["itemsPerPage"] == len(page["Resources"]) <= 2
        seen |= {it["id"] for it in page["Resources"]}
    assert seen == ids
    for count, there in (("0", 0), ("-5", 0), ("99999999999999999999", 5)):
        found = rig.done("GET", "/Users", params={"count": count, "startIndex": "-3"})
        assert found["itemsPerPage"] == there
    none = rig.done("GET", "/Users", params={"startIndex": "9" * 5000})
    assert none["itemsPerPage"] == 0
    assert rig.refused("GET", "/Users", params={"count": "many"})[0] == 400


def test_a_change_is_refused_before_it_is_made(rig: Rig) -> None:
    id = rig.user("alice")
    for verb, path in (("DELETE", f"/Users/{id}"), ("POST", "/Users")):
        body = None if verb == "DELETE" else {"userName": "b", "externalId": "b"}
        assert rig.refused(verb, path, body, params={"startIndex": "x"})[0] == 400
    assert rig.done("GET", "/Users")["totalResults"] == 1


def test_what_no_record_can_hold_is_said_so(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that it may be tried again, which would never end."""

    async def fail(*_: Any, **__: Any) -> None:
        raise RecordTooLargeError("record is too large")

    monkeypatch.setattr(rig.records, "event", fail)
    assert rig.refused("POST", "/Users", {"userName": "b", "externalId": "b"})[0] == 413
    assert rig.done("GET", "/Users")["totalResults"] == 0


def test_a_change_of_what_was_not_seen_is_refused(rig: Rig) -> None:
    id = rig.user("alice")
    seen = rig.ask("GET", f"/Users/{id}").headers["ETag"]
    again = rig.ask("GET", f"/Users/{id}", headers={"If-None-Match": seen})
    assert again.status_code == 304
    rig.patch(f"/Users/{id}", NAMED)
    late = {"If-Match": seen}
    assert rig.refused("DELETE", f"/Users/{id}", headers=late)[0] == 412
    now = rig.ask("GET", f"/Users/{id}").headers["ETag"]
    assert now != seen
    rig.done("DELETE", f"/Users/{id}", headers={"If-Match": now})
    assert rig.refused("GET", f"/Users/{id}")[0] == 404


def test_an_id_that_is_none_is_nowhere(rig: Rig) -> None:
    for id in ("%00", "%0b", "%ff", "x" * 5000, "..%2f..", "%27"):
        for kind in ("Users", "Groups", "Schemas"):
            assert rig.ask("GET", f"/{kind}/{id}").status_code in {404, 405}, id


def test_what_is_not_offered_says_so(rig: Rig) -> None:
    id = rig.user("alice")
    for verb, path, status in (
        ("DELETE", "/Users", 405),
        ("POST", f"/Users/{id}", 405),
        ("GET", f"/Users/{id}/active", 405),
        ("POST", "/Bulk", 501),
        ("GET", "/Me", 501),
        ("GET", "/Users/", 200),
        ("GET", "/", 404),
        ("GET", "/Schemas/none", 404),
        ("POST", "/Schemas", 405),
    ):
        assert rig.ask(verb, path, {}).status_code == status, (verb, path)


def test_no_token_is_written_anywhere(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    canary = "canary-" * 6
    rig.refused("GET", "/Users", token=canary)
    rig.tokens["corp"] = canary[:10]
    answer = rig.ask("GET", "/Users", token=canary)
    rig.tokens["corp"] = canary
    rig.user("alice")
    for text in (caplog.text, str(rig.records.events), answer.text, repr(answer.headers)):
        assert "canary" not in text


def test_one_provider_does_not_take_all_the_time(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[None] = []
    full, never = asyncio.Event(), asyncio.Event()

    async def slow(*_: Any) -> Any:
        started.append(None)
        if len(started) == endpoint.MAX_AT_ONCE:
            full.set()
        await never.wait()

    monkeypatch.setitem(cast("Any", endpoint._ALL["Users"]), "GET", slow)

    async def main() -> list[int]:
        held = [
            asyncio.ensure_future(get(rig, "corp")) for _ in range(endpoint.MAX_AT_ONCE)
        ]
        await full.wait()
        found = [await get(rig, "corp"), await get(rig, "azure", "/Schemas")]
        for it in held:
            it.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        monkeypatch.undo()
        return [*found, await get(rig, "corp")]

    assert asyncio.run(main()) == [429, 200, 200]


async def get(rig: Rig, name: str, path: str = "/Users") -> int:
    """Ask within the running loop; gives the status."""
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/scim/{name}/v2{path}",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {rig.tokens[name]}".encode())],
    }
    await rig.client.app(scope, receive, send)  # type: ignore[arg-type]
    return status
