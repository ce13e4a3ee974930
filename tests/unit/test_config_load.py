"""What a configuration must be, and how all that is wrong with it is told at once."""

from __future__ import annotations

import pytest

from bascule.config.load import ConfigError, load
from bascule.config.model import Config

WHOLE = """\
[server]
public_url = "https://bascule.example"
listen = "0.0.0.0:443"
admin_listen = "127.0.0.1:8421"
database = "file:/run/secrets/db"
tls = { cert = "file:/etc/bascule/cert.pem", key = "file:/etc/bascule/key.pem" }
allowed_hosts = ["bascule.internal.example:8443"]
allowed_origins = ["vscode-file://vscode-app"]

[network]
private = ["tickets.internal.example:443"]

[connectors.time]
command = ["uvx", "mcp-server-time"]
owner = "platform-team"
env = { TZ = "UTC" }
per_user = false
mode = "enforce"

[connectors.tickets]
url = "https://tickets.internal.example/mcp"
owner = "support-eng"
boundary = { reachable_from = ["10.20.0.0/16"], may_reach = ["tickets.example:443"] }
credential = { kind = "static", value = "file:/run/secrets/tickets", shared = true }
may_ask = ["elicitation"]

[toolsets]
"tickets:read" = ["tickets/search", "tickets/get_*"]

[roles.support]
members = ["group:support", "user:alice", "agent:https://a.example/client.json"]
allow = ["tickets:read", "time/*"]

[agents]
default_ceiling = []
[agents.ceilings]
"https://claude.example/client.json" = ["tickets:read", "time/*"]

[scopes]
"tickets.read" = ["tickets:read"]

[issuers.corp]
issuer = "https://login.corp.example"
audiences = { tickets = "api://tickets" }
client_claim = "azp"
groups = { claim = "groups" }

[audit]
copies = ["file:/mnt/worm/bascule-checkpoints"]

[limits]
body_bytes = 1048576
"""


def problems(text: str) -> dict[str, str]:
    """Give what is wrong, by path."""
    with pytest.raises(ConfigError) as caught:
        load(text, source="bascule.toml")
    return {it.path: it.message for it in caught.value.problems}


def test_an_empty_file_is_the_defaults() -> None:
    assert load("", source="bascule.toml") == Config()


def test_every_table_of_the_contract_loads() -> None:
    config = load(WHOLE, source="bascule.toml")
    assert config.connectors["time"].command == ("uvx", "mcp-server-time")
    assert config.connectors["tickets"].credential.header == "Authorization"
    assert config.agents.ceilings == {
        "https://claude.example/client.json": ("tickets:read", "time/*")
    }
    assert config.limits.body_bytes == 1 << 20
    assert config.limits.depth == 64


def test_all_problems_are_told_at_once_each_with_its_place() -> None:
    found = problems(
        """
        surplus = 1
        [server]
        listen = 8420
        public_ulr = "http://localhost"
        [connectors."A b"]
        url = 3
        may_ask = ["sampling", "passwords"]
        boundary = { may_reach = [1] }
        [roles."on.call"]
        allow = "everything"
        [agents.ceilings]
        "https://a.example/c" = ["time/*", 7]
        [issuers.corp]
        issuer = "https://login.example"
        [limits]
        depth = 100000
        body_bytes = 4.5
        """
    )
    assert found == {
        "surplus": "is no setting that Bascule knows",
        "server.listen": "expected `str`, got `int`",
        "server.public_ulr": "is no setting that Bascule knows",
        'connectors."A b"': "must be lower-case letters, digits and inner hyphens, "
        "32 characters at most",
        'connectors."A b".url': "expected `str`, got `int`",
        'connectors."A b".may_ask[1]': "must be `elicitation` or `sampling` or `roots`",
        'connectors."A b".boundary.may_reach[0]': "expected `str`, got `int`",
        'roles."on.call".allow': "expected `array`, got `str`",
        'agents.ceilings."https://a.example/c"[1]': "expected `str`, got `int`",
        "issuers.corp.audiences": "is missing",
        "limits.depth": "expected `int` <= 256",
        "limits.body_bytes": "expected `int`, got `float`",
    }


@pytest.mark.parametrize("table", ["server", "connectors", "roles", "agents", "limits"])
def test_a_value_where_a_table_belongs_is_refused(table: str) -> None:
    assert list(problems(f"{table} = 3")) == [table]


def test_the_error_names_the_file_and_every_place() -> None:
    with pytest.raises(ConfigError) as caught:
        load("[server]\nlisten = 1\nadmin_listen = 2\n", source="x/bascule.toml")
    lines = str(caught.value).splitlines()
    assert lines[0] == "`x/bascule.toml` is not valid:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "server.listen",
        "server.admin_listen",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a = [",
        "a = " + "[" * 10_000 + "]" * 10_000,
        "a = " + "1" * 10_000,
        "a = 1\na = 2",
        "\0",
        "\ufeff[server]",
        "a = 2026-99-99",
    ],
    ids=["open", "deep", "long", "twice", "zero", "mark", "date"],
)
def test_what_is_no_toml_is_one_problem_of_the_file(text: str) -> None:
    assert list(problems(text)) == [""]


@pytest.mark.parametrize(
    "text",
    [
        '[connectors.a]\nurl = "https://u:hunter2@a.example/mcp"',
        '[connectors.a]\nurl = "https://a.example/"\n'
        'credential = { kind = "static", value = "Bearer hunter2" }',
        '[server]\ndatabase = "postgresql://u:hunter2@db.example/b"',
        '[server]\npublic_url = "http://u:hunter2@localhost:8420"',
        '[connectors.a]\ncommand = ["x"]\nenv = { A = "hunter2\\u0000" }',
        '[connectors.a]\nurl = "https://a.example/"\ncredential = { kind = "hunter2" }',
        '[connectors.a]\nurl = "https://a.example/"\n'
        "credential = "
        '{ kind = "static", value = "file:/x", header = "Authorization: hunter2" }',
        '[server]\nallowed_origins = ["https://u:hunter2@a.example/"]',
        '[server]\nallowed_hosts = ["u:hunter2@a.example"]',
        '[audit]\ncopies = ["s3://u:hunter2@a.example"]',
        '[issuers.a]\nissuer = "https://u:hunter2@a.example"\naudiences = {}',
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, source="bascule.toml")
    assert "hunter2" not in str(caught.value)


def test_a_word_that_is_none_of_the_known_ones_is_told_them() -> None:
    found = problems('[connectors.a]\nurl = "https://a.example/"\nmode = "strict"')
    assert found == {"connectors.a.mode": "must be `observe` or `warn` or `enforce`"}


def test_what_is_told_cannot_drive_a_terminal() -> None:
    found = problems('[roles."a\\u001b[2J"]\nmembers = ["b\\u001b[2J"]')
    ((path, message),) = found.items()
    assert (path + message).isprintable()
    assert "b\\x1b[2J" in message
