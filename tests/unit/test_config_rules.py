"""Rules that a configuration must keep beside its types."""

from __future__ import annotations

import pytest

from bascule.config.load import ConfigError, load
from bascule.config.rules import exposure_problems


def paths(text: str) -> list[str]:
    """Give the places where something is wrong."""
    try:
        load(text, source="bascule.toml")
    except ConfigError as exc:
        return [it.path for it in exc.problems]
    return []


def connector(settings: str) -> list[str]:
    return paths(f"[connectors.a]\n{settings}\n")


@pytest.mark.parametrize("path", ["/srv/files", "/a", "/a b/.c"])
def test_a_sandbox_has_absolute_paths(path: str) -> None:
    for key in ("read", "write"):
        assert connector(f'command = ["a"]\nsandbox.{key} = ["{path}"]') == []


@pytest.mark.parametrize(
    "path", ["", "/", "files", "/a/", "/a//b", "/a/../b", "/./a", "~/a"]
)
def test_other_paths_are_not_let_into_a_sandbox(path: str) -> None:
    for key in ("read", "write"):
        found = connector(f'command = ["a"]\nsandbox.{key} = ["/b", "{path}"]')
        assert found == [f"connectors.a.sandbox.{key}[1]"]


def test_a_sandbox_is_for_commands() -> None:
    found = connector('url = "https://a.example/"\nsandbox.read = ["/b"]')
    assert found == ["connectors.a.sandbox"]


@pytest.mark.parametrize("settings", ["", 'url = "https://a.example/"\ncommand = ["a"]'])
def test_a_connector_has_exactly_one_of_url_and_command(settings: str) -> None:
    assert connector(settings) == ["connectors.a"]


@pytest.mark.parametrize(
    "url",
    [
        "https://tickets.internal.example/mcp",
        "https://tickets.internal.example:8443/a/b?c=d",
        "http://localhost:3000/mcp",
        "http://127.0.0.1:3000/mcp",
        "http://[::1]:3000/mcp",
    ],
)
def test_https_and_http_to_loopback_are_urls_of_connectors(url: str) -> None:
    assert connector(f'url = "{url}"') == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tickets.example/mcp",
        "ftp://tickets.example/",
        "https://",
        "https:///mcp",
        "https://tickets.example:0/",
        "https://tickets.example:99999/",
        "https://tickets.example:x/",
        "https://tick ets.example/",
        "https://tickets.example/\\nHost: other",
        "https://tickets.example\\\\@other.example/",
        "https://tickets.example/\\\\..\\\\other",
        "https://tickets.example/\\u00e9",
        "https://t\\u00efckets.example/",
        "https://[::1/",
        "https://[1.2.3.4]/",
        "https://user@tickets.example/",
        "https://user:password@tickets.example/",
        "https://tickets.example/mcp#part",
        "http://tickets.example/mcp",
        "http://localhost.evil.example/mcp",
        "http://127.0.0.1.evil.example/mcp",
        "http://0.0.0.0:3000/mcp",
    ],
)
def test_other_urls_of_connectors_are_refused(url: str) -> None:
    assert connector(f'url = "{url}"') == ["connectors.a.url"]


def test_cleartext_needs_its_own_word() -> None:
    url = 'url = "http://tickets.example/mcp"'
    assert connector(f"{url}\nunsafe_cleartext = true") == []


def test_a_line_end_cannot_hide_behind_a_name() -> None:
    text = '[connectors."a\\n"]\nurl = "https://a.example/"'
    assert paths(text) == ['connectors."a\\n"']


@pytest.mark.parametrize(
    "name", ["-a", "a-", "A", "a_b", "a.b", "a/b", "a b", "", "a" * 33, "\u00e9", ".."]
)
def test_names_that_would_not_stand_in_a_url_are_refused(name: str) -> None:
    assert len(paths(f'[connectors."{name}"]\nurl = "https://a.example/"')) == 1


@pytest.mark.parametrize("command", ["[]", '[""]', '["a", "b\\u0000c"]'])
def test_a_command_names_a_program(command: str) -> None:
    assert connector(f"command = {command}") == ["connectors.a.command"]


@pytest.mark.parametrize("name", ["1A", "A-B", "A=B", "", "A B"])
def test_names_that_no_environment_can_hold_are_refused(name: str) -> None:
    found = connector(f'command = ["a"]\nenv = {{ "{name}" = "x" }}')
    assert len(found) == 1
    assert found[0].startswith("connectors.a.env.")


