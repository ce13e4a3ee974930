"""`user`, `agent`, `token`, `revoke`, `key` and `db`, from the command line to the log."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from joserfc.jwk import ECKey, OKPKey

from bascule.app import place as app_place
from bascule.cli.main import main
from bascule.clock import UnixTime, system_clock
from bascule.config.model import Server
from bascule.identity.access_token import AccessToken, InvalidTokenError, verify
from bascule.storage import directory, key_files
from bascule.storage.key_store import FolderKeys
from bascule.storage.schema import VERSION

CONFIG = """
[connectors.tickets]
mode = "observe"
url = "http://127.0.0.1:9/mcp"

[connectors.notes]
mode = "observe"
url = "http://127.0.0.1:9/mcp"

[toolsets]
"tickets:read" = ["tickets/search"]

[scopes]
"tickets.read" = ["tickets:read"]
"""
URL = "http://localhost:8420"


class Place:
    """A configuration and a data directory, and what commands do with them."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "bascule.toml"
        self.config.write_text(CONFIG)
        self.data = folder / "data"

    def run(self, *words: str, fails: int = 0) -> Result:
        options = ["--config", str(self.config), "--data-dir", str(self.data)]
        result = CliRunner().invoke(main, [*options, *words], catch_exceptions=False)
        assert result.exit_code == fails, result.output
        if fails:
            assert result.stdout == ""
        return result

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def lines(self, *words: str) -> list[Any]:
        return [json.loads(line) for line in self.run(*words, "--json").stdout.splitlines()]

    def records(self) -> list[dict[str, Any]]:
        """Give what the log says, oldest first, as `audit show` prints it."""
        count = len(self.lines("audit", "query"))
        return [self.json("audit", "show", str(number)) for number in range(count)]

    def everything_written(self) -> bytes:
        """Give all bytes of the data directory but those of the keys."""
        paths = [it for it in self.data.rglob("*") if it.is_file()]
        return b"".join(it.read_bytes() for it in paths if "keys" not in it.parts)

    def token(self, *words: str) -> str:
        return str(self.json("token", "issue", *words)["access_token"])

    def counts(self, token: str, connector: str = "tickets") -> bool:
        """Tell whether a gateway that starts now would accept a token."""
        now = system_clock()
        try:
            found = self.verified(token, connector, now)
        except InvalidTokenError:
            return False
        with closing(app_place.Place(self.data, Server())) as place:
            current = place.open_state().read(directory.load)
        return current.subject(found, connector) is not None

    def verified(self, token: str, connector: str, now: UnixTime) -> AccessToken:
        return verify(
            token.encode(),
            keys=key_files.load(FolderKeys(self.data / "keys"), now=now),
            issuer=URL,
            resource=f"{URL}/c/{connector}/mcp",
            now=now,
            leeway=30,
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def alice(place: Place) -> Place:
    """A place with the user alice in it."""
    place.run("user", "add", "alice", "--group", "support")
    return place


def test_a_user_is_added_with_a_link_of_256_bits(place: Place) -> None:
    added = place.json("user", "add", "alice", "--group", "support", "--group", "group:b")
    assert set(added) == {"user", "setup_link"}
    assert added["user"] == "user:alice"
    front, secret = added["setup_link"].rsplit("/", 1)
    assert front == f"{URL}/login/setup"
    assert len(bytes.fromhex(secret)) == 32
    assert place.lines("user", "list") == [
        {
            "user": "user:alice",
            "groups": ["group:b", "group:support"],
            "admin": False,
            "disabled": False,
        }
    ]


def test_of_a_link_only_the_hash_is_kept(place: Place) -> None:
    links = [
        place.json("user", "add", "alice")["setup_link"],
        place.json("user", "reset", "user:alice")["setup_link"],
    ]
    assert len(set(links)) == 2
    written = place.everything_written()
    secrets = [link.rpartition("/")[2] for link in links]
    assert all(secret.encode() not in written for secret in secrets)
    assert hashlib.sha256(secrets[1].encode()).digest() == setup(place, "alice")[0]


def setup(place: Place, name: str) -> tuple[bytes, int]:
    """Give the hash of a user's link, and for how long it is good."""
    query = "SELECT setup_hash, setup_expires_at FROM users WHERE name = ?"
    with closing(sqlite3.connect(place.data / "state.db")) as database:
        found, expires = database.execute(query, (name,)).fetchone()
    return found, expires - system_clock()


def test_a_link_is_good_for_a_day(
    place: Place,
) -> None:
    place.run("user", "add", "alice")
    place.run("user", "add", "root", "--admin")
    place.run("user", "add", "second", "--admin")
    place.run("user", "reset", "root")
    minutes = {
        name: round(setup(place, name)[1] / 60) for name in ("alice", "second", "root")
    }
    assert minutes == {"alice": 1440, "second": 1440, "root": 1440}
    assert place.lines("user", "list")[1]["admin"] is True


def test_the_first_administrators_link_is_good_for_a_quarter_of_an_hour(
    place: Place,
) -> None:
    place.run("user", "add", "root", "--admin")
    assert round(setup(place, "root")[1] / 60) == 15


@pytest.mark.parametrize(
    "words",
    [
        ("user", "add", ""),
        ("user", "add", "user:"),
        ("user", "add", "a b"),
        ("user", "add", "a|b"),
        ("user", "add", "../etc"),
        ("user", "add", "-x"),
        ("user", "add", "\N{CYRILLIC SMALL LETTER A}lice"),
        ("user", "add", "a" * 64),
        ("user", "add", "alice\n"),
        ("user", "add", "group:alice"),
        ("user", "add", "alice", "--group", "a b"),
        ("user", "add", "alice", "--group", "user:x"),
        ("agent", "add", ""),
        ("agent", "add", "a b"),
        ("agent", "add", "issuer|client"),
        ("agent", "add", "bascule-cli"),
        ("agent", "add", "x" * 256),
        ("agent", "add", "x", "--redirect-uri", "http://evil.example/"),
        ("agent", "add", "x", "--redirect-uri", "javascript:alert(1)"),
        ("agent", "add", "x", "--redirect-uri", "https://a.example/#part"),
        ("agent", "add", "x", "--redirect-uri", "https://me@a.example/"),
        ("token", "issue", "--connector", "tickets", "--ttl", "0"),
        ("token", "issue", "--connector", "tickets", "--ttl", "3601"),
        ("token", "issue"),
        ("revoke", "--all"),
        ("revoke", "--reason", "r"),
        ("revoke", "--all", "--user", "alice", "--reason", "r"),
        ("revoke", "--jti", "a", "--grant", "b", "--reason", "r"),
        ("revoke", "--connector", "", "--reason", "r"),
        ("revoke", "--connector", " ", "--reason", "r"),
        ("revoke", "--all", "--reason", " "),
        ("revoke", "--all", "--reason", "x" * 2001),
        ("revoke", "--user", "a b", "--reason", "r"),
        ("revoke", "--user", "https://idp.example|42", "--reason", "r"),
        ("revoke", "--user", "user:|42", "--reason", "r"),
        ("revoke", "--user", "user:https://idp.example|", "--reason", "r"),
    ],
)
def test_wrong_usage_changes_nothing_and_leaves_no_record(
    place: Place, words: tuple[str, ...]
) -> None:
    assert "Error" in place.run(*words, fails=2).stderr
    assert place.records() == []
    assert place.lines("user", "list") == place.lines("agent", "list") == []


@pytest.mark.parametrize(
    ("words", "help_"),
    [
        (("user", "add", "alice"), "user reset"),
        (("user", "disable", "bob"), "user list"),
        (("user", "enable", "bob"), "user list"),
        (("user", "reset", "bob"), "user list"),
        (("user", "reset", "user:https://corp.example|1"), "signs in by an identity"),
        (("agent", "disable", "bob"), "agent list"),
        (("agent", "enable", "bob"), "agent list"),
        (("token", "issue", "--connector", "other", "--user", "alice"), "bascule add"),
        (("token", "issue", "--connector", "tickets", "--user", "bob"), "user add"),
        (("token", "issue", "--connector", "tickets", "--agent", "x"), "agent add"),
        (("token", "issue", "--connector", "tickets", "--scope", "mcp:notes"), "[scopes]"),
        (("token", "issue", "--connector", "tickets", "--scope", "nothing"), "[scopes]"),
        (("token", "issue", "--connector", "tickets", "--scope", ""), "[scopes]"),
    ],
)
def test_what_cannot_be_done_says_what_to_do_and_leaves_no_record(
    alice: Place, words: tuple[str, ...], help_: str
) -> None:
    before = len(alice.records())
    assert help_ in alice.run(*words, fails=3).stderr
    assert len(alice.records()) == before


def test_an_agents_secret_is_shown_once_and_kept_as_its_hash(place: Place) -> None:
    added = place.json("agent", "add", "https://a.example/client", "--secret")
    secret = added.pop("client_secret")
    assert added == {"agent": "https://a.example/client"}
    assert secret.startswith("bsc_ck_")
    assert len(bytes.fromhex(secret.removeprefix("bsc_ck_"))) == 32
    assert secret.encode() not in place.everything_written()
    with closing(sqlite3.connect(place.data / "state.db")) as database:
        ((kept,),) = database.execute("SELECT secret_hash FROM agents").fetchall()
    assert kept == hashlib.sha256(secret.encode()).digest()


def test_an_agent_without_a_secret_shows_none(place: Place) -> None:
    uris = ("https://a.example/cb", "http://127.0.0.1:7/cb", "http://localhost/cb")
    words = [word for uri in uris for word in ("--redirect-uri", uri)]
    assert place.json("agent", "add", "a", *words) == {"agent": "a"}
    assert place.lines("agent", "list") == [
        {
            "agent": "a",
            "origin": "operator",
            "name": None,
            "authenticates": False,
            "verified": False,
            "redirect_uris": sorted(uris),
            "disabled": False,
        }
    ]
    assert "agent `a` exists" in place.run("agent", "add", "a", fails=3).stderr


def test_an_agent_authenticates_with_a_key_of_its_own(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [ECKey.generate_key().as_dict(private=False)]}))
    assert place.json("agent", "add", "a", "--jwks", str(path)) == {"agent": "a"}
    assert place.lines("agent", "list")[0]["authenticates"] is True


