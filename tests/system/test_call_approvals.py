"""Calls that wait for a person, through a server with two workers, and attacks on that."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any

import pytest

from patience import until
from system.legacy_client import CAPABILITIES, LegacyClient
from system.legacy_recorder import LegacyServer
from system.lodge import CONNECTORS
from system.recorder import STATE, Recorder, recording
from system.server import Answer, Installation, body_of, headers_of, install

RULES = """
[call_approvals.writes]
tools = ["desk/echo", "desk/asks", "desk/fails", "lodge/echo"]
"""
CAN = {"elicitation": {"url": {}, "form": {}}}
KEY = "bascule/approval"
ACCEPTED = {KEY: {"action": "accept", "content": {"approved": True}}}
_numbers = count(1)


@pytest.fixture(scope="module")
def lodge() -> Iterator[Recorder]:
    with recording(LegacyServer()) as made:
        yield made


@pytest.fixture(scope="module")
def bascule(
    tmp_path_factory: pytest.TempPathFactory, recorder: Recorder, lodge: Recorder
) -> Iterator[Installation]:
    allowed = '"lodge/echo"'
    more = CONNECTORS.format(lodge=lodge.port, plain=lodge.port, allowed=allowed) + RULES
    made = install(tmp_path_factory.mktemp("bascule"), recorder, more=more)
    made.ask("user", "add", "mallory")
    made.start("--workers", "2")
    try:
        yield made
    finally:
        made.kill()


@pytest.fixture(scope="module")
def token(bascule: Installation) -> str:
    return bascule.token("alice")


def fresh() -> dict[str, Any]:
    """Give arguments that no other test uses."""
    return {"id": next(_numbers), "why": "spring cleaning"}


def calling(
    bascule: Installation,
    token: str,
    arguments: Mapping[str, Any],
    *,
    name: str = "echo",
    capabilities: Mapping[str, Any] = CAN,
    **params: Any,
) -> Answer:
    meta = {"io.modelcontextprotocol/clientCapabilities": capabilities}
    said = {"name": name, "arguments": arguments, "_meta": meta, **params}
    return bascule.call(token, "tools/call", said)


def held(answer: Answer) -> tuple[str, str]:
    """Give the id of the question and the state, of a call that waits."""
    assert answer.status == 200, answer.body
    result = answer.json["result"]
    assert result["resultType"] == "input_required", result
    asked = result["inputRequests"][KEY]
    assert asked["method"] == "elicitation/create"
    assert asked["params"]["mode"] == "url"
    return asked["params"]["url"].rpartition("/")[2], result["requestState"]


def approve(bascule: Installation, approval_id: str) -> None:
    assert bascule.ask("approvals", "approve", approval_id)["state"] == "approved"


def approved(
    bascule: Installation, token: str, name: str = "echo"
) -> tuple[dict[str, Any], str]:
    """Give the arguments of a call that somebody approved, and its state."""
    arguments = fresh()
    approval_id, state = held(calling(bascule, token, arguments, name=name))
    approve(bascule, approval_id)
    return arguments, state


def refused(answer: Answer) -> str:
    """Give why a call was refused for good."""
    assert answer.status in {200, 400}, answer.body
    assert answer.error["code"] == 428, answer.body
    assert set(answer.error["data"]) == {"code"}
    return str(answer.error["message"])


def text_of(answer: Answer) -> str:
    result = answer.json["result"]
    assert result["resultType"] == "complete", result
    return str(result["content"][0]["text"])


def sent_to(recorder: Recorder) -> list[dict[str, Any]]:
    """Give the parameters of the calls that went upstream."""
    return [it.params for it in recorder.take() if it.message.get("method") == "tools/call"]


# The way of one call


def test_a_call_waits_is_approved_and_made_once(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    arguments = {**fresh(), "z": 1.0, "a": -0.0}
    approval_id, state = held(calling(bascule, token, arguments))
    again, _ = held(calling(bascule, token, arguments, requestState=state))
    assert again == approval_id
    assert held(calling(bascule, token, arguments))[0] == approval_id
    assert sent_to(upstream) == []

    approve(bascule, approval_id)
    answer = calling(
        bascule, token, arguments, requestState=state, inputResponses=ACCEPTED, task={}
    )
    shown = json.loads(text_of(answer))
    assert shown == {**arguments, "z": 1, "a": 0}
    (params,) = sent_to(upstream)
    assert json.dumps(params["arguments"]["a"]) == "0"
    assert params.keys() == {"name", "arguments", "_meta"}

    why = refused(calling(bascule, token, arguments, requestState=state))
    assert "used" in why
    assert held(calling(bascule, token, arguments))[0] != approval_id
    assert sent_to(upstream) == []


def test_the_log_says_which_approval_a_call_had(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    arguments = fresh()
    answer = calling(bascule, token, arguments)
    approval_id, state = held(answer)
    code = answer.json["result"]["_meta"]["bascule/code"]
    approve(bascule, approval_id)
    assert text_of(calling(bascule, token, arguments, requestState=state))

    def found() -> list[tuple[str, str, str]]:
        return [
            (it["type"], it["authz"]["decision"], it["authz"]["reason"])
            for it in bascule.whole_records()
            if it.get("authz", {}).get("approval") == approval_id
        ]

    until(lambda: len(found()) == 2)
    told = bascule.cli("decide", "--code", code, "--json")
    assert json.loads(told.stdout)["reason"] == "approval_required"
    assert found() == [
        ("authz.decision", "deny", "approval_required"),
        ("call.start", "allow", "allowed"),
    ]
    assert "spring cleaning" not in json.dumps(bascule.whole_records())
    assert "spring cleaning" not in bascule.log


def test_without_approval_nothing_that_a_client_says_lets_it_through(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    arguments = fresh()
    approval_id, state = held(calling(bascule, token, arguments))
    for said in (
        {"bascule/other": {"action": "accept"}},
        {KEY: {"action": "cancel"}},
        {KEY: {"action": ["accept"], "approved": True}},
        {KEY: "approved"},
        [approval_id],
    ):
        answer = calling(bascule, token, arguments, requestState=state, inputResponses=said)
        assert held(answer)[0] == approval_id
    with ThreadPoolExecutor(1) as pool:
        # Who says that the page is open waits for what comes of it, here a no.
        more = {"requestState": state, "inputResponses": ACCEPTED}
        waits = pool.submit(partial(calling, bascule, token, arguments, **more))
        bascule.ask("approvals", "deny", approval_id)
        assert "denied" in refused(waits.result())
    spoofed = {**arguments, KEY: {"action": "accept"}, "approved": True}
    assert held(calling(bascule, token, spoofed))[0] != approval_id
    assert sent_to(upstream) == []


def test_a_client_may_take_its_question_back(bascule: Installation, token: str) -> None:
    arguments = fresh()
    _, state = held(calling(bascule, token, arguments))
    declined = {KEY: {"action": "decline"}}
    answer = calling(bascule, token, arguments, requestState=state, inputResponses=declined)
    assert "denied" in refused(answer)
    assert "denied" in refused(calling(bascule, token, arguments))


def test_a_denial_is_an_answer(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    arguments = fresh()
    approval_id, state = held(calling(bascule, token, arguments))
    assert bascule.ask("approvals", "deny", approval_id)["state"] == "denied"
    assert "denied" in refused(calling(bascule, token, arguments, requestState=state))
    assert "denied" in refused(calling(bascule, token, arguments))
    assert sent_to(upstream) == []


# Attacks


def test_an_approval_is_for_exact_arguments(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    arguments, state = approved(bascule, token)
    number, why = arguments["id"], arguments["why"]
    for changed in (
        {**arguments, "why": why + " "},
        {**arguments, "why": why.replace("spring", "\u0455pring")},
        {**arguments, "id": number + 1},
        {**arguments, "id": str(number)},
        {**arguments, "extra": None},
        {**arguments, "Id": number},
        {"id": number},
    ):
        answer = calling(bascule, token, changed, requestState=state)
        assert "another call" in refused(answer)
    assert sent_to(upstream) == []
    assert text_of(calling(bascule, token, arguments, requestState=state))


def test_an_approval_is_for_one_tool(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    arguments, state = approved(bascule, token)
    answer = calling(bascule, token, arguments, name="fails", requestState=state)
    assert "another call" in refused(answer)
    assert sent_to(upstream) == []


def test_an_approval_is_for_one_user_and_agent(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    arguments = fresh()
    approval_id, state = held(calling(bascule, token, arguments))
    approve(bascule, approval_id)
    for stranger in (
        bascule.token("bob"),
        bascule.token("alice", "desk", "--agent", "robot"),
    ):
        answer = calling(bascule, stranger, arguments, requestState=state)
        assert answer.status == 400
        assert answer.error["code"] == -32602
        assert held(calling(bascule, stranger, arguments))[0] != approval_id
    assert sent_to(upstream) == []
    # A new token of the same user and agent is the same caller.
    renewed = bascule.token("alice")
    assert text_of(calling(bascule, renewed, arguments, requestState=state))


def test_states_of_two_calls_cannot_be_swapped(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    one, other = fresh(), fresh()
    approval_id, of_one = held(calling(bascule, token, one))
    _, of_other = held(calling(bascule, token, other))
    approve(bascule, approval_id)
    assert "another call" in refused(calling(bascule, token, other, requestState=of_one))
    assert "another call" in refused(calling(bascule, token, one, requestState=of_other))
    assert sent_to(upstream) == []
    assert text_of(calling(bascule, token, one, requestState=of_one))


def test_every_flipped_bit_of_a_state_is_noticed(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    arguments, state = approved(bascule, token)
    mark, _, sealed = state.partition(".")
    box = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    flipped = [
        f"{mark}."
        + base64.urlsafe_b64encode(
            box[:at] + bytes((box[at] ^ (1 << at % 8),)) + box[at + 1 :]
        )
        .rstrip(b"=")
        .decode()
        for at in range(0, len(box), 3)
    ]
    wrong = [
        sealed,
        f"{mark}.",
        f"{mark}.{mark}.{sealed}",
        f"Approval.{sealed}",
        f"{state}=",
    ]
    for spelled in (*flipped, *wrong):
        answer = calling(bascule, token, arguments, requestState=spelled)
        assert answer.status == 400, spelled
        assert answer.error["code"] == -32602, spelled
    assert sent_to(upstream) == []
    assert text_of(calling(bascule, token, arguments, requestState=state))


def test_of_many_at_once_one_call_is_made(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    arguments, state = approved(bascule, token)

    def once(_: int) -> Answer:
        return calling(bascule, token, arguments, requestState=state)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(once, range(16)))
    made = [it for it in answers if "result" in it.json]
    assert len(made) == 1
    assert all("used" in refused(it) for it in answers if it is not made[0])
    assert [it["arguments"] for it in sent_to(upstream)] == [arguments]


def test_an_approval_that_was_used_in_vain_is_used(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    arguments, state = approved(bascule, token, "fails")
    answer = calling(bascule, token, arguments, name="fails", requestState=state)
    assert answer.json["result"]["isError"] is True
    again = calling(bascule, token, arguments, name="fails", requestState=state)
    assert "used" in refused(again)


def test_headers_cannot_say_other_arguments_than_were_approved(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    arguments, state = approved(bascule, token)
    for name, passes in (("leaks", True), ("echo", False)):
        params = {"name": name, "arguments": arguments, "requestState": state}
        if passes:  # it needs no approval, and so has no state
            del params["requestState"]
        body = body_of("tools/call", params)
        answer = bascule.send(body, {**headers_of(body, token), "Mcp-Param-Id": "666"})
        assert text_of(answer)
        (received,) = upstream.take()
        assert ("mcp-param-id" in received.headers) == passes


def test_who_may_not_call_a_tool_hears_of_no_approval(bascule: Installation) -> None:
    answer = calling(bascule, bascule.token("mallory"), fresh())
    assert answer.error["code"] == -32602
    assert answer.error["message"] == "unknown tool"


# Rounds


def test_an_approval_covers_the_rounds_of_its_call_each_once(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    arguments, first = approved(bascule, token, "asks")
    answer = calling(bascule, token, arguments, name="asks", requestState=first)
    result = answer.json["result"]
    assert list(result["inputRequests"]) == ["one"]
    second = result["requestState"]
    said = {"one": {"action": "accept", "content": {}}}

    other = {**arguments, "id": 0}
    answer = calling(
        bascule, token, other, name="asks", requestState=second, inputResponses=said
    )
    assert "another call" in refused(answer)
    answer = calling(
        bascule, token, arguments, name="asks", requestState=second, inputResponses=said
    )
    assert text_of(answer) == "answered"
    for state in (first, second):
        answer = calling(
            bascule, token, arguments, name="asks", requestState=state, inputResponses=said
        )
        assert "used" in refused(answer)
    before, after = sent_to(upstream)
    assert "requestState" not in before
    assert "inputResponses" not in before
    assert after["requestState"] == STATE
    assert after["inputResponses"] == said


# What clients are told


def test_a_client_that_opens_no_pages_is_told_the_link(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    arguments = fresh()
    for capabilities in ({}, {"elicitation": {}}, {"elicitation": {"form": {}}}):
        answer = calling(bascule, token, arguments, capabilities=capabilities)
        assert answer.status == 400
        assert answer.error["code"] == -32021
        data = answer.error["data"]
        assert data["requiredCapabilities"] == {"elicitation": {"url": {}}}
        assert data["url"].startswith(f"{bascule.url}/approve/")
        assert data["url"] in answer.error["message"]
    approve(bascule, data["url"].rpartition("/")[2])
    assert text_of(calling(bascule, token, arguments, capabilities={}))
    assert len(sent_to(upstream)) == 1


def test_the_link_says_nothing(bascule: Installation, token: str) -> None:
    answer = calling(bascule, token, fresh())
    url = answer.json["result"]["inputRequests"][KEY]["params"]["url"]
    assert re.fullmatch(re.escape(bascule.url) + "/approve/[0-9a-f]{32}", url)
    assert "spring" not in answer.body.decode()
    assert "alice" not in answer.body.decode()


@pytest.mark.parametrize(
    ("version", "capabilities", "code"),
    [
        ("2025-11-25", {"elicitation": {"url": {}}}, -32042),
        ("2025-11-25", CAPABILITIES, 428),
        ("2025-06-18", {"elicitation": {"url": {}}}, 428),
        ("2025-03-26", {}, 428),
    ],
)
def test_older_clients_are_sent_to_the_page_and_call_again(
    bascule: Installation,
    lodge: Recorder,
    version: str,
    capabilities: dict[str, Any],
    code: int,
) -> None:
    client = LegacyClient(bascule, bascule.token("alice", "lodge"), "lodge")
    assert client.initialize(version, capabilities=capabilities).status == 200
    client.version = version
    lodge.take()
    arguments = fresh()
    answer = client.tool("echo", **arguments)
    assert answer.status == 200
    assert answer.error["code"] == code, answer.body
    data = answer.error["data"]
    if code == -32042:
        (asked,) = data["elicitations"]
        assert asked["mode"] == "url"
        assert asked["message"]
        url, number = asked["url"], asked["elicitationId"]
        assert url.endswith(f"/approve/{number}")
    else:
        url = data["url"]
        assert url in answer.error["message"]
    assert client.tool("echo", **arguments).error["code"] == code
    assert sent_to(lodge) == []
    approve(bascule, url.rpartition("/")[2])
    assert "result" in client.tool("echo", **arguments).json
    assert [it["arguments"] for it in sent_to(lodge)] == [arguments]
    assert client.tool("echo", **arguments).error["code"] == code
    assert sent_to(lodge) == []


# Last: it restarts the server


def test_an_approval_outlives_a_kill(
    bascule: Installation, upstream: Recorder, token: str
) -> None:
    arguments = fresh()
    approval_id, state = held(calling(bascule, token, arguments))
    bascule.kill()
    approve(bascule, approval_id)
    bascule.start("--workers", "2")
    assert text_of(calling(bascule, token, arguments, requestState=state))
    assert "used" in refused(calling(bascule, token, arguments, requestState=state))
    assert len(sent_to(upstream)) == 1