def test_an_environment_is_for_commands() -> None:
    assert connector('url = "https://a.example/"\nenv = { A = "b" }') == [
        "connectors.a.env"
    ]


@pytest.mark.parametrize(
    "header",
    [
        "Host",
        "content-length",
        "Content-Type",
        "Transfer-Encoding",
        "Mcp-Name",
        "MCP-Session-Id",
        "X-A: b\\r\\nHost",
        "",
        "X A",
    ],
)
def test_a_credential_cannot_take_the_place_of_our_own_headers(header: str) -> None:
    credential = f'{{ kind = "static", header = "{header}", value = "file:/x" }}'
    assert connector(f'url = "https://a.example/"\ncredential = {credential}') == [
        "connectors.a.credential.header"
    ]


def test_a_static_credential_has_a_value() -> None:
    text = 'url = "https://a.example/"\ncredential = { kind = "static" }'
    assert connector(text) == ["connectors.a.credential.value"]


def test_a_value_without_its_kind_is_not_silently_ignored() -> None:
    text = 'url = "https://a.example/"\ncredential = { value = "file:/x" }'
    assert connector(text) == ["connectors.a.credential"]


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8420/",
        "http://localhost:8420/base",
        "http://localhost:8420?",
        "http://localhost:8420#",
        "http://u@localhost:8420",
        "http://Localhost:8420",
        "HTTP://localhost:8420",
        "http://bascule.example",
        "https://bascule.example:443",
        "http://localhost:80",
        "localhost:8420",
        "",
    ],
)
def test_other_public_urls_are_refused(url: str) -> None:
    assert paths(f'[server]\npublic_url = "{url}"') == ["server.public_url"]


@pytest.mark.parametrize(
    "url", ["http://localhost", "http://[::1]:8420", "https://bascule.example:8443"]
)
def test_public_urls_are_origins(url: str) -> None:
    assert paths(f'[server]\npublic_url = "{url}"') == []


@pytest.mark.parametrize(
    ("setting", "value", "path"),
    [
        ("listen", '"8420"', "listen"),
        ("listen", '"localhost"', "listen"),
        ("listen", '":8420"', "listen"),
        ("listen", '"*:8420"', "listen"),
        ("listen", '"::1:8420"', "listen"),
        ("listen", '"[localhost]:8420"', "listen"),
        ("listen", '"localhost:65536"', "listen"),
        ("listen", '"localhost:+80"', "listen"),
        ("listen", '"localhost:\u0668\u0660"', "listen"),
        ("admin_listen", '"a b:1"', "admin_listen"),
        ("database", '"postgresql://db.example/b"', "database"),
        ("database", '"mysql"', "database"),
        ("behind_proxy", '["10.0.0.0/8", "10.0.0.1/8"]', "behind_proxy[1]"),
        ("behind_proxy", '["proxy.example"]', "behind_proxy[0]"),
        ("behind_proxy", '["0.0.0.0/0"]', "behind_proxy[0]"),
        ("behind_proxy", '["::/0"]', "behind_proxy[0]"),
        ("allowed_hosts", '["*"]', "allowed_hosts[0]"),
        ("allowed_hosts", '["https://a.example"]', "allowed_hosts[0]"),
        ("allowed_hosts", '["u@a.example"]', "allowed_hosts[0]"),
        ("allowed_origins", '["*"]', "allowed_origins[0]"),
        ("allowed_origins", '["null"]', "allowed_origins[0]"),
        ("allowed_origins", '["https://*.example"]', "allowed_origins[0]"),
        ("allowed_origins", '["https://a.example/"]', "allowed_origins[0]"),
        ("tls", '{ cert = "env:A", key = "file:/b" }', "tls.cert"),
    ],
)
def test_other_settings_of_the_server_are_refused(
    setting: str, value: str, path: str
) -> None:
    assert paths(f"[server]\n{setting} = {value}") == [f"server.{path}"]


def test_a_key_that_wraps_keys_is_of_no_use_with_files() -> None:
    key = 'key_encryption = "env:KEY"'
    assert paths(f"[server]\n{key}") == ["server.key_encryption"]
    assert paths(f'[server]\ndatabase = "env:DB"\n{key}') == []


@pytest.mark.parametrize("member", ["", "alice", "user:", "everybody:x", "User:alice"])
def test_a_member_says_what_it_is(member: str) -> None:
    assert paths(f'[roles.r]\nmembers = ["user:a", "{member}"]') == ["roles.r.members[1]"]


