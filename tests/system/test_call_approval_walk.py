"""A call waits, a human decides on the page, and this one call is made: the whole walk."""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitResult

from bascule.clock import monotonic
from bascule.decision import consent
from bascule.gateway.call_approvals import WAIT_SECONDS
from conformance.rig import NODE, SCRIPTS
from patience import PATIENCE, until
from postgres import PostgresServer
from system.legacy_client import LegacyClient
from system.legacy_recorder import LegacyServer
from system.mcp_server import running
from system.recorder import VERSION, Recorder, recording
from system.replicas import on_postgres, replica
from system.server import Answer, Installation, body_of, headers_of, install
from system.visitor import PASSWORD, Page, Visitor, path_of

LODGE = """
[connectors.lodge]
mode = "observe"
url = "http://127.0.0.1:{lodge}/mcp"

[connectors.hall]
mode = "observe"
url = "http://127.0.0.1:{hall}/mcp"

[roles.guest]
members = ["user:alice", "user:bob"]
allow = ["lodge/*", "hall/*"]
"""
RULES = """
[call_approvals.wary]
tools = ["desk/echo", "lodge/echo", "hall/echo"]
approvers = ["user:bob"]
"""
MORE = """
[call_approvals.more]
tools = ["annex/echo"]
"""
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
ASKS = {"_meta": {CAPABILITIES: {"elicitation": {"url": {}}}}}
ACCEPTED = {"bascule/approval": {"action": "accept"}}
APPROVE = {"decision": "approve"}
WAITS = 428
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class House:
    """A server, what stands behind it, and the browser of its one approver."""

    server: Installation
    desk: Recorder
    lodge: Recorder
    bob: Visitor

    def call(
        self, text: str, state: str | None = None, user: str = "alice", **more: Any
    ) -> Answer:
        """Call as an agent that can send its user to a page."""
        retry = {} if state is None else {"requestState": state}
        params = {"name": "echo", "arguments": {"text": text}, **ASKS, **retry, **more}
        return self.server.call(self.server.token(user), "tools/call", params)

    def allow(self, url: str) -> Page:
        """Let bob allow what a link is about."""
        return self.bob.post(path_of(url), APPROVE)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with recording() as desk, recording(LegacyServer()) as lodge, running() as hall:
        made = install(tmp_path_factory.mktemp("walk"), desk)
        more = LODGE.format(lodge=lodge.port, hall=hall) + RULES
        text = made.config.read_text().replace("[agents]\n", f"{more}\n[agents]\n")
        ceiling = 'default_ceiling = ["desk/*", "annex/*"'
        made.config.write_text(text.replace(ceiling, f'{ceiling}, "lodge/*", "hall/*"'))
        made.start()
        try:
            yield House(made, desk, lodge, browser_of(made, "bob"))
        finally:
            made.kill()


@pytest.fixture
def house(built: House) -> House:
    built.desk.take()
    built.lodge.take()
    return built


@pytest.fixture
def text() -> str:
    """Give an argument that no other call has."""
    return f"note {next(_numbers)}"


def browser_of(made: Installation, name: str, host: str = "") -> Visitor:
    """Sign somebody in who calls the server `host`."""
    visitor = Visitor(made, host=host)
    link = made.ask("user", "reset", name)["setup_link"]
    assert visitor.post(path_of(link), {"password": PASSWORD}).status == 303
    return visitor


def asked(answer: Answer) -> tuple[str, str]:
    """Give the link and the state of a call that waits."""
    assert answer.status == 200
    result = answer.json["result"]
    assert result["resultType"] == "input_required"
    (ask,) = result["inputRequests"].values()
    assert ask["method"] == "elicitation/create"
    assert ask["params"]["mode"] == "url"
    return ask["params"]["url"], result["requestState"]


def said(answer: Answer) -> Any:
    """Give what the tool was called with, as it says."""
    assert answer.status == 200, answer.body
    return json.loads(answer.json["result"]["content"][0]["text"])


def test_a_call_is_made_once_a_human_has_allowed_it(house: House, text: str) -> None:
    url, state = asked(house.call(text))
    assert url.startswith(f"{house.server.url}/approve/")
    assert asked(house.call(text, state))[0] == url, "nobody has decided yet"
    assert house.desk.take() == []
    assert text in house.bob.get(path_of(url)).text
    assert house.allow(url).location == path_of(url)
    assert said(house.call(text, state)) == {"text": text}
    (sent,) = house.desk.take()
    assert sent.params["arguments"] == {"text": text}
    assert "requestState" not in sent.params
    again = house.call(text, state)
    assert again.error["code"] == WAITS
    assert house.desk.take() == []
    assert "This call was made" in house.bob.get(path_of(url)).text


