"""`secret`, `key rotate --vault`, `user forget`: what is kept, and who can read it."""

from __future__ import annotations

import ctypes
import json
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from bascule.app.place import Place
from bascule.cli.main import main
from bascule.cli.schemas import schema_of
from bascule.config.model import Server
from bascule.config.vault import VaultTable
from bascule.errors import BasculeError
from bascule.storage.store import Transaction
from system.recorder import Recorder

CHILD = Path(__file__).with_name("lock_child.py")
PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4
VALUE = "canary-of-a-secret"


class Commands:
    """A configuration and a data directory, and what commands do with them."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "bascule.toml"
        self.config.write_text("")
        self.data = folder / "data"

    def run(self, *words: str, given: str = "", fails: int = 0) -> Result:
        options = ["--config", str(self.config), "--data-dir", str(self.data)]
        result = CliRunner().invoke(main, [*options, *words], input=given)
        assert result.exit_code == fails, result.output
        return result

    def secret(self, name: str) -> str:
        """Read what `vault:NAME` refers to, as a server that starts now does."""
        with closing(Place(self.data, Server())) as place:
            return place.secrets(VaultTable())(f"vault:{name}")

    def vault_keys(self) -> list[bytes]:
        return [it.read_bytes() for it in sorted((self.data / "keys").glob("vault-*.key"))]


@pytest.fixture
def at(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


def test_a_secret_is_kept_listed_replaced_and_removed(at: Commands) -> None:
    at.run("secret", "set", "tickets", given=f"{VALUE}\n")
    assert at.secret("tickets") == VALUE
    at.run("secret", "set", "vault:tickets", given="newer")
    assert at.secret("tickets") == "newer"
    listed = at.run("secret", "list", "--json").stdout
    Draft202012Validator(schema_of("secret-list")).validate(json.loads(listed))
    assert json.loads(listed) == {"secret": "vault:tickets"}
    at.run("secret", "remove", "tickets")
    with pytest.raises(BasculeError, match="bascule secret set tickets"):
        at.secret("tickets")
    at.run("secret", "remove", "tickets", fails=3)


def test_neither_the_log_nor_the_data_show_it(at: Commands) -> None:
    at.run("secret", "set", "tickets", given=VALUE)
    files = [it for it in at.data.rglob("*") if it.is_file()]
    assert not any(VALUE.encode() in it.read_bytes() for it in files)
    records = at.run("audit", "query", "--json").stdout
    assert VALUE not in records
    assert "secret.set" in records


ASKED = """
[connectors.local]
mode = "observe"
command = ["sh", "-c", '[ "$TOKEN" = "{value}" ] && exec {python} -IS {child} plain']
env = {{ TOKEN = "vault:tickets", TZ = "UTC" }}

[connectors.remote]
mode = "observe"
url = "http://127.0.0.1:{port}/mcp"
credential = {{ kind = "static", header = "X-Key", value = "vault:tickets" }}
"""


def test_commands_that_ask_servers_show_them_what_is_kept(
    at: Commands, upstream: Recorder
) -> None:
    at.run("secret", "set", "tickets", given=VALUE)
    text = ASKED.format(value=VALUE, python=sys.executable, child=CHILD, port=upstream.port)
    at.config.write_text(text)
    # The remote one writes down what comes, and answers nothing that could be read.
    table = at.run("policy", "who-can", "--json", fails=3)
    assert '"local"' in table.stdout
    assert "secret" not in table.stderr
    assert {it.headers.get("x-key") for it in upstream.take()} == {VALUE}
    at.run("lock", "remote", "--with-access")
    assert {it.headers.get("x-key") for it in upstream.take()} == {VALUE}
    at.run("secret", "remove", "tickets")
    assert "bascule secret set tickets" in at.run("policy", "who-can", fails=3).output
    assert upstream.take() == []


def test_a_command_lets_nobody_read_its_memory(at: Commands) -> None:
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0
    try:
        at.run("secret", "list")
        assert libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0
    finally:
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


@pytest.mark.parametrize("given", ["", "\n", "x" * 70_000], ids=["none", "a line", "huge"])
def test_what_is_no_secret_is_wrong_usage(at: Commands, given: str) -> None:
    at.run("secret", "set", "tickets", given=given, fails=2)
    assert at.run("secret", "list", "--json").stdout == ""


@pytest.mark.parametrize("name", ["", "../x", "a b", "-x", "x" * 64])
def test_a_name_is_checked(at: Commands, name: str) -> None:
    at.run("secret", "set", "--", name, given=VALUE, fails=2)


def test_a_rotation_makes_a_new_key_and_drops_those_that_nothing_needs(
    at: Commands,
) -> None:
    at.run("secret", "set", "tickets", given=VALUE)
    first = at.vault_keys()
    for _ in range(3):
        at.run("key", "rotate", "--vault")
        assert at.secret("tickets") == VALUE
    kept = at.vault_keys()
    assert len(kept) == 2
    assert not set(first) & set(kept)
    at.run("key", "rotate", "--vault", "--compromised", fails=2)


def test_a_key_of_ones_own_takes_over_and_the_old_one_is_needed_no_more(
    at: Commands, tmp_path: Path
) -> None:
    references = []
    for name in ("old", "new"):
        path = tmp_path / name
        path.touch(0o600)
        path.write_text(name[0].encode().hex() * 32)
        references.append(f"file:{path}")
    old, new = references
    at.config.write_text(f'[vault]\nkey = "{old}"\n')
    at.run("secret", "set", "tickets", given=VALUE)
    at.config.write_text(f'[vault]\nkey = "{new}"\n')
    refused = at.run("key", "rotate", "--vault", fails=3)
    assert "vault.former" in refused.stderr
    at.config.write_text(f'[vault]\nkey = "{new}"\nformer = ["{old}"]\n')
    at.run("key", "rotate", "--vault")
    with closing(Place(at.data, Server())) as place:
        assert place.secrets(VaultTable(key=new))("vault:tickets") == VALUE
    assert at.vault_keys() == []


def test_who_is_forgotten_leaves_nothing_that_can_be_read(at: Commands) -> None:
    at.run("user", "add", "alice")
    with closing(Place(at.data, Server())) as place:
        vault, store = place.vault(VaultTable()), place.open_state()

        def keep(conn: Transaction) -> None:
            for owner in ("user:alice", "user:bob"):
                vault.put(conn, owner, "token", VALUE.encode())

        store.run(keep)
        at.run("user", "forget", "alice")
        read = partial(vault.get, name="token")
        assert store.read(partial(read, owner="user:alice")) is None
        assert store.read(partial(read, owner="user:bob")) == VALUE.encode()
    users = [json.loads(it) for it in at.run("user", "list", "--json").stdout.splitlines()]
    assert [it["disabled"] for it in users] == [True]
