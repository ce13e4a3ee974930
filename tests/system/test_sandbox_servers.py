"""Real servers in their sandbox, from trees that were installed strictly from a lock."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bascule.launch.sandbox.spec import SEARCHED
from resolutions import resolved_once
from supply_chain import InStore, installed_once
from system.boxed import Box, Ran

pytestmark = pytest.mark.on_disk


def start(
    server: InStore,
    box: Box,
    *messages: dict[str, Any],
    more: tuple[str, ...] = (),
    **spec: Any,
) -> Ran:
    """Run it, say these messages after the first, and wait for the last's answer."""
    said = [HELLO, HELLO_TOO, *messages]
    return box.start(
        list(server.argv(*more)),
        tree=str(server.place),
        interpreter=str(server.runtime.path),
        installation=list(map(str, server.runtime.reads)),
        said=[json.dumps({"jsonrpc": "2.0", **it}) for it in said],
        ends_after=f'"id":{said[-1]["id"]}',
        **spec,
    )


HELLO = {
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
HELLO_TOO = {"method": "notifications/initialized"}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    params = {"name": name, "arguments": arguments}
    return {"id": 1, "method": "tools/call", "params": params}


def answer(ran: Ran) -> str:
    """Give the text of the answer to `call`."""
    assert not ran.problem, ran.problem
    found = [it for it in map(json.loads, ran.out) if it.get("id") == 1]
    assert found, ran.errors
    return str(found[0]["result"]["content"][0]["text"])


@pytest.fixture
def fetch_installed(shared_folder: Path) -> InStore:
    """Give mcp-server-fetch, as the registry has it."""
    command = ("uvx", "mcp-server-fetch")
    return installed_once(shared_folder, resolved_once(shared_folder, "fetch", command))


@pytest.mark.parametrize("backend", ["bubblewrap", "landlock"])
def test_a_python_server_answers(
    backend: str, time_installed: InStore, tmp_path: Path
) -> None:
    ran = start(
        time_installed,
        Box(tmp_path, backend=backend),
        call("get_current_time", timezone="Asia/Tokyo"),
    )
    assert "Asia/Tokyo" in answer(ran)
    assert ran.reached == []


@pytest.mark.parametrize("backend", ["bubblewrap", "landlock"])
def test_a_node_server_sees_the_folder_that_it_was_given(
    backend: str, filesystem_installed: InStore, tmp_path: Path
) -> None:
    """Its arguments may name more; what is not granted is not there."""
    given, other = tmp_path / "given", tmp_path / "other"
    for folder in (given, other):
        folder.mkdir()
        (folder / f"in-{folder.name}").write_text("text")
    box = Box(tmp_path, backend=backend)
    more = (str(given), str(other))
    listed = start(
        filesystem_installed,
        box,
        call("list_directory", path=str(given)),
        more=more,
        read=[str(given)],
    )
    assert "in-given" in answer(listed)
    written = start(
        filesystem_installed,
        box,
        call("write_file", path=str(given / "new"), content="x"),
        more=more,
        read=[str(given)],
    )
    assert "EROFS" in answer(written) or "EACCES" in answer(written)
    assert sorted(it.name for it in given.iterdir()) == ["in-given"]
    hidden = start(
        filesystem_installed,
        box,
        call("list_directory", path=str(other)),
        more=more,
        read=[str(given)],
    )
    assert "in-other" not in answer(hidden)


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    """Serve one page on loopback; gives the port."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/page"
            text = b"<html><article><h1>News</h1><p>The bridge is up.</p></article></html>"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text if found else b"")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def fetch(server: InStore, folder: Path, site: int, **spec: Any) -> Ran:
    """Call the tool that `mcp-server-fetch` has, for a page that it may fetch."""
    place = f"site.test:{site}"
    return start(
        server,
        Box(folder),
        call("fetch", url=f"http://{place}/page"),
        more=("--allow-private-ips",),
        may_reach=[place],
        private=[place],
        names={"site.test": ["127.0.0.1"]},
        **spec,
    )


def test_a_server_that_installs_code_at_run_time_cannot_and_is_seen_trying(
    fetch_installed: InStore, site: int, tmp_path: Path
) -> None:
    """`mcp-server-fetch` has npm install packages into its own tree, in its first call.

    No lock file of Python names these. Here npm is not to be had, so that the server does
    without, and that it wanted npm is told.
    """
    assert shutil.which("npm", path=SEARCHED), "it takes npm where a sandbox sees it"
    ran = fetch(fetch_installed, tmp_path, site)
    assert "The bridge is up" in answer(ran)
    assert set(ran.allowed()) == {("site.test", site)}
    assert ran.refused() == {("npm", 0)}
    fetch_installed.store.verify(fetch_installed.installed.tree)


def test_a_package_manager_of_its_own_reaches_no_registry(tmp_path: Path) -> None:
    """One that is in the tree, or elsewhere on its path, gives up at once and is seen."""
    npm = Path(str(shutil.which("npm", path=SEARCHED))).resolve()
    own = tmp_path / "own"
    shutil.copytree(npm.parents[1], own, symlinks=True)
    code = f"""
import subprocess
command = ["node", "{own}/bin/npm-cli.js", "install", "left-pad"]
print(subprocess.run(command, capture_output=True, text=True).returncode)
"""
    ran = Box(tmp_path).run(code, read=[str(own)])
    assert ran.out != ["0"], ran.errors
    assert any(port == 0 for _, port in ran.refused()), "it looks its registry up"