@pytest.mark.parametrize("name", ["time", "time:", "nobody:read", ":read"])
def test_a_toolset_belongs_to_a_known_connector(name: str) -> None:
    text = f'[connectors.time]\ncommand = ["t"]\n[toolsets]\n"{name}" = []'
    assert len(paths(text)) == 1


@pytest.mark.parametrize(
    ("issuer", "sound"),
    [
        ("https://login.example/tenant", True),
        ("http://localhost:9000", True),
        ("http://login.example", False),
        ("https://login.example?a=b", False),
        ("login.example", False),
        ("http://localhost:8420", False),
    ],
)
def test_a_foreign_issuer_is_an_https_url_and_not_bascule(issuer: str, sound: bool) -> None:
    text = f'[issuers.corp]\nissuer = "{issuer}"\naudiences = {{}}'
    assert paths(text) == ([] if sound else ["issuers.corp.issuer"])


def test_a_certificate_is_demanded_only_where_one_can_be_shown() -> None:
    connector = '[connectors.time]\ncommand = ["x"]\nrequire = "mtls"\n'
    text = f'{connector}[agents.require]\na = "mtls"\n'
    assert paths(text) == ["connectors.time.require", "agents.require.a"]
    tls = '[server]\ntls = { cert = "file:c", key = "file:k", client_ca = "file:a" }\n'
    assert paths(tls + text) == []


def test_tokens_for_one_connector_are_shown_to_one_issuer() -> None:
    def table(name: str, endpoint: str = "https://x.example/i") -> str:
        return f"""[issuers.{name}]
issuer = "https://{name}.example"
audiences = {{ time = "api://time" }}
[issuers.{name}.introspection]
endpoint = "{endpoint}"
client_id = "bascule"
client_secret = "env:SECRET"
"""

    connector = '[connectors.time]\ncommand = ["x"]\n'
    assert paths(connector + table("a")) == []
    assert paths(connector + table("a") + table("b")) == ["issuers.b.introspection"]
    unsafe = table("a", "http://x.example/i")
    assert paths(connector + unsafe) == ["issuers.a.introspection.endpoint"]


def test_two_tables_for_one_issuer_are_refused() -> None:
    table = 'issuer = "https://login.example"\naudiences = {}\n'
    assert paths(f"[issuers.a]\n{table}[issuers.b]\n{table}") == ["issuers.b.issuer"]


def test_an_audience_belongs_to_a_known_connector() -> None:
    text = '[issuers.a]\nissuer = "https://a.example"\naudiences = { time = "x" }'
    assert paths(text) == ["issuers.a.audiences.time"]


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ('audiences = { a = "x", b = "x" }', ["audiences.a", "audiences.b"]),
        ('audiences = { a = "x", b = "" }', ["audiences.b"]),
        ('audiences = { a = "x" }\ngroups = { claim = "" }', ["groups.claim"]),
        ('audiences = {}\njwks_uri = "http://keys.example"', ["jwks_uri"]),
        ('audiences = {}\njwks_uri = "https://user@keys.example"', ["jwks_uri"]),
        ('audiences = {}\njwks_uri = "https://keys.example/keys?v=2"', []),
        ('audiences = {}\njwks_uri = "http://127.0.0.1:9000/keys"', []),
    ],
)
def test_the_settings_of_an_issuer_are_sound(setting: str, place: list[str]) -> None:
    connectors = "".join(f'[connectors.{it}]\ncommand = ["x"]\n' for it in "ab")
    text = f'{connectors}[issuers.corp]\nissuer = "https://login.example"\n{setting}'
    assert paths(text) == [f"issuers.corp.{it}" for it in place]


def test_an_issuer_has_no_character_that_ends_it_in_names() -> None:
    text = '[issuers.corp]\nissuer = "https://login.example/a|b"\naudiences = {}'
    assert paths(text) == ["issuers.corp.issuer"]


@pytest.mark.parametrize("copy", ["/mnt/worm", "file:relative", "s3://bucket", "file:"])
def test_a_copy_is_an_absolute_directory(copy: str) -> None:
    assert paths(f'[audit]\ncopies = ["{copy}"]') == ["audit.copies[0]"]


def exposures(settings: str) -> list[str]:
    return exposure_problems(load(f"[server]\n{settings}\n", source="bascule.toml"))


def test_the_defaults_expose_nothing() -> None:
    assert exposures("") == []


BEYOND_LOOPBACK = ["[::]", "192.0.2.7", "10.1.2.3", "bascule.example", "localhost.example"]
TLS = 'tls = { cert = "file:/c", key = "file:/k" }'


