"""What the configuration declares, and where it differs from the lock."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bascule.config.load import load
from bascule.config.model import Config
from bascule.lock.declared import access_of, differences, launch_of, sandbox_of
from bascule.lock.model import Entry, LockError, Source, Surface

CONFIG = """
[connectors.files]
mode = "observe"
command = ["npx", "-y", "server", "/srv"]
owner = "platform-team"
env = { TOKEN = "file:/run/secrets/token", TZ = "UTC" }
per_user = true
may_ask = ["roots", "elicitation"]
boundary = { may_reach = ["b.example:443", "a.example:443"] }
sandbox = { read = ["/srv"], write = ["/var/tmp/files"], memory_mib = 256, processes = 20 }

[connectors.remote]
mode = "observe"
url = "https://remote.example/mcp"
boundary = { reachable_from = ["10.0.0.0/8"] }
credential = { kind = "static", value = "file:/run/secrets/remote", shared = true }

[toolsets]
"files:read" = ["files/read_*", "files/list", "files/prompt:read_me"]
"files:all" = ["files/*"]
"files:gone" = ["files/removed"]
"remote:read" = ["remote/read_*"]
"""
SURFACE = Surface(
    "5e" * 32, "c0" * 32, tools={"list": ("1",), "read_file": ("2",), "write": ("3",)}
)


def config(old: str = "", new: str = "") -> Config:
    """Read our configuration, with something changed."""
    assert old in CONFIG
    return load(CONFIG.replace(old, new), source="bascule.toml")


def locked(name: str = "files") -> Entry:
    """Lock a connector as it is configured."""
    connector = config().connectors[name]
    return Entry(
        Source("npm", "server"),
        launch_of(connector, ("{node}", "{tree}/server.js", "/srv")),
        access_of(name, config(), SURFACE.tools),
        sandbox=sandbox_of(name, config()),
        surface=SURFACE,
    )


def test_what_is_declared_stands_in_the_entry() -> None:
    entry = locked()
    assert entry.launch.command == ("npx", "-y", "server", "/srv")
    assert entry.launch.env["TOKEN"] == "file:/run/secrets/token"
    assert entry.access.owner == "platform-team"
    assert entry.access.may_ask == ("elicitation", "roots")
    assert entry.sandbox.may_reach == ("a.example:443", "b.example:443")
    assert entry.sandbox.memory_bytes == 256 << 20
    remote = locked("remote")
    assert (remote.launch.transport, remote.launch.url) == (
        "http",
        "https://remote.example/mcp",
    )
    assert remote.access.credential_reference == "file:/run/secrets/remote"
    assert remote.access.reachable_from == ("10.0.0.0/8",)


LABELS = """
[labels]
all = ["files/*"]
egress = ["files:read", "files/resource:https://*", "remote/read_*"]
none = ["files/removed"]
"""


def labelled(text: str = LABELS) -> Config:
    return load(f"{CONFIG}{text}", source="bascule.toml")


def test_labels_are_resolved_against_the_surface() -> None:
    access = access_of("files", labelled(), SURFACE.tools)
    assert access.labels == {
        "all": ("list", "prompt:*", "read_file", "resource:*", "write"),
        "egress": ("list", "prompt:read_me", "read_file", "resource:https://*"),
        "none": (),
    }
    assert access_of("remote", labelled(), ()).labels == {"egress": ()}
    assert locked().access.labels == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("files/resource:https://*", "files/write"),
        ('"files:read", ', ""),
        ('all = ["files/*"]', 'all = ["files/list", "files/read_file", "files/write"]'),
        ('none = ["files/removed"]', 'none = ["files/list"]'),
    ],
)
def test_another_label_is_drift(old: str, new: str) -> None:
    assert old in LABELS
    access = access_of("files", labelled(), SURFACE.tools)
    entry = replace(locked(), access=access)
    assert differences("files", labelled(), entry) == []
    drift = differences("files", labelled(LABELS.replace(old, new)), entry)
    assert [it.part for it in drift] == ["access.labels"]


def test_toolsets_are_resolved_against_the_surface() -> None:
    assert locked().access.toolsets == {
        "files:all": ("list", "read_file", "write"),
        "files:gone": (),
        "files:read": ("list", "read_file"),
    }


@pytest.mark.parametrize("name", ["files", "remote"])
def test_a_fresh_lock_does_not_differ(name: str) -> None:
    assert differences(name, config(), locked(name)) == []


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('"npx", "-y"', '"npx", "--yes"', "launch.command"),
        ('"server", "/srv"', '"server", "/"', "launch.command"),
        ('TZ = "UTC"', 'TZ = "CET"', "launch.env"),
        ("/secrets/token", "/secrets/other", "launch.env"),
        ('owner = "platform-team"', "", "access.owner"),
        ("per_user = true", "per_user = false", "access.per_user"),
        ('["roots", "elicitation"]', '["sampling", "roots"]', "access.may_ask"),
        ('"b.example:443", ', "", "sandbox.may_reach"),
        ('read = ["/srv"]', 'read = ["/etc"]', "sandbox.read"),
        ('"/var/tmp/files"', '"/var/tmp/other"', "sandbox.write"),
        ("memory_mib = 256", "memory_mib = 512", "sandbox.memory_bytes"),
        ("processes = 20", "processes = 0", "sandbox.processes"),
        ('"files/list"', '"files/write"', "access.toolsets"),
        ('"files:all" = ["files/*"]', "", "access.toolsets"),
    ],
)
def test_each_change_is_told_with_both_sides(old: str, new: str, part: str) -> None:
    (found,) = differences("files", config(old, new), locked())
    assert found.part == part
    assert found.want != found.have


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("remote.example/mcp", "other.example/mcp", "launch.url"),
        ("10.0.0.0/8", "0.0.0.0/0", "access.reachable_from"),
        ("/secrets/remote", "/secrets/other", "access.credential_reference"),
    ],
)
def test_a_remote_connector_differs_likewise(old: str, new: str, part: str) -> None:
    (found,) = differences("remote", config(old, new), locked("remote"))
    assert found.part == part


STATIC = 'kind = "static", value = "file:/run/secrets/remote", shared = true'
OF_TOKENS = {
    'kind = "per_user"': {},
    'kind = "per_user", dpop = true, legacy = true': {"dpop": "true", "legacy": "true"},
    'kind = "workload", issuer = "https://as.example", assertion = "file:/run/jwt", '
    'scopes = ["a", "b"], shared = true': {
        "issuer": "https://as.example",
        "assertion": "file:/run/jwt",
        "scopes": "a b",
    },
    'kind = "token_exchange", issuer = "https://as.example", client_id = "us", '
    'client_key = "file:/run/key", audience = "api"': {
        "issuer": "https://as.example",
        "client_id": "us",
        "client_key": "file:/run/key",
        "audience": "api",
    },
}


@pytest.mark.parametrize(("credential", "locked_as"), OF_TOKENS.items())
def test_where_tokens_come_from_is_locked(
    credential: str, locked_as: dict[str, str]
) -> None:
    changed = access_of("remote", config(STATIC, credential), ())
    assert changed.credential_tokens == locked_as
    assert changed.credential == credential.split('"')[1]


def test_a_command_in_place_of_a_url_differs() -> None:
    old = 'url = "https://remote.example/mcp"'
    found = differences("remote", config(old, 'command = ["npx"]'), locked("remote"))
    assert {it.part for it in found} == {"launch.transport", "launch.url", "launch.command"}


def test_what_may_have_private_addresses_is_locked_with_what_is_reached() -> None:
    """Else who changes the configuration lets an approved name lead inside."""
    listed = '[network]\nprivate = ["A.example.:443", "other.example:443"]\n\n[toolsets]'
    (found,) = differences("files", config("[toolsets]", listed), locked())
    assert (found.part, found.have) == ("sandbox.private", '["a.example:443"]')
    assert differences("remote", config("[toolsets]", listed), locked("remote")) == []


def test_a_toolset_may_change_what_it_does_not_cover() -> None:
    assert differences("files", config('"files/removed"', '"files/gone"'), locked()) == []


def test_a_connector_that_is_not_configured_is_an_error() -> None:
    with pytest.raises(LockError, match="not in the configuration"):
        differences("missing", config(), locked())