def test_an_agents_private_key_is_refused_and_kept_nowhere(
    place: Place, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    key = OKPKey.generate_key("Ed25519").as_dict(private=True)
    path.write_text(json.dumps({"keys": [key]}))
    shown = place.run("agent", "add", "a", "--jwks", str(path), fails=3).stderr
    assert "private key" in shown
    assert str(key["d"]) not in shown
    assert place.lines("agent", "list") == []


def test_secret_and_keys_are_one_too_many(place: Place) -> None:
    config = str(place.config)
    shown = place.run("agent", "add", "a", "--secret", "--jwks", config, fails=2).stderr
    assert "either" in shown


def test_a_token_is_for_one_connector_and_its_built_in_scope(alice: Place) -> None:
    issued = alice.json("token", "issue", "--user", "alice", "--connector", "tickets")
    assert set(issued) == {
        "access_token",
        "token_type",
        "expires_in",
        "scope",
        "jti",
        "resource",
    }
    assert issued["token_type"] == "Bearer"
    assert issued["expires_in"] == 600
    assert issued["scope"] == "mcp:tickets"
    assert issued["resource"] == f"{URL}/c/tickets/mcp"
    found = alice.verified(issued["access_token"], "tickets", system_clock())
    assert (found.user, found.agent, found.jti) == (
        "user:alice",
        "bascule-cli",
        issued["jti"],
    )
    assert found.expires_at - found.issued_at == 600
    assert not alice.counts(issued["access_token"], "notes")


def test_without_json_the_token_stands_alone(alice: Place) -> None:
    shown = alice.run("token", "issue", "--user", "alice", "--connector", "tickets").stdout
    assert alice.counts(shown.removesuffix("\n"))


def test_scopes_are_those_of_the_configuration(alice: Place) -> None:
    scopes = ("--scope", "tickets.read", "--scope", "mcp:tickets")
    issued = alice.json(
        "token", "issue", "--user", "user:alice", "--connector", "tickets", *scopes
    )
    assert issued["scope"] == "mcp:tickets tickets.read"


def test_an_agent_may_have_a_token_of_its_own(place: Place) -> None:
    place.run("agent", "add", "robot", "--secret")
    token = place.token("--agent", "robot", "--connector", "tickets", "--ttl", "3600")
    found = place.verified(token, "tickets", system_clock())
    assert (found.user, found.agent) == (None, "robot")


def test_a_user_needs_no_set_up_and_policies_may_be_broken(alice: Place) -> None:
    (alice.config.parent / "policies").mkdir()
    (alice.config.parent / "policies" / "broken.cedar").write_text("permit(")
    assert alice.counts(alice.token("--user", "alice", "--connector", "tickets"))


def test_the_token_itself_is_written_nowhere(alice: Place) -> None:
    token = alice.token("--user", "alice", "--connector", "tickets")
    written = alice.everything_written()
    assert token.rpartition(".")[2].encode() not in written
    assert token.split(".")[1].encode() not in written


def test_who_is_disabled_gets_no_token_and_loses_those_it_has(alice: Place) -> None:
    token = alice.token("--user", "alice", "--connector", "tickets")
    assert alice.json("user", "disable", "alice") == {
        "user": "user:alice",
        "disabled": True,
    }
    assert not alice.counts(token)
    words = ("token", "issue", "--user", "alice", "--connector", "tickets")
    assert "user enable" in alice.run(*words, fails=3).stderr
    assert alice.json("user", "enable", "alice")["disabled"] is False
    assert not alice.counts(token)
    assert alice.counts(alice.token("--user", "alice", "--connector", "tickets"))


def test_an_agent_that_is_disabled_loses_its_users_tokens_too(alice: Place) -> None:
    alice.run("agent", "add", "a")
    words = ("--agent", "a", "--user", "alice", "--connector", "tickets")
    token = alice.token(*words)
    assert alice.json("agent", "disable", "a") == {"agent": "a", "disabled": True}
    assert not alice.counts(token)
    assert "agent enable" in alice.run("token", "issue", *words, fails=3).stderr
    assert alice.json("agent", "enable", "a") == {"agent": "a", "disabled": False}
    assert not alice.counts(token)
    assert alice.counts(alice.token(*words))


@pytest.mark.parametrize(
    "selector",
    [
        ("--user", "alice"),
        ("--user", "user:alice"),
        ("--agent", "bascule-cli"),
        ("--connector", "tickets"),
        ("--all",),
    ],
)
def test_what_is_revoked_ends_and_what_is_issued_next_does_not(
    alice: Place, selector: tuple[str, ...]
) -> None:
    words = ("--user", "alice", "--connector", "tickets")
    before = alice.token(*words)
    done = alice.json("revoke", *selector, "--reason", "lost laptop")
    assert done == {"revoked": 1, "epoch": 1}
    assert not alice.counts(before)
    assert alice.counts(alice.token(*words))
    assert alice.json("revoke", *selector, "--reason", "again")["epoch"] == 2


def test_one_token_is_revoked_by_its_id(alice: Place) -> None:
    words = ("token", "issue", "--user", "alice", "--connector", "tickets")
    first, second = alice.json(*words), alice.json(*words)
    shown = alice.run("revoke", "--jti", first["jti"], "--reason", "r").stdout
    assert shown == f"revoked jti {first['jti']}; live tokens that end: 1\n"
    assert not alice.counts(first["access_token"])
    assert alice.counts(second["access_token"])


def test_a_mistyped_name_shows_in_the_number_of_tokens(alice: Place) -> None:
    alice.token("--user", "alice", "--connector", "tickets")
    shown = alice.run("revoke", "--connector", "tickts", "--reason", "r").stdout
    assert shown == "revoked connector tickts; live tokens that end: 0\n"


def test_a_user_of_a_foreign_issuer_can_be_revoked(place: Place) -> None:
    user = "user:https://idp.example|a|42"
    assert place.json("revoke", "--user", user, "--reason", "left")["revoked"] == 1
    assert place.records()[0]["admin"]["key"] == user


def test_revoking_needs_no_valid_configuration(alice: Place) -> None:
    alice.config.write_text("broken [")
    assert alice.json("revoke", "--all", "--reason", "r")["revoked"] == 1
    alice.run("user", "disable", "alice")


def test_after_a_rotation_old_tokens_stay_valid_unless_it_was_compromised(
    alice: Place,
) -> None:
    words = ("--user", "alice", "--connector", "tickets")
    first = alice.token(*words)
    kid = alice.json("key", "rotate")["kid"]
    assert alice.counts(first)
    second = alice.token(*words)
    assert alice.json("key", "rotate", "--compromised")["kid"] != kid
    assert [alice.counts(it) for it in (first, second, alice.token(*words))] == [
        False,
        False,
        True,
    ]


def test_a_running_server_is_told_of_new_keys(alice: Place) -> None:
    """It looks at the keys when the generation changes."""
    before = (alice.data / "keys" / "generation").read_text()
    alice.run("key", "rotate")
    assert int((alice.data / "keys" / "generation").read_text()) > int(before)


def test_a_database_that_was_restored_trusts_no_token(alice: Place) -> None:
    words = ("--user", "alice", "--connector", "tickets")
    token = alice.token(*words)
    copy = (alice.data / "state.db").read_bytes()
    alice.run("revoke", "--jti", "some", "--reason", "forgotten by the copy")
    for path in alice.data.glob("state.db*"):
        path.unlink()
    (alice.data / "state.db").write_bytes(copy)
    assert not alice.counts(token)
    assert alice.counts(alice.token(*words))


def test_a_database_that_was_lost_trusts_no_token(alice: Place) -> None:
    words = ("--user", "alice", "--connector", "tickets")
    token = alice.token(*words)
    for path in alice.data.glob("state.db*"):
        path.unlink()
    alice.run("user", "add", "alice")
    assert not alice.counts(token)
    assert alice.counts(alice.token(*words))


def test_migrating_says_from_where_to_where(place: Place) -> None:
    assert place.json("db", "migrate") == {"from": None, "to": VERSION}
    assert place.json("db", "migrate") == {"from": VERSION, "to": VERSION}


def test_a_database_of_a_newer_version_is_refused(alice: Place) -> None:
    with closing(
        sqlite3.connect(alice.data / "state.db", isolation_level=None)
    ) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    for words in (
        ("user", "list"),
        ("db", "migrate"),
        ("revoke", "--all", "--reason", "r"),
    ):
        assert "newer version" in alice.run(*words, fails=3).stderr


def test_each_change_leaves_one_record_with_the_os_user(place: Place) -> None:
    place.run("user", "add", "alice", "--group", "support", "--admin")
    place.run("user", "reset", "alice")
    place.run("agent", "add", "a", "--secret", "--redirect-uri", "https://a.example/cb")
    jti = place.json("token", "issue", "--user", "alice", "--connector", "tickets")["jti"]
    place.run("revoke", "--connector", "tickets", "--reason", "why not")
    place.run("user", "disable", "alice")
    place.run("user", "enable", "alice")
    place.run("agent", "disable", "a")
    place.run("agent", "enable", "a")
    place.run("key", "rotate", "--compromised")
    place.run("db", "migrate")
    records = place.records()
    assert [it["type"] for it in records] == [
        "user.add",
        "user.reset",
        "agent.add",
        "token.issue",
        "revoke",
        "user.disable",
        "user.enable",
        "agent.disable",
        "agent.enable",
        "key.rotate",
        "db.migrate",
    ]
    assert all(f"uid {os.getuid()}" in it["admin"]["os_user"] for it in records)
    assert records[0]["user"]["sub"] == "alice"
    assert records[0]["admin"]["groups"] == "support"
    assert records[2]["agent"]["client_id"] == "a"
    assert records[3]["admin"]["jti"] == jti
    assert records[3]["connector"] == "tickets"
    assert records[4]["admin"]["reason"] == "why not"
    assert place.json("audit", "verify")["ok"] is True


def test_what_cannot_be_recorded_is_not_done(alice: Place) -> None:
    """The log's folder is a file now."""
    token = alice.token("--user", "alice", "--connector", "tickets")
    (alice.data / "audit").rename(alice.data / "audit-away")
    (alice.data / "audit").write_text("")
    for words in (
        ("user", "add", "bob"),
        ("user", "disable", "alice"),
        ("agent", "add", "a"),
        ("token", "issue", "--user", "alice", "--connector", "tickets"),
        ("revoke", "--all", "--reason", "r"),
        ("key", "rotate"),
    ):
        assert "error:" in alice.run(*words, fails=3).stderr
    (alice.data / "audit").unlink()
    (alice.data / "audit-away").rename(alice.data / "audit")
    assert [it["user"] for it in alice.lines("user", "list")] == ["user:alice"]
    assert alice.lines("agent", "list") == []
    assert alice.counts(token)


@pytest.mark.parametrize("name", ["tokens-and-revocation.md", "sign-in.md"])
def test_what_a_page_shows_can_be_done_as_it_stands(place: Place, name: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / name
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert len(lines) > 4
    for program, *words in lines:
        assert program == "bascule"
        place.run(*words)


def test_nobody_else_can_read_what_commands_make(alice: Place) -> None:
    alice.token("--user", "alice", "--connector", "tickets")
    assert stat.S_IMODE(alice.data.stat().st_mode) == 0o700
    for path in [*(alice.data / "keys").iterdir(), *alice.data.glob("state.db*")]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