@pytest.mark.parametrize("host", BEYOND_LOOPBACK)
@pytest.mark.parametrize("key", ["listen", "admin_listen"])
def test_a_bind_beyond_loopback_needs_tls_or_a_proxy(host: str, key: str) -> None:
    (sentence,) = exposures(f'{key} = "{host}:8420"')
    assert f"server.{key}" in sentence
    assert "server.tls" in sentence
    assert "--behind-proxy" in sentence
    assert exposures(f'{key} = "{host}:8420"\n{TLS}') == []
    assert exposures(f'{key} = "{host}:8420"\nbehind_proxy = ["10.0.0.0/8"]') == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_loopback_needs_no_protection(host: str) -> None:
    assert exposures(f'listen = "{host}:0"\nadmin_listen = "{host}:0"') == []


def with_credential(members: str, allow: str, *, shared: str = "false") -> list[str]:
    """Give the problems of a static credential with a role that gives something of it."""
    return paths(
        '[connectors.a]\nurl = "https://a.example/"\n'
        f'credential = {{ kind = "static", value = "file:/x", shared = {shared} }}\n'
        '[toolsets]\n"a:read" = ["a/get"]\n'
        f"[roles.r]\nmembers = {members}\nallow = {allow}\n"
    )


@pytest.mark.parametrize("members", ['["user:alice", "user:bob"]', '["group:support"]'])
@pytest.mark.parametrize("allow", ['["a/*"]', '["b/*", "a/get"]', '["a:read"]'])
def test_a_credential_of_several_users_has_to_say_so(members: str, allow: str) -> None:
    assert with_credential(members, allow) == ["connectors.a.credential.shared"]
    assert with_credential(members, allow, shared="true") == []


@pytest.mark.parametrize(
    ("members", "allow"),
    [
        ('["user:alice"]', '["a/*"]'),
        ('["user:alice", "agent:robot"]', '["a/*"]'),
        ('["group:support"]', '["b/*"]'),
        ('["group:support"]', '["ab/a/*"]'),
        ('["group:support"]', "[]"),
    ],
)
def test_a_credential_of_one_user_needs_no_word(members: str, allow: str) -> None:
    assert with_credential(members, allow) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('approvers = ["a", "b@example.com"]\nquorum = 2', []),
        ('approvers = ["a", "a"]\nquorum = 2', ["approvals.quorum"]),
        ('approvers = ["a b"]', ["approvals.approvers[0]"]),
        ('break_glass = ["*"]', ["approvals.break_glass[0]"]),
        (
            'change_by = ["a"]\nrules.x = { owners = ["o"], quorum = 2 }',
            ["approvals.change_by"],
        ),
        ("rules.x = { quorum = 2 }", ["approvals.rules.x"]),
        (
            'rules.x = { connectors = ["*"], quorum = 2, approvers = ["a"] }',
            ["approvals.rules.x.quorum"],
        ),
        ("quorum = 0", ["approvals.quorum"]),
        ("longest_days = 91", ["approvals.longest_days"]),
        ("rules.x = { change_by = [] }", ["approvals.rules.x.change_by"]),
    ],
)
def test_rules_of_approvals_can_be_fulfilled(text: str, found: list[str]) -> None:
    assert paths(f"[approvals]\n{text}\n") == found


@pytest.mark.parametrize(
    ("name", "good"),
    [
        *(("acme-*", True), ("@acme/*", True), ("@acme/x*", True), ("Acme_Tickets", True)),
        *(
            ("*", False),
            ("@*/*", False),
            ("", False),
            ("a b", False),
            ("*-acme", True),
            ("a/b", False),
        ),
    ],
)
def test_own_names_are_names_of_packages(name: str, good: bool) -> None:
    found = paths(f'[locking]\nown_names = ["{name}"]\n')
    assert found == ([] if good else ["locking.own_names[0]"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('approvers = ["group:leads", "user:bob"]\nquorum = 9', []),
        ("self_approval = true", []),
        ("destructive = true", []),
        ('approvers = ["bob"]', ["call_approvals.x.approvers[0]"]),
        ('approvers = ["user:"]', ["call_approvals.x.approvers[0]"]),
        ('approvers = ["agent:bob"]', ["call_approvals.x.approvers[0]"]),
        ('approvers = ["user:bob", "user:bob"]\nquorum = 2', ["call_approvals.x.quorum"]),
        ('approvers = ["user:bob"]\nself_approval = true\nquorum = 2', []),
        ("quorum = 2", ["call_approvals.x.quorum"]),
        ("quorum = 0", ["call_approvals.x.quorum"]),
    ],
)
def test_rules_of_call_approvals_can_be_fulfilled(text: str, found: list[str]) -> None:
    assert paths(f"[call_approvals.x]\n{text}\n") == found


