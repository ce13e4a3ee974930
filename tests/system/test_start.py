"""What `up` refuses to start on: exit 3, and a sentence that says what to do."""

from __future__ import annotations

import contextlib
import http.client
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from certificates import new_authority
from patience import PATIENCE
from system.recorder import Recorder
from system.server import Installation, install

NOBODYS_GROUP = 65534
"""A group that is none of this process's user."""


@pytest.fixture
def own(tmp_path: Path) -> Installation:
    return install(tmp_path, Recorder(port=1))


def assert_refused(own: Installation, *words: str) -> None:
    result = own.run_up()
    assert result.returncode == 3, result.stderr
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert "\nready" not in result.stderr
    for word in words:
        assert word in result.stderr


def changed(own: Installation, before: str, after: str) -> None:
    text = own.config.read_text()
    assert before in text
    own.config.write_text(text.replace(before, after, 1))


def test_a_second_server_on_the_same_data_directory(own: Installation) -> None:
    own.start()
    try:
        assert_refused(own, "--data-dir")
    finally:
        own.kill()


@pytest.mark.parametrize("key", ["listen", "admin_listen"])
@pytest.mark.parametrize("address", ["10.1.2.3", "[::]", "192.0.2.1"])
def test_an_address_beyond_loopback_without_tls(
    own: Installation, key: str, address: str
) -> None:
    changed(own, f'\n{key} = "127.0.0.1:', f'\n{key} = "{address}:')
    assert_refused(own, f"server.{key}")


def test_a_public_url_beyond_loopback_without_https(own: Installation) -> None:
    changed(own, 'public_url = "http://127.0.0.1', 'public_url = "http://bascule.example')
    assert_refused(own, "public_url", "https")


@pytest.mark.parametrize(
    ("file", "mode"),
    [
        ("bascule.toml", 0o666),
        ("bascule.toml", 0o620),
        ("bascule.toml", 0o602),
        ("policies", 0o770),
        ("policies/a.cedar", 0o664),
    ],
)
def test_a_configuration_that_others_can_write(
    own: Installation, file: str, mode: int
) -> None:
    (own.folder / "policies").mkdir()
    (own.folder / "policies" / "a.cedar").touch()
    (own.folder / file).chmod(mode)
    assert_refused(own, file, "chmod")


def test_a_data_directory_that_others_can_write(own: Installation) -> None:
    own.data.chmod(0o770)
    assert_refused(own, "chmod")


@pytest.mark.parametrize("mode", [0o777, 0o702, 0o770])
def test_a_folder_in_which_others_can_replace_what_is_ours(
    own: Installation, mode: int
) -> None:
    os.chown(own.folder, 0, NOBODYS_GROUP)
    own.folder.chmod(mode)
    assert_refused(own, "chmod go-w")


def test_a_sticky_folder_of_everybody_is_none_in_which_others_replace(
    own: Installation,
) -> None:
    own.folder.chmod(0o1777)
    own.start()
    assert own.stop() == 0


@pytest.mark.parametrize("file", ["state.db", "audit/inbox.db"])
def test_a_database_that_others_can_read(own: Installation, file: str) -> None:
    own.start()
    assert own.stop() == 0
    (own.data / file).chmod(0o644)
    assert_refused(own, file, "chmod")


@pytest.mark.parametrize("mode", [0o644, 0o640])
def test_a_key_of_the_certificate_that_others_can_read(
    own: Installation, tmp_path: Path, mode: int
) -> None:
    certificate, key = new_authority().write(tmp_path, "127.0.0.1")
    key.chmod(mode)
    tls = f'tls = {{ cert = "file:{certificate}", key = "file:{key}" }}'
    changed(own, "\nlisten", f"\n{tls}\nlisten")
    assert_refused(own, str(key), "chmod")


@pytest.mark.parametrize("part", ["keys", "credential"])
def test_secrets_that_others_can_read(own: Installation, part: str) -> None:
    path = own.data / "keys" if part == "keys" else own.folder / "credential"
    path.chmod(0o750 if part == "keys" else 0o640)
    assert_refused(own, part, "chmod")


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"two\nlines"])
def test_a_credential_that_cannot_be_used(own: Installation, content: bytes | None) -> None:
    path = own.folder / "credential"
    path.unlink()
    if content is not None:
        path.touch(0o600)
        path.write_bytes(content)
    assert_refused(own)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("permit (principal, action, resource);", "@id"),
        ("no policy at all", "a.cedar"),
        (
            '@id("a") permit (principal == User::"x", action, resource) when { 1 };',
            "a.cedar",
        ),
    ],
)
def test_a_bad_policy(own: Installation, text: str, words: str) -> None:
    (own.folder / "policies").mkdir()
    (own.folder / "policies" / "a.cedar").write_text(text)
    assert_refused(own, words)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("[agents]", "[agent]", "agent"),
        ('url = "http://127.0.0.1:1/annex"', 'url = "http://tickets.example/"', "https"),
        ('url = "http://127.0.0.1:1/annex"', 'command = [""]', "annex"),
        ("[agents]", "[[[", "bascule.toml"),
    ],
)
def test_a_bad_configuration(
    own: Installation, before: str, after: str, words: str
) -> None:
    changed(own, before, after)
    assert_refused(own, words)


