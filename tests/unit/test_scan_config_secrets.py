"""Secrets in clients' files are found wherever they stand, and shown nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import encode

from bascule.scan.clients.places import Home
from bascule.scan.configs import scan_configs
from bascule.scan.plain_secrets import names_secret, secret_in
from bascule.scan.redaction import LEFT_OUT, redacted, redacted_command, redacted_url
from bascule.scan.report import Report

pytestmark = pytest.mark.on_disk

SENTINEL = "Sentinel-7f3a9c-Value"


def report_of(home: Path, server: dict[str, Any], name: str = "one") -> Report:
    path = home / ".cursor/mcp.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"mcpServers": {name: server}}))
    return scan_configs([Home(str(home), "linux")]).report


@pytest.mark.parametrize(
    "server",
    [
        {"command": "x", "env": {"API_TOKEN": SENTINEL}},
        {"command": "x", "env": {"apiKey": SENTINEL}},
        {"command": "x", "env": {"DB_PASSWORD": SENTINEL}},
        {"command": "x", "args": ["--api-key", SENTINEL]},
        {"command": "x", "args": [f"--api-key={SENTINEL}"]},
        {"command": "x", "args": [f"--token={SENTINEL}", "serve"]},
        {"command": "x", "args": ["--password", SENTINEL]},
        {"command": "x", "args": ["--header", f"Authorization: Bearer {SENTINEL}"]},
        {"command": "x", "args": ["-H", f"X-Api-Key:{SENTINEL}"]},
        {"command": "x", "args": [f"Authorization: Bearer {SENTINEL}"]},
        {"command": "docker", "args": ["run", "-e", f"TOKEN={SENTINEL}", "mcp/x"]},
        {"command": "docker", "args": ["run", f"--env=TOKEN={SENTINEL}", "mcp/x"]},
        {"command": "env", "args": [f"TOKEN={SENTINEL}", "npx", "-y", "x"]},
        {"command": "x", "args": [f"postgresql://alice:{SENTINEL}@db.example/x"]},
        {"command": "x", "args": [f"https://x.example/mcp?token={SENTINEL}"]},
        {"command": f"npx -y x --api-key {SENTINEL}"},
        {"command": ["npx", "-y", "x", "--api-key", SENTINEL]},
        {"command": {"path": "x", "args": ["--secret", SENTINEL]}},
        {"command": "sh", "args": ["-c", f"API_KEY={SENTINEL} npx -y x"]},
        {"command": "sh", "args": ["-c", f"curl https://x | sh -s -- --token {SENTINEL}"]},
        {"command": "x", "args": ["--config", json.dumps({"apiKey": SENTINEL})]},
        {"command": "x", "args": [f"Server=db;Password={SENTINEL};"]},
        {"url": f"https://alice:{SENTINEL}@x.example/mcp"},
        {"url": f"https://x.example/mcp?token={SENTINEL}"},
        {"url": f"https://x.example/mcp?a=b&api_key={SENTINEL}"},
        {"url": f"https://x.example/mcp#access_token={SENTINEL}"},
        {
            "url": "https://x.example/mcp",
            "headers": {"Authorization": f"Bearer {SENTINEL}"},
        },
        {"url": "https://x.example/mcp", "headers": {"X-Api-Key": SENTINEL}},
        {"url": "https://x.example/mcp", "headers": {"Cookie": f"session={SENTINEL}"}},
        {"url": "https://x.example/mcp", "bearer_token": SENTINEL},
        {"url": "https://x.example/mcp", "oauth": {"client_secret": SENTINEL}},
        {"command": "x", "env": {"API_TOKEN": f"${{API_TOKEN:-{SENTINEL}}}"}},
        {"command": "x", "env": {"API_TOKEN": f"${{PREFIX}}{SENTINEL}"}},
    ],
)
def test_a_secret_is_found_where_it_stands_and_never_shown(
    server: dict[str, Any], tmp_path: Path
) -> None:
    report = report_of(tmp_path, server)
    written = encode(report).decode()
    assert SENTINEL not in written
    assert "7f3a9c" not in written
    if "#" not in server.get("url", ""):
        assert "plain-secret" in {it.rule for it in report.findings}, written


@pytest.mark.parametrize(
    "value",
    [
        "${TOKEN}",
        "${env:TOKEN}",
        "${input:token}",
        "${{ secrets.TOKEN }}",
        "{env:TOKEN}",
        "{file:~/token}",
        "$TOKEN",
        "%TOKEN%",
        "$(pass show token)",
        "${TOKEN:-}",
        "Bearer ${TOKEN}",
        "op://vault/item/field",
        "keyring:token",
        "env:TOKEN",
        "<your key>",
        "<TOKEN>",
        "YOUR_API_KEY",
        "your-token-here",
        "xxx",
        "xxxxxxxxxxxx",
        "sk-xxxxxxxxxxxxxxxxxxxx",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "sk-...",
        "********",
        "changeme",
        "insert-token",
        "/run/secrets/token",
        "~/.config/token.txt",
        "true",
        "",
    ],
)
def test_a_reference_or_a_placeholder_is_no_secret(value: str) -> None:
    assert secret_in("API_TOKEN", value) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_TOKENS", "4096"),
        ("TOKEN_LIMIT", "100000"),
        ("AUTH_TYPE", "oauth"),
        ("CLIENT_ID", "0oa1b2c3d4e5f6g7h8i9"),
        ("TOKEN_FILE", "/run/token"),
        ("API_KEY_HEADER", "X-Custom-Key-Header"),
        ("AWS_REGION", "eu-central-1"),
        ("BASE_URL", "https://api.example.com/v1/projects"),
        ("PROJECT", "0b9a7c9e-6b0d-4d27-9e6f-6a1d3b1c9f00"),
        ("GIT_COMMIT", "5f2c0d9b7a6e4c3d2b1a09f8e7d6c5b4a3f2e1d0"),
        ("NODE_OPTIONS", "--max-old-space-size=4096"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("SERVICE", "my-company-internal-service-name-production"),
        ("SORT_KEY", "name"),
        ("PACKAGE", "@acme/task-management-server-2000-edition"),
        ("PACKAGE", "pypi-attestations-and-more-things"),
        ("MODEL", "hf_transfer_enabled_for_everybody"),
        ("PACKAGE", "sk-learn-for-everybody-and-all"),
    ],
)
def test_what_is_no_secret_is_not_called_one(name: str, value: str) -> None:
    assert secret_in(name, value) is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5", "a GitHub token"),
        ("github_pat_" + "11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVwXyZ", "a GitHub token"),
        ("sk-ant-api03-" + "aB3dE5gH7jK9mN1p", "an Anthropic key"),
        ("sk-proj-" + "aB3dE5gH7jK9mN1pQ3sT5vW7", "a key of a model's provider"),
        ("AKIA" + "Q3EGTZ7XKJ2WMPLN", "an AWS key"),
        ("xoxb-" + "1234567890-abcdefghijkl", "a Slack token"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "a signed token"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nx", "a private key"),
        ("postgres://alice:hunter2@db/x", "a password in a URL"),
        ("https://x.example/?api_key=a8s7d6f5g4h3", "a token in a URL"),
        ("q8Zr4Lw1Xk9Tn3Vb7Mc5Jd2H", "a random text"),
        ("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", "a random text"),
    ],
)
def test_a_secret_is_known_by_its_look_whatever_its_name(value: str, kind: str) -> None:
    assert secret_in("SETTING", value) == kind
    assert value not in redacted(f"say {value} now")


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "apiKey", "--password", "X-Auth-Token"])
def test_names_of_secrets_are_known_in_each_spelling(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize(
    "text",
    [
        f"OPTS=TOKEN={SENTINEL}",
        f"npx --verbose TOKEN={SENTINEL} x",
        f"x --foo --api-key {SENTINEL}",
        f"x --header 'Authorization: Bearer {SENTINEL}'",
        f'{{\\"apiKey\\": \\"{SENTINEL}\\"}}',
        f"token={{password={SENTINEL}",
        f"password=token={SENTINEL};x",
        f"curl -u alice:{SENTINEL} https://x",
        f"export GITHUB_TOKEN={SENTINEL}; npx y",
    ],
)
def test_a_secret_within_a_text_is_left_out(text: str) -> None:
    assert SENTINEL not in redacted(text)
    assert all(SENTINEL not in word for word in redacted_command(["sh", "-c", text]))


@given(
    st.text(alphabet="-= :\"'{}abTOKENtoken/@?&;\\$\n", max_size=60), st.text(max_size=40)
)
def test_redacting_never_raises_and_never_shows_what_follows_a_token(
    before: str, after: str
) -> None:
    redacted(before + after)
    redacted_url(before + after)
    redacted_command([before, after])
    assert SENTINEL not in redacted(f"{before} API_TOKEN={SENTINEL} {after}")


@pytest.mark.parametrize(
    "command",
    [
        ["mysql-mcp", "-p", "hunter2"],
        ["mysql-mcp", "-phunter2"],
        ["sh", "-c", "exec mysql-mcp  -u bob -phunter2 db"],
        ["sh", "-c", "mysql-mcp -p hunter2"],
        ["curl-mcp", "-k", "hunter2"],
        ["tool.exe", "/p:hunter2"],
        ["docker", "run", "img", "https://x.example/mcp;token=hunter2"],
    ],
)
def test_what_may_be_a_password_by_a_short_option_is_not_shown(command: list[str]) -> None:
    assert all("hunter2" not in word for word in redacted_command(command))


@pytest.mark.parametrize(
    "command",
    [
        ("npx", "-p", "@scope/tool", "tool"),
        ("/usr/bin/uvx", "-p", "3.12", "tool"),
        ("docker", "run", "-p", "127.0.0.1:8080:80/tcp", "img"),
        ("server", "-port", "8080", "-k", "/etc/key.pem"),
        ("server", "-p", "${PASSWORD}"),
        ("sh", "-c", " docker run  -p 8080:80 img\n"),
    ],
)
def test_ports_packages_and_paths_of_short_options_stay_readable(
    command: tuple[str, ...],
) -> None:
    assert redacted_command(command) == command


@pytest.mark.parametrize(
    "url",
    [
        "htt~s://bob:hunter2@x.example/mcp",
        "bob:hunter2@x.example/mcp",
        "x.example/mcp?token=hunter2",
        "//bob:hunter2@x.example/mcp",
        "https:/bob:hunter2@x.example/mcp",
        "file:///bob:hunter2@x.example/mcp",
    ],
)
def test_what_is_no_url_shows_no_password_either(url: str) -> None:
    assert "hunter2" not in redacted_url(url)


def test_urls_within_urls_have_an_end() -> None:
    nested = "https://a.example/x?" * 2000 + "https://bob:hunter2@x.example?token=hunter2"
    assert "hunter2" not in redacted_url(nested[-4000:])
    assert "hunter2" not in redacted(nested[-4000:])


def test_parameters_of_a_path_are_left_out() -> None:
    assert redacted_url("https://x.example/mcp;token=hunter2;v=1/tools") == (
        f"https://x.example/mcp;token={LEFT_OUT};v=1/tools"
    )


def test_what_is_no_secret_stays_readable() -> None:
    command = ("npx", "-y", "@acme/tool@1.2.3", "--port", "3000", "/home/alice/My Files")
    assert redacted_command(command) == command
    assert redacted_command(["x", "--token", "${TOKEN}"]) == ("x", "--token", "${TOKEN}")
    url = "https://x.example:8443/c/tickets/mcp?profile=work"
    assert redacted_url(url) == url
    docker = ("docker", "run", "-i", "--rm", "-e", "TOKEN", f"mcp/x@sha256:{'a1' * 32}")
    assert redacted_command(docker)[:6] == docker[:6]


def test_a_path_with_capitals_and_numbers_is_shown() -> None:
    words = ("x", "/Users/Alice/Documents/Projects2024", "--dir=/Users/Alice/Work/Rel2024")
    assert redacted_command(words) == words
    assert redacted_command(["x", "/srv/q8Zr4Lw1Xk9Tn3Vb7Mc5Jd2H"])[1] == LEFT_OUT


def test_a_digest_of_an_image_is_no_secret_and_is_shown() -> None:
    image = f"mcp/x@sha256:{'a1' * 32}"
    assert redacted_command(["docker", "run", image])[-1] == image


def test_a_password_that_holds_an_at_sign_is_left_out() -> None:
    assert SENTINEL not in redacted_url(f"https://a:{SENTINEL}@b@x.example/mcp")
    assert redacted_url("https://alice:pw@x.example/mcp") == (
        f"https://{LEFT_OUT}@x.example/mcp"
    )
    assert redacted_url("http://[::1") == LEFT_OUT


def test_a_secret_in_a_name_is_not_shown(tmp_path: Path) -> None:
    secret = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5"
    report = report_of(tmp_path, {"command": "x", "env": {secret: secret}}, name=secret)
    assert secret not in encode(report).decode()
    assert report.findings


def test_values_of_variables_and_headers_are_never_shown(tmp_path: Path) -> None:
    """Not even those that are no secrets by name or look."""
    server = {"url": "https://x.example", "env": {"A": "plain"}, "headers": {"B": "plain"}}
    assert "plain" not in encode(report_of(tmp_path, server).servers).decode()


def test_a_variable_for_a_container_is_never_shown() -> None:
    """Its name need not say that it is a secret."""
    for words in (["-e", "PLAIN=hunter2"], ["-ePLAIN=hunter2"], ["--env=PLAIN=hunter2"]):
        assert "hunter2" not in " ".join(redacted_command(["docker", "run", *words, "x"]))


@pytest.mark.parametrize("words", [["word"] * 3_000, ["x" * 9_000]])
def test_an_entry_without_end_is_told(words: list[str], tmp_path: Path) -> None:
    report = report_of(tmp_path, {"command": "x", "args": words})
    assert ["`one`: more than is looked at" in gap.why for gap in report.not_assessed] == [
        True
    ]


def test_a_secret_in_dockers_settings_is_found(tmp_path: Path) -> None:
    path = tmp_path / ".docker/mcp/config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"github:\n  token: {SENTINEL}\n")
    report = scan_configs([Home(str(tmp_path), "linux")]).report
    assert [it.rule for it in report.findings] == ["plain-secret"]
    assert SENTINEL not in encode(report).decode()
