"""The first administrator's link: who gets it, and when it is good for nothing."""

from __future__ import annotations

import os
import pty
import re
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from system.recorder import Recorder
from system.server import COMMAND, Installation, install
from system.visitor import PASSWORD, Visitor, path_of

LINK = re.compile(r"http://127[.]0[.]0[.]1:[0-9]+/login/setup/[0-9a-f]{64}")


@pytest.fixture
def server(tmp_path: Path, recorder: Recorder) -> Iterator[Installation]:
    made = install(tmp_path / "bascule", recorder)
    yield made
    made.kill()


def link_file(server: Installation) -> Path:
    return server.data / "setup-link"


def started(server: Installation) -> str:
    """Start the server; gives the path of the link that it has written."""
    server.start()
    return path_of(link_file(server).read_text().strip())


def is_admin(server: Installation, name: str) -> bool:
    rows = server.cli("user", "list", "--json").stdout
    return f'"user":"user:{name}","groups":[],"admin":true' in rows


def test_without_a_terminal_the_link_is_in_a_file_and_nowhere_else(
    server: Installation,
) -> None:
    link = started(server)
    assert stat.S_IMODE(link_file(server).stat().st_mode) == 0o600
    token = link.rpartition("/")[2]
    assert token not in server.log
    state = b"".join(path.read_bytes() for path in server.data.glob("state.db*"))
    assert token.encode() not in state, "only its hash is kept"


def test_the_link_makes_one_administrator(server: Installation) -> None:
    link = started(server)
    visitor = Visitor(server)
    page = visitor.get(link)
    assert "first administrator" in page.text
    done = visitor.post(link, {"username": "root", "password": PASSWORD})
    assert done.status == 303
    assert is_admin(server, "root")
    assert "root" in visitor.get("/account").text
    assert not link_file(server).exists()
    again = Visitor(server).post(link, {"username": "other", "password": PASSWORD})
    assert again.status == 404
    (row,) = server.wait_for_records("--user", "root", "--type", "user.setup")
    assert row["user"] == "user:root"


def test_a_name_that_cannot_be_leaves_the_link_good(server: Installation) -> None:
    link = started(server)
    visitor = Visitor(server)
    for name in ("", "alice", "a b", "-x", "x" * 64, "<b>", "group:x"):
        page = visitor.post(link, {"username": name, "password": PASSWORD})
        assert page.status == 400, name
        assert "<b>" not in page.text
    assert not is_admin(server, "alice")
    fields = {"username": "root", "password": PASSWORD}
    assert visitor.post(link, fields).status == 303


def test_an_administrator_made_otherwise_ends_the_link(server: Installation) -> None:
    link = started(server)
    server.ask("user", "add", "boss", "--admin")
    assert Visitor(server).get(link).status == 404
    fields = {"username": "root", "password": PASSWORD}
    assert Visitor(server).post(link, fields).status == 404
    assert not is_admin(server, "root")
    server.stop()
    server.start()
    assert not link_file(server).exists()


def test_a_later_start_makes_a_link_of_its_own(server: Installation) -> None:
    old = started(server)
    server.stop()
    new = started(server)
    assert new != old
    assert Visitor(server).get(old).status == 404
    assert Visitor(server).get(new).status == 200


def test_a_link_in_the_place_of_the_file_is_not_followed(
    server: Installation, tmp_path: Path
) -> None:
    """Whoever planted it would have the link."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    link_file(server).symlink_to(elsewhere)
    started(server)
    assert elsewhere.read_text() == ""
    assert not link_file(server).is_symlink()


def test_a_terminal_shows_the_link(server: Installation) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, *server.options, "up"], stderr=theirs)
    os.close(theirs)
    try:
        with os.fdopen(ours, errors="replace") as terminal:
            shown = ""
            for line in terminal:
                shown += line
                if line.startswith("ready "):
                    break
            (link,) = LINK.findall(shown)
            assert Visitor(server).get(path_of(link)).status == 200
            assert not link_file(server).exists()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
