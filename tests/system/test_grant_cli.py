"""`bascule grant` on the command line: what may be granted, and what is said of it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

import bascule.cli.grant as grant_commands
from bascule.app.granting import GrantError, require_shared
from bascule.cli.main import main
from bascule.clock import UnixTime
from bascule.config.load import load
from bascule.decision.granted import Granted

CONFIG = """
[connectors.desk]
mode = "observe"
url = "http://127.0.0.1:9/mcp"

[connectors.shop]
mode = "observe"
url = "http://127.0.0.1:9/mcp"
credential = { kind = "static", value = "env:SHOP" }

[toolsets]
"desk:read" = ["desk/search"]

[roles.buyer]
members = ["user:alice"]
allow = ["shop/buy"]
"""


class Place:
    """A configuration and a data directory, and what commands do with them."""

    def __init__(self, folder: Path) -> None:
        config = folder / "bascule.toml"
        config.write_text(CONFIG)
        self.data = folder / "data"
        self.options = ["--config", str(config), "--data-dir", str(self.data)]

    def run(self, *words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, [*self.options, *words], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    def rows(self, *words: str) -> list[dict[str, Any]]:
        shown = self.run("grant", "list", *words, "--json").stdout
        return [json.loads(line) for line in shown.splitlines()]

    def grant(self, *words: str) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(self.run("grant", *words, "--json").stdout)
        return made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(tmp_path_factory.mktemp("grant"))
    for name in ("alice", "bob"):
        made.run("user", "add", name)
    made.run("agent", "add", "robot")
    return made


WHAT = ("--tool", "desk/search", "--for", "4h", "--reason", "a ticket")


def test_a_grant_says_what_it_gives(place: Place) -> None:
    made = place.grant("--user", "bob", "--agent", "robot", *WHAT, "--tool", "desk:read")
    assert made["user"] == "user:bob"
    assert made["agent"] == "robot"
    assert made["connector"] == "desk"
    assert made["tools"] == ["desk/search", "desk:read"]
    assert made["seconds"] == 4 * 3600
    assert made["until"] == made["decided_at"] + 4 * 3600
    assert made in place.rows()
    shape = json.loads(place.run("schema", "grant", "list").stdout)
    Draft202012Validator(shape).validate(made)


def test_a_foreign_user_and_an_agent_by_itself_can_be_granted_something(
    place: Place,
) -> None:
    foreign = place.grant("create", "--user", "user:https://idp.example|7", *WHAT)
    assert foreign["user"] == "user:https://idp.example|7"
    alone = place.grant("--agent", "robot", *WHAT)
    assert (alone["user"], alone["agent"]) == (None, "robot")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--user", "bob", "--tool", "desk/x", "--reason", "r"), 2, "--for"),
        (("--user", "bob", "--tool", "desk/x", "--for", "4h"), 2, "--reason"),
        (("--user", "bob", "--for", "4h", "--reason", "r"), 2, "--tool"),
        (WHAT, 2, "--user"),
        (("--user", "bob", *WHAT, "--for", "31d"), 2, "30d at most"),
        (("--user", "bob", *WHAT, "--for", "0h"), 2, "--for"),
        (("--user", "bob", *WHAT, "--for", "forever"), 2, "--for"),
        (("--user", "bob", *WHAT, "--reason", " "), 2, "--reason"),
        (("--user", "nobody", *WHAT), 3, "no such user"),
        (("--user", "bob", "--agent", "nobody", *WHAT), 3, "no such agent"),
        (("--user", "bob", *WHAT, "--tool", "desk/search"), 3, "different entries"),
        (("--user", "bob", *WHAT, "--tool", "nowhere/x"), 3, "no connector `nowhere`"),
        (("--user", "bob", *WHAT, "--tool", "*/*"), 3, "more than one connector"),
        (("--user", "bob", *WHAT, "--tool", "desk:write"), 3, "no toolset"),
        (("--user", "alice", *WHAT, "--tool", "shop/buy"), 3, "one connector"),
        (("--user", "bob", *WHAT, "--tool", "desk/a\nb"), 3, "printable"),
    ],
)
def test_what_cannot_be_granted_is_refused_with_a_sentence(
    place: Place, words: tuple[str, ...], code: int, said: str
) -> None:
    before = place.rows("--all"), place.run("audit", "query", "--json").stdout
    refused = place.run("grant", *words, code=code)
    assert said in refused.stderr
    assert refused.stdout == ""
    after = place.rows("--all"), place.run("audit", "query", "--json").stdout
    assert after == before


@pytest.mark.parametrize("how", ["create", "approve"])
def test_nor_by_two_grants_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    made = Place(tmp_path)
    for name in ("bob", "carol"):
        made.run("user", "add", name)
    config = tmp_path / "bascule.toml"
    config.write_text(CONFIG.replace("user:alice", "user:nobody").partition("[roles")[0])
    what = ("--tool", "shop/buy", "--for", "4h", "--reason", "a ticket")
    first = made.grant("request", "--user", "bob", *what)["grant"]
    recorded = grant_commands._record

    def meanwhile(*given: Any) -> None:
        monkeypatch.setattr(grant_commands, "_record", recorded)
        made.grant("create", "--user", "carol", *what)
        recorded(*given)

    monkeypatch.setattr(grant_commands, "_record", meanwhile)
    words = ("create", "--user", "bob", *what)
    if how == "approve":
        words = ("approve", first, "--reason", "fine")
    assert "shared = true" in made.run("grant", *words, code=3).stderr
    active = [it["user"] for it in made.rows() if it["state"] == "active"]
    assert active == ["user:carol"]


def test_a_credential_that_is_not_shared_is_not_shared_by_a_grant(place: Place) -> None:
    buy = ("--tool", "shop/buy", "--for", "1h", "--reason", "a gift")
    assert "same credential" in place.run("grant", "--user", "bob", *buy, code=3).stderr
    assert place.grant("--user", "alice", *buy)["state"] == "active"


def test_a_configuration_under_which_grants_would_share_it_is_refused() -> None:
    config = load(CONFIG, source="x")
    of = partial(Granted, agent=None, entries=("shop/buy",), expires_at=UnixTime(1))
    require_shared(config, (of("1", "user:alice"), of("2", None)))
    with pytest.raises(GrantError, match="`shop` under one credential"):
        require_shared(config, (of("1", "user:bob"),))
    shared = CONFIG.replace('"env:SHOP"', '"env:SHOP", shared = true')
    require_shared(load(shared, source="x"), (of("1", "user:bob"),))


def test_who_decides_may_shorten_it_and_not_lengthen_it(place: Place) -> None:
    for given, seconds in (("30m", 1800), ("30d", 4 * 3600)):
        asked = place.grant("request", "--user", "bob", *WHAT)
        decided = place.grant("approve", asked["grant"], "--for", given, "--reason", "fine")
        assert decided["seconds"] == seconds


def test_what_is_over_is_listed_only_when_asked_for(place: Place) -> None:
    made = place.grant("--user", "bob", *WHAT)
    place.run("grant", "end", made["grant"], "--reason", "done")
    assert made["grant"] not in {it["grant"] for it in place.rows()}
    assert made["grant"] in {it["grant"] for it in place.rows("--all")}
    again = place.run("grant", "end", made["grant"], "--reason", "done", code=3)
    assert "is ended" in again.stderr


def test_who_gives_what_a_ceiling_stops_is_told(place: Place) -> None:
    told = place.run("grant", "--user", "bob", "--agent", "robot", *WHAT).stderr
    assert "the ceiling of `robot` does not reach `desk/search`" in told
    assert place.run("grant", "--user", "bob", *WHAT).stderr == ""
    free = ("grant", "--user", "bob", "--agent", "bascule-cli", *WHAT)
    assert place.run(*free).stderr == ""


def test_a_revocation_says_how_many_grants_it_ends(place: Place) -> None:
    made = place.grant("--user", "bob", *WHAT)
    said = place.run("revoke", "--grant", made["grant"], "--reason", "done").stdout
    assert said.endswith("live tokens that end: 0, grants: 1\n")


def test_a_table_for_people_keeps_to_its_lines(place: Place) -> None:
    place.run("grant", "--user", "bob", *WHAT, "--reason", "one\n\x1b[31mtwo")
    shown = place.run("grant", "list").stdout
    assert "one\\n\\x1b[31mtwo" in shown


def test_decisions_on_the_command_line_know_grants(place: Place) -> None:
    facts = {
        "user": "bob",
        "agent": "bascule-cli",
        "scopes": ["mcp:desk"],
        "connector": "desk",
        "method": "tools/call",
        "name": "only_granted",
        "now": 1_800_000_000,
    }
    made = place.grant(
        *("--user", "bob", "--tool", "desk/only_granted", "--for", "1h", "--reason", "x")
    )
    path = place.data.parent / "facts.json"
    for now, code in ((made["until"] - 1, 0), (made["until"], 1)):
        path.write_text(json.dumps({**facts, "now": now}))
        place.run("decide", str(path), "--json", code=code)