def test_a_configuration_that_was_named_and_is_not_there(own: Installation) -> None:
    own.config.unlink()
    assert_refused(own, "bascule.toml")


def test_a_port_that_is_taken(own: Installation, tmp_path: Path) -> None:
    other = install(tmp_path / "other", Recorder(port=1))
    other.start()
    try:
        changed(
            own, f'listen = "127.0.0.1:{own.public}', f'listen = "127.0.0.1:{other.public}'
        )
        assert_refused(own, "cannot listen")
    finally:
        other.kill()


@pytest.mark.parametrize("version", ["9999", "0000"])
def test_a_state_of_another_version(own: Installation, version: str) -> None:
    connection = sqlite3.connect(own.data / "state.db")
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    connection.close()
    assert_refused(own, version)


@pytest.mark.parametrize("file", ["state.db", "audit/inbox.db"])
def test_a_database_that_is_none(own: Installation, file: str) -> None:
    for path in (own.data / file).parent.glob(f"{Path(file).name}*"):
        path.unlink()
    (own.data / file).touch(0o600)
    (own.data / file).write_bytes(b"this is no database, it is a text" * 400)
    assert_refused(own)


@pytest.mark.parametrize("name", ["handles.key", "generation", "token-x.jwk"])
def test_a_damaged_key_file(own: Installation, name: str) -> None:
    path = own.data / "keys" / name
    path.touch(0o600)
    path.write_bytes(b"damaged")
    assert_refused(own)


def test_a_new_data_directory_is_private(own: Installation) -> None:
    own.start()
    try:
        own.token()
        assert stat.S_IMODE(own.data.stat().st_mode) == 0o700
        for path in own.data.rglob("*"):
            mode = stat.S_IMODE(path.stat().st_mode)
            assert path.parent.name == "tile" or not mode & 0o022, path
            if path.is_relative_to(own.data / "keys"):
                assert not mode & 0o077, path
        assert not stat.S_IMODE((own.data / "state.db").stat().st_mode) & 0o077
        assert not stat.S_IMODE((own.data / "audit" / "inbox.db").stat().st_mode) & 0o077
    finally:
        own.kill()


def test_everybody_is_no_proxy(own: Installation) -> None:
    for network in ("0.0.0.0/0", "proxy.example", "10.0.0.1/8"):
        result = own.run_up("--behind-proxy", network)
        assert result.returncode == 2
        assert network in result.stderr


def test_beyond_loopback_behind_a_proxy(own: Installation) -> None:
    changed(own, '\nlisten = "127.0.0.1:', '\nlisten = "0.0.0.0:')
    changed(own, '\nadmin_listen = "127.0.0.1:', '\nadmin_listen = "0.0.0.0:')
    changed(own, 'public_url = "http://127', 'public_url = "https://127')
    own.start("--behind-proxy", "127.0.0.1/32")
    try:
        assert own.call(own.token(), "tools/list").status == 502  # nothing is behind it
        assert f"admin=http://0.0.0.0:{own.admin}" in own.log
    finally:
        own.kill()


def test_beyond_loopback_without_tls_by_its_unsafe_name(own: Installation) -> None:
    changed(own, '\nlisten = "127.0.0.1:', '\nlisten = "0.0.0.0:')
    assert_refused(own, "server.listen")
    own.start("--unsafe-cleartext")
    try:
        assert own.call(own.token(), "tools/list").status == 502
        assert "--unsafe-cleartext" in own.log
        (record,) = own.wait_for_records("--type", "up.unsafe")
        shown = own.cli("audit", "show", str(record["seq"]), "--json").stdout
        assert '"escape":"--unsafe-cleartext"' in shown
    finally:
        own.kill()


def test_an_admin_listener_beyond_loopback_speaks_tls(
    own: Installation, tmp_path: Path
) -> None:
    authority = new_authority()
    certificate, key = authority.write(tmp_path, "127.0.0.1")
    tls = f'tls = {{ cert = "file:{certificate}", key = "file:{key}" }}'
    changed(own, "\nlisten", f"\n{tls}\nlisten")
    changed(own, '\nadmin_listen = "127.0.0.1:', '\nadmin_listen = "0.0.0.0:')
    changed(own, 'public_url = "http://127', 'public_url = "https://127')
    own.start()
    try:
        for port in (own.public, own.admin):
            connection = http.client.HTTPSConnection(
                "127.0.0.1", port, context=authority.trust(), timeout=PATIENCE
            )
            with contextlib.closing(connection):
                connection.request("GET", "/healthz")
                assert connection.getresponse().status == 200
    finally:
        own.kill()
