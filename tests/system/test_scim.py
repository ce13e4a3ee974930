"""SCIM at a gateway that runs: who is ended loses all, groups decide; others' tester."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
import requests
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from foreign import signer
from patience import PATIENCE, until
from ports import free_ports
from scim import PATCH
from system.company import SECRET, Company, company
from system.oauth_browser import CALLBACK, Flow
from system.recorder import Recorder
from system.server import Installation, configure
from system.visitor import Visitor

TOKEN = "scim-token-canary-" * 3
PROVIDER = """
[providers.corp]
issuer = "{issuer}"
client_id = "bascule"
client_secret = "file:{secret}"
scim.token = "file:{token}"
admit.groups = ["staff", "desk"]

[roles.desk]
members = ["group:{issuer}|desk"]
allow = ["desk/echo"]
"""
_names = count(1)


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway, and a company that provisions its people there."""

    bascule: Installation
    corp: Company

    def scim(self, verb: str, path: str, **how: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{self.bascule.url}/scim/corp/v2{path}"
        return requests.request(verb, url, headers=headers, timeout=PATIENCE, **how)

    def made(self, path: str, **body: Any) -> str:
        """Provision a user or group; gives its id."""
        answer = self.scim("POST", path, json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def patch(self, where: str, **operation: Any) -> None:
        body = {"schemas": [PATCH], "Operations": [operation]}
        answer = self.scim("PATCH", where, json=body)
        assert answer.status_code in {200, 204}, answer.text


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is provisioned, signed in by the company, and uses an agent."""

    place: Place
    name: str
    id: str
    visitor: Visitor
    tokens: dict[str, Any]

    def is_in(self) -> bool:
        return self.visitor.get("/account").status == 200

    def comes_in(self) -> bool:
        self.place.corp.signs_in(self.name)
        return self.place.corp.login(Visitor(self.place.bascule)).location == "/account"

    def echo(self) -> int:
        """Call what the group may use; gives the status, 400 where nobody may."""
        return self.place.bascule.tool(self.tokens["access_token"], "echo").status

    def refresh(self) -> requests.Response:
        form = {
            "grant_type": "refresh_token",
            "client_id": "app",
            "refresh_token": self.tokens["refresh_token"],
        }
        url = f"{self.place.bascule.url}/oauth/token"
        return requests.post(url, data=form, timeout=PATIENCE)

    def is_stale(self) -> None:
        """Make what the provider said old, so that it is asked again."""
        with contextlib.closing(
            sqlite3.connect(self.place.bascule.data / "state.db")
        ) as db:
            db.execute("UPDATE federated_users SET checked_at = checked_at - 60")
            db.commit()

    def groups(self) -> set[str]:
        shown = self.place.bascule.cli("user", "list", "--json").stdout
        rows = {it["user"]: it for it in map(json.loads, shown.splitlines())}
        found = rows[f"user:{self.place.corp.issuer}|{self.name}"]["groups"]
        return {it.rpartition("|")[2] for it in found}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("scim")
    (port,) = free_ports(1)
    for name, text in (("secret", SECRET), ("token", TOKEN + "\n")):
        (folder / name).touch(0o600)
        (folder / name).write_text(text)
    issuer = f"http://127.0.0.1:{port}"
    more = PROVIDER.format(issuer=issuer, secret=folder / "secret", token=folder / "token")
    bascule = configure(folder / "bascule", recorder, more=more)
    callback = f"{bascule.url}/login/callback/corp"
    with company(folder, port, callback, signer("key-1", "RS256")) as corp:
        bascule.start()
        try:
            bascule.cli("agent", "add", "app", "--redirect-uri", CALLBACK)
            yield Place(bascule, corp)
        finally:
            bascule.kill()


@pytest.fixture
def person(place: Place) -> Person:
    """Give somebody in the groups `staff` and `desk`, whatever the company's claims say."""
    name = f"worker{next(_names)}"
    id = place.made("/Users", userName=f"{name}@corp.example", externalId=name)
    for group in ("staff", "desk"):
        _join(place, group, id)
    place.corp.knows(name, groups=["of the claim"])
    place.corp.signs_in(name)
    visitor = Visitor(place.bascule)
    assert place.corp.login(visitor).location == "/account"
    browser = requests.Session()
    browser.headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in visitor.cookies.items())
    return Person(place, name, id, visitor, Flow(place.bascule, browser).tokens())


def _join(place: Place, group: str, id: str) -> None:
    found = place.scim("GET", "/Groups", params={"filter": f'displayName eq "{group}"'})
    ids = [it["id"] for it in found.json()["Resources"]]
    into = ids[0] if ids else place.made("/Groups", displayName=group)
    place.patch(f"/Groups/{into}", op="Add", path="members", value=[{"value": id}])


def test_who_is_deactivated_loses_all_and_stays_out(place: Place, person: Person) -> None:
    assert (person.echo(), person.is_in()) == (200, True)
    place.patch(f"/Users/{person.id}", op="Replace", path="active", value="False")
    assert not person.is_in()
    until(lambda: person.echo() == 401)
    assert person.refresh().json()["error"] == "invalid_grant"
    assert not person.comes_in()
    user = f"user:{place.corp.issuer}|{person.name}"
    (ended,) = place.bascule.wait_for_records("--type", "revoke", "--user", user)
    assert ended["type"] == "revoke"
    place.patch(f"/Users/{person.id}", op="Replace", path="active", value="True")
    assert person.comes_in()
    assert person.echo() == 401, "what was issued before stays ended"


def test_who_is_deactivated_before_the_first_login_never_comes_in(place: Place) -> None:
    id = place.made("/Users", userName="never", externalId="never")
    _join(place, "staff", id)
    place.patch(f"/Users/{id}", op="replace", value={"active": False})
    place.corp.knows("never")
    place.corp.signs_in("never")
    done = place.corp.login(Visitor(place.bascule))
    assert done.status == 403
    assert "disabled" in done.text, "the group would let it in"


def test_groups_are_what_scim_says_at_login_at_refresh_and_between(
    place: Place, person: Person
) -> None:
    assert person.groups() == {"staff", "desk"}
    found = place.scim("GET", "/Groups", params={"filter": f'members eq "{person.id}"'})
    desk = next(it for it in found.json()["Resources"] if it["displayName"] == "desk")
    leave = f'members[value eq "{person.id}"]'
    place.patch(f"/Groups/{desk['id']}", op="remove", path=leave)
    until(lambda: person.echo() == 400)
    place.corp.knows(person.name, groups=["desk", "staff"])
    person.is_stale()
    assert person.refresh().status_code == 200
    assert person.groups() == {"staff"}
    _join(place, "desk", person.id)
    until(lambda: person.echo() == 200)


def test_who_is_in_no_group_any_more_that_is_let_in_loses_all(
    place: Place, person: Person
) -> None:
    place.corp.knows(person.name, groups=["desk", "staff"])
    found = place.scim("GET", "/Groups", params={"filter": f'members eq "{person.id}"'})
    for group in found.json()["Resources"]:
        value = [{"value": person.id}]
        place.patch(f"/Groups/{group['id']}", op="Remove", path="members", value=value)
    assert not person.is_in()
    until(lambda: person.echo() == 401)
    assert not person.comes_in()
    assert person.refresh().json()["error"] == "invalid_grant"


def test_the_tester_of_scim_finds_nothing_wrong(place: Place) -> None:
    with httpx2.Client(
        base_url=f"{place.bascule.url}/scim/corp/v2",
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=PATIENCE,
    ) as client:
        found = check_server(SyncSCIMClient(client))
    wrong = [it for it in found if it.status is not Status.SUCCESS]
    # Searching users and groups at once (RFC 7644 §3.4.3) is not offered: 501, as it says.
    assert {it.title for it in wrong} == {"search_with_attributes"}, wrong
    assert all(it.status is Status.SKIPPED for it in wrong)
    assert len(found) > 50


def test_the_doctor_says_the_address(place: Place) -> None:
    said = place.bascule.cli("doctor", "idp", "corp").output
    assert f"{place.bascule.url}/scim/corp/v2;" in " ".join(said.split())
    assert "canary" not in said


def test_bodies_are_bounded(place: Place) -> None:
    body = {"userName": "x", "externalId": "x", "displayName": "x" * (300 << 10)}
    assert place.scim("POST", "/Users", json=body).status_code == 413


def test_the_token_is_written_nowhere(place: Place) -> None:
    assert place.scim("GET", "/Users").status_code == 200
    assert place.bascule.process is not None
    folder = Path(f"/proc/{place.bascule.process.pid}")
    assert TOKEN.encode() not in (folder / "cmdline").read_bytes()
    for path in place.bascule.data.rglob("*"):
        if path.is_file():
            assert b"scim-token-canary" not in path.read_bytes(), path
