"""A server that answers around Bascule is found, recorded, and closed by rule."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from patience import PATIENCE, until
from ports import free_ports
from system.server import Installation
from twins.server import TOKEN, Running, Twin, twin

CONFIG = """\
[server]
public_url = "http://127.0.0.1:{public}"
listen = "127.0.0.1:{public}"
admin_listen = "127.0.0.1:{admin}"

[boundary]
on_breach = "close"

[connectors.open]
mode = "observe"
url = "{open}"

[connectors.shut]
mode = "observe"
url = "{shut}"
credential = {{ kind = "static", value = "file:{secret}", shared = true }}

[connectors.gone]
mode = "observe"
url = "http://127.0.0.1:{nobody}/mcp"

[roles.clerk]
members = ["user:alice"]
allow = ["open/*", "shut/*"]

[agents]
default_ceiling = ["open/*", "shut/*"]
"""


@dataclass(slots=True)
class House:
    """A gateway before one server that answers anybody, and one that does not."""

    bascule: Installation
    open_port: int
    shut: Running
    servers: contextlib.ExitStack
    """Holds the first of the two."""

    def replace(self, kind: Twin | None) -> None:
        """Put another server in the place of the first."""
        self.servers.close()
        if kind is not None:
            self.servers.enter_context(twin(kind))
        self.reload()

    def reload(self) -> None:
        """Have everything probed anew."""
        seen = self.bascule.log.count("configuration reloaded")
        self.bascule.signal(signal.SIGHUP)
        until(lambda: self.bascule.log.count("configuration reloaded") > seen)

    def status(self, connector: str) -> int:
        token = self.bascule.token(connector=connector)
        return self.bascule.call(token, "tools/list", connector=connector).status

    def metrics(self) -> dict[str, float]:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.bascule.admin, timeout=PATIENCE
        )
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        named = [it.split() for it in lines if it.startswith("bascule_boundaries{")]
        return {name.split('"')[1]: float(value) for name, value in named}

    def posture(self) -> dict[str, Any]:
        """Give what `bascule posture` says of it."""
        shown = json.loads(self.bascule.cli("posture", "--json").stdout)
        each = {
            control["id"]: control
            for promise in shown["promises"]
            for control in promise["controls"]
        }
        found: dict[str, Any] = each["reach"]
        return found

    def states(self, connector: str) -> set[str]:
        """Give what the last probe found, way by way."""
        query = "SELECT document FROM boundary_verdicts WHERE connector = ?"
        with contextlib.closing(sqlite3.connect(self.bascule.data / "state.db")) as state:
            (row,) = state.execute(query, (connector,))
        return {it["state"] for it in json.loads(row[0])["tried"]}

    def records(self, type: str) -> list[str]:
        return [it["connector"] for it in self.bascule.records("--type", type)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("boundary")
    public, admin, nobody = free_ports(3)
    made = Installation(folder, public, admin)
    secret = folder / "credential"
    secret.touch(0o600)
    secret.write_text(f"Bearer {TOKEN}\n")
    with contextlib.ExitStack() as first, twin() as shut:
        anybodys = first.enter_context(twin(token=False))
        made.config.write_text(
            CONFIG.format(
                public=public,
                admin=admin,
                nobody=nobody,
                open=anybodys.url,
                shut=shut.url,
                secret=secret,
            )
        )
        made.ask("user", "add", "alice")
        made.start()
        try:
            yield House(made, anybodys.port, shut, first)
        finally:
            made.kill()


def test_a_breach_is_found_recorded_counted_and_closed_until_it_is_gone(
    house: House,
) -> None:
    bascule = house.bascule
    until(lambda: house.status("open") == 503)
    token = bascule.token(connector="open")
    answer = bascule.call(token, "tools/list", connector="open")
    assert "`open` is closed: its server answers without Bascule" in answer.error["message"]
    code = answer.error["data"]["code"]
    until(lambda: bascule.cli("decide", "--code", code).stdout != "")
    assert "deny: boundary_broken" in bascule.cli("decide", "--code", code).stdout
    until(lambda: sum(house.metrics().values()) == 3)
    assert house.metrics() == {"inside": 1, "outside": 1, "unknown": 1}
    assert house.records("boundary.finding") == ["open"]
    (row,) = bascule.records("--type", "boundary.finding")
    record = bascule.ask("audit", "show", str(row["seq"]))["admin"]
    assert record["rule"] == "boundary-bypass"
    assert record["severity"] == "high"
    assert f"127.0.0.1:{house.open_port} (loopback)" in record["evidence"]

    assert house.posture()["state"] == "not_met"
    assert "`open`: lists its tools" in house.posture()["evidence"][0]

    # Nobody there is not somebody who demands a token.
    house.replace(None)
    until(lambda: house.states("open") == {"unreachable"})
    assert house.status("open") == 503
    assert house.records("boundary.cleared") == []

    house.replace(Twin(port=house.open_port))
    until(lambda: house.records("boundary.cleared") == ["open"])
    until(lambda: house.status("open") != 503)
    assert house.metrics() == {"inside": 2, "outside": 0, "unknown": 1}


def test_a_server_that_demands_its_credential_is_served(house: House) -> None:
    until(lambda: house.metrics().get("inside", 0) > 0)
    assert house.status("shut") == 200


def test_no_probe_shows_the_credential(house: House) -> None:
    until(lambda: house.metrics().get("inside", 0) > 0)
    probes = [
        it for it in house.shut.seen if it[2].get("user-agent", "").startswith("bascule-")
    ]
    assert probes
    assert not [it for it in probes if TOKEN in str(it)]


def test_a_breach_that_was_seen_closes_from_the_first_request_of_the_next_start(
    house: House,
) -> None:
    bascule = house.bascule
    house.replace(Twin(port=house.open_port, token=False))
    until(lambda: house.status("open") == 503)
    assert bascule.stop() == 0
    bascule.start()
    assert house.status("open") == 503
    text = bascule.config.read_text()
    bascule.config.write_text(text.replace('"close"', '"report"'))
    try:
        house.reload()
        until(lambda: house.status("open") == 200)
    finally:
        bascule.config.write_text(text)
        house.reload()