def test_a_rule_of_call_approvals_has_a_plain_name() -> None:
    assert paths('[call_approvals."a:b"]\n') == ['call_approvals."a:b"']


LABELS = """
[connectors.a]
url = "https://a.example/"
[labels]
in = ["a/read"]
out = ["a/send"]
[call_approvals.leads]
self_approval = true
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('after = ["in"]\nclose = ["out"]', []),
        ('after_all = ["in", "out"]', []),
        ('after = ["in"]\nclose = ["out"]\nthen = "approve"\nrule = "leads"', []),
        ('after = ["in"]\nthen = "approve"\nrule = "default"', []),
        ('close = ["out"]', ["flows.x"]),
        ('after = ["In"]\nclose = ["oh", "out"]', ["flows.x.after[0]", "flows.x.close[0]"]),
        ('after_all = ["in", "oh"]', ["flows.x.after_all[1]"]),
        ('after = ["in"]\nrule = "leads"', ["flows.x.rule"]),
        ('after = ["in"]\nthen = "approve"\nrule = "oh"', ["flows.x.rule"]),
        ('after = ["in"]\nminutes = 0', ["flows.x.minutes"]),
        ('after = ["in"]\nthen = "allow"', ["flows.x.then"]),
    ],
)
def test_flows_begin_and_close_by_labels_that_there_are(
    text: str, found: list[str]
) -> None:
    assert paths(f"{LABELS}[flows.x]\n{text}\n") == found


def test_a_label_counts_for_one_time() -> None:
    one = '[flows.x]\nafter = ["in"]\nminutes = 5\n'
    same = '[flows.y]\nafter_all = ["in", "out"]\nminutes = 5\n'
    other = '[flows.z]\nafter_all = ["out", "in"]\nminutes = 6\n'
    assert paths(LABELS + one + same) == []
    assert paths(LABELS + one + other) == ["flows.z.minutes"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('of = ["a/*"]\ncalls = 1', []),
        ('of = ["a/*"]\ncalls = 1\nby = []\nper = "day"', []),
        ("of = []\ncalls = 1", ["rates.x.of"]),
        ('of = ["a/*"]\ncalls = 0', ["rates.x.calls"]),
        ('of = ["a/*"]', ["rates.x.calls"]),
        ('of = ["a/*"]\ncalls = 1\nby = ["group"]', ["rates.x.by[0]"]),
        ('of = ["a/*"]\ncalls = 1\nper = "week"', ["rates.x.per"]),
    ],
)
def test_rates_count_something(text: str, found: list[str]) -> None:
    assert paths(f"{LABELS}[rates.x]\n{text}\n") == found


@pytest.mark.parametrize("table", ["flows", "rates"])
def test_flows_and_rates_have_plain_names(table: str) -> None:
    setting = 'after = ["in"]' if table == "flows" else 'of = ["a/*"]\ncalls = 1'
    assert paths(f'{LABELS}[{table}."a/b"]\n{setting}\n') == [f'{table}."a/b"']


def test_who_vouches_must_be_somebody() -> None:
    credential = (
        '[connectors.a]\nurl = "https://a.example"\n[connectors.a.credential]\n'
        'kind = "id_jag"\nissuer = "https://as.example"\nclient_id = "x"\n'
        'client_secret = "env:X"\n'
    )
    provider = (
        '[providers.corp]\nissuer = "https://idp.example"\nclient_id = "x"\n'
        'client_secret = "env:X"\n'
    )
    assert paths(credential) == ["connectors.a.credential.kind"]
    assert paths(credential + provider) == []


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("spiffe://corp.example/ns/shop", True),
        ("dns:agent.corp.example", True),
        ("dns:*.corp.example", False),
        ("spiffe://corp.example/*", False),
        ("dns:Agent.example", False),
        ("dns:", False),
        ("agent.example", False),
        ("CN=agent", False),
    ],
)
def test_names_in_certificates_stand_in_full(name: str, good: bool) -> None:
    table = f'[agents.certificates]\nnightly = "{name}"\n'
    tls = (
        '[server]\npublic_url = "https://localhost:8420"\n'
        'tls = { cert = "file:/c", key = "file:/k", client_ca = "file:/a" }\n'
    )
    where = "agents.certificates.nightly"
    assert paths(tls + table) == ([] if good else [where])
    assert where in paths(table)  # without an authority, nobody can show one