HARD = {
    '{"text":"seen","text":"unseen"}': '"unseen"',
    '{"text":-0.0}': "0",
    '{"text":1E+300}': "1e+300",
    '{"text":"\\u0000\\u202e\\u200b</pre>"}': '"\\u0000\\u202e\\u200b</pre>"',
    '{"text":[[[1]]],"__proto__":{}}': "{}",
}


def test_what_was_seen_is_what_is_sent(house: House, text: str) -> None:
    """However it is written: with doubled names, with numbers that read two ways."""
    token = house.server.token("alice")
    body = body_of("tools/call", {"name": "echo", "arguments": text, **ASKS})
    for written, shown in HARD.items():
        raw = json.dumps(body).replace(json.dumps(text), written).encode()
        call = partial(house.server.send, raw, headers_of(body, token))
        url, _ = asked(call())
        values = re.findall("<pre>(.*?)</pre>", house.bob.get(path_of(url)).text, re.DOTALL)
        assert html.unescape(values[0]) == shown
        house.allow(url)
        assert "result" in call().json
        (sent,) = house.desk.take()
        assert consent.written(sent.params["arguments"]) == consent.written(
            json.loads(written)
        )


Outcome = dict[str, Any]


def by_python(house: House, text: str, to_page: Callable[[str], None]) -> Outcome:
    """Call with the SDK for Python; `to_page` is sent its user."""

    async def sent(_: Any, params: Any) -> ElicitResult:
        to_page(params.url)
        return ElicitResult(action="accept")

    async def call() -> str:
        token = house.server.token("alice", "hall")
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as http:
            url = f"{house.server.url}/c/hall/mcp"
            transport = streamable_http_client(url, http_client=http)
            client = Client(transport, mode=VERSION, elicitation_callback=sent)
            async with client:
                called: Any = await client.call_tool("echo", {"text": text})
                return str(called.content[0].text)

    outcome: Outcome = {}
    try:
        outcome["said"] = asyncio.run(call())
    except* MCPError as group:
        (refused,) = leaves(group)
        outcome["error"] = {"code": refused.code, "message": refused.message}
    return outcome


def by_npm(house: House, text: str, to_page: Callable[[str], None]) -> Outcome:
    """Call with the npm SDK."""
    url = f"{house.server.url}/c/hall/mcp"
    command = [NODE, SCRIPTS / "approved.mjs", url, "echo", text]
    token = house.server.token("alice", "hall")
    environment = {"PATH": os.environ["PATH"], "TOKEN": token}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout is not None
        found: Outcome = {}
        for line in client.stdout:
            found = json.loads(line)
            if "page" in found:
                to_page(found["page"])
    return found


def leaves(group: BaseExceptionGroup[MCPError]) -> list[MCPError]:
    """Give the errors of a group, however deep they lie."""
    found: list[MCPError] = []
    for exc in group.exceptions:
        found += leaves(exc) if isinstance(exc, BaseExceptionGroup) else [exc]
    return found


@pytest.mark.parametrize("client", [by_python, by_npm])
@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_a_client_of_others_waits_for_its_user_and_asks_once(
    house: House, text: str, client: Callable[..., Outcome], decision: str
) -> None:
    """It asks again as soon as the page is open, and ten times at most."""
    pages: list[str] = []

    def decide() -> None:
        until(lambda: bool(pages) and in_flight(house.server) == 1)
        house.bob.post(path_of(pages[0]), {"decision": decision})

    human = threading.Thread(target=decide)
    human.start()
    try:
        outcome = client(house, text, pages.append)
    finally:
        human.join()
    denied = {"error": {"code": WAITS, "message": "the call was denied"}}
    assert outcome == ({"said": text} if decision == "approve" else denied)
    assert len(pages) == 1


def in_flight(made: Installation) -> int:
    """Give how many requests the server holds."""
    with urlopen(f"http://localhost:{made.admin}/metrics") as answer:
        said = answer.read().decode()
    found = re.search(r"^bascule_requests_in_flight (\d)", said, re.MULTILINE)
    assert found is not None
    return int(found[1])


@contextlib.contextmanager
def held(house: House, text: str) -> Iterator[Future[Answer]]:
    """Let a client wait for a decision."""
    _, state = asked(house.call(text))
    with ThreadPoolExecutor(1) as pool:
        waiting = partial(house.call, text, state, inputResponses=ACCEPTED)
        answer = pool.submit(waiting)
        until(lambda: in_flight(house.server) == 1)
        begun = monotonic()
        yield answer
        assert monotonic() - begun < WAIT_SECONDS


def test_a_server_that_ends_lets_nobody_wait(house: House, text: str) -> None:
    with held(house, text) as answer:
        assert house.server.stop() == 0
        result = answer.result().json["result"]
    house.server.start()
    assert (result["resultType"], "inputRequests" in result) == ("input_required", False)


def test_nor_does_a_server_wait_for_a_client_that_has_gone(house: House, text: str) -> None:
    _, state = asked(house.call(text))
    said = {"requestState": state, "inputResponses": ACCEPTED}
    params = {"name": "echo", "arguments": {"text": text}, **ASKS, **said}
    body, token = body_of("tools/call", params), house.server.token("alice")
    connection = HTTPConnection("127.0.0.1", house.server.public, timeout=PATIENCE)
    with contextlib.closing(connection):
        headers = headers_of(body, token)
        connection.request("POST", "/c/desk/mcp", json.dumps(body), headers)
        until(lambda: in_flight(house.server) == 1)
    until(lambda: in_flight(house.server) == 0)
    assert "failed on a bug" not in house.server.log


def test_nor_does_somebody_wait_who_was_revoked(house: House, text: str) -> None:
    with held(house, text) as answer:
        house.server.ask("revoke", "--user", "alice", "--reason", "stolen")
        assert answer.result().status == 401
    assert house.desk.take() == []


def test_what_was_asked_under_other_rules_is_over(house: House, text: str) -> None:
    """Approved or not: under the rules that are in force nobody has approved it."""
    waits, _ = asked(house.call(text))
    approved, state = asked(house.call(text + "!"))
    house.allow(approved)
    config = house.server.config.read_text()
    house.server.config.write_text(config.replace(RULES, RULES + MORE))
    house.server.signal(signal.SIGHUP)
    until(lambda: "The rules have changed" in house.bob.get(path_of(waits)).text)
    assert house.allow(waits).status == 409
    assert house.call(text + "!", state).error["code"] == WAITS
    assert house.desk.take() == []


def test_a_client_of_an_older_revision_gets_the_link_and_calls_again(
    house: House, text: str
) -> None:
    client = LegacyClient(house.server, house.server.token("alice", "lodge"), "lodge")
    capabilities = {"elicitation": {"url": {}}}
    assert client.initialize(capabilities=capabilities).status == 200
    client.notify("notifications/initialized")
    answer = client.tool("echo", text=text)
    assert (answer.status, answer.error["code"]) == (200, -32042)
    assert calls(house.lodge) == []
    house.allow(answer.error["data"]["elicitations"][0]["url"])
    assert text in json.dumps(client.tool("echo", text=text).json["result"])
    assert len(calls(house.lodge)) == 1
    assert "error" in client.tool("echo", text=text).json
    assert calls(house.lodge) == []


def calls(recorder: Recorder) -> list[Any]:
    found = [it.message for it in recorder.take() if it.body]
    return [it for it in found if it.get("method") == "tools/call"]


def test_another_replica_makes_the_call_and_only_one(
    tmp_path: Path,
    recorder: Recorder,
    postgres_server: PostgresServer,
    migrated_template: str,
) -> None:
    url = postgres_server.url(postgres_server.create(template=migrated_template))
    first = on_postgres(tmp_path / "one", recorder, url)
    second = replica(tmp_path / "two", recorder, url, first)
    for made in (first, second):
        rules = RULES.replace(', "lodge/echo", "hall/echo"', "")
        made.config.write_text(made.config.read_text() + rules)
    try:
        first.start()
        second.start()
        bob = browser_of(second, "bob", host=f"127.0.0.1:{first.public}")
        one, two = (House(it, recorder, recorder, bob) for it in (first, second))
        link, state = asked(one.call("shared"))
        assert path_of(link).startswith("/approve/")
        recorder.take()
        assert bob.post(path_of(link), APPROVE).status == 303
        assert said(two.call("shared", state)) == {"text": "shared"}
        assert one.call("shared", state).error["code"] == WAITS
        assert len(recorder.take()) == 1
    finally:
        first.kill()
        second.kill()
