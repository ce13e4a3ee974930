"""The `requestState` of a call that is approved: whose it is, and what is in it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from bascule.clock import UnixTime, system_entropy
from bascule.config.model import Config, Connector
from bascule.decision.facts import Principal
from bascule.decision.snapshot import build_snapshot
from bascule.gateway.approval_states import (
    KEY,
    STATE_SECONDS,
    Shown,
    open_state,
    seal_state,
)
from bascule.gateway.call_approvals import Approval
from bascule.gateway.handles import InvalidHandleError, Sealer
from bascule.gateway.lists import SeenLists
from bascule.gateway.outgoing import handle_binding
from bascule.gateway.results import BadResultError, Passage, pass_result
from bascule.protocol.message import Request
from bascule.protocol.modern import ProtocolError

NOW = UnixTime(1_800_000_000)
SEALER = Sealer(b"k" * 32, system_entropy)
ALICE = Principal("user:alice", "desk")
BINDING = handle_binding(ALICE, "tickets", "tools/call")
ID = "0123456789abcdef" * 2


def request(**params: Any) -> Request:
    return Request(7, "tools/call", {"name": "delete", "arguments": {}, **params})


def sealed(shown: Shown) -> str:
    return seal_state(SEALER, shown, BINDING, NOW)


def opened(state: object, now: int = NOW, **params: Any) -> tuple[Request, Shown | None]:
    return open_state(SEALER, request(requestState=state, **params), BINDING, UnixTime(now))


@pytest.mark.parametrize("state", [None, 7, "", "approval", "of.a.server"])
def test_what_is_not_ours_passes_as_it_is(state: object) -> None:
    came = request(requestState=state)
    assert open_state(SEALER, came, BINDING, NOW) == (came, None)
    assert open_state(SEALER, came, BINDING, NOW)[0] is came


def test_the_server_gets_its_own_state_and_answers_and_not_ours() -> None:
    said = {KEY: {"action": "accept"}, "one": {"action": "accept"}}
    found, shown = opened(sealed(Shown(ID, 2, "of the server")), inputResponses=said)
    assert shown == Shown(ID, 2, "of the server")
    handle = found.params["requestState"]
    assert SEALER.open(handle, bound_to=BINDING, now=NOW) == "of the server"
    assert found.params["inputResponses"] == {"one": {"action": "accept"}}


def test_a_server_that_asked_nothing_gets_no_answers() -> None:
    said = {KEY: {"action": "accept"}, "one": {"action": "accept"}}
    found, _ = opened(sealed(Shown(ID, 1)), inputResponses=said)
    assert found.params == {"name": "delete", "arguments": {}}


@pytest.mark.parametrize(
    ("action", "shown"),
    [
        ("decline", Shown(ID, 1, declined=True)),
        ("cancel", Shown(ID, 1)),
        ("accept", Shown(ID, 1, opened=True)),
        ("ACCEPT", Shown(ID, 1)),
        (True, Shown(ID, 1)),
    ],
)
def test_a_client_says_no_or_that_its_user_is_on_the_page(
    action: object, shown: Shown
) -> None:
    said = {KEY: {"action": action}}
    assert opened(sealed(Shown(ID, 1)), inputResponses=said)[1] == shown


def test_nobody_is_sent_to_the_page_twice() -> None:
    """A client that asks again with the state alone has said so before."""
    shown = Shown(ID, 1, opened=True)
    assert opened(sealed(shown))[1] == shown


@pytest.mark.parametrize(
    "binding",
    [
        handle_binding(Principal("user:bob", "desk"), "tickets", "tools/call"),
        handle_binding(Principal(None, "desk"), "tickets", "tools/call"),
        handle_binding(Principal("user:alice", "robot"), "tickets", "tools/call"),
        handle_binding(ALICE, "files", "tools/call"),
        handle_binding(ALICE, "tickets", "prompts/get"),
    ],
)
def test_a_state_is_worthless_to_anybody_and_anywhere_else(
    binding: tuple[str, ...],
) -> None:
    with pytest.raises(ProtocolError):
        open_state(SEALER, request(requestState=sealed(Shown(ID, 1))), binding, NOW)


def test_a_state_expires() -> None:
    state = sealed(Shown(ID, 1))
    assert opened(state, NOW + STATE_SECONDS - 1)[1] == Shown(ID, 1)
    with pytest.raises(ProtocolError):
        opened(state, NOW + STATE_SECONDS)


def test_handles_of_one_use_are_none_of_another() -> None:
    of_server = SEALER.seal('["x",1]', bound_to=BINDING, expires=UnixTime(NOW + 9))
    with pytest.raises(ProtocolError):
        opened(f"approval.{of_server}")
    with pytest.raises(InvalidHandleError):
        SEALER.open(sealed(Shown(ID, 1)).partition(".")[2], bound_to=BINDING, now=NOW)


@given(st.text(max_size=40))
def test_any_other_text_is_refused_or_not_ours(text: str) -> None:
    with pytest.raises(ProtocolError):
        opened(f"approval.{text}")
    if not text.startswith("approval."):
        assert opened(text)[1] is None


@given(st.integers(min_value=0), st.characters(codec="ascii"))
def test_one_other_character_is_noticed(at: int, character: str) -> None:
    state = sealed(Shown(ID, 1))
    at = len("approval.") + at % (len(state) - len("approval."))
    changed = state[:at] + character + state[at + 1 :]
    if changed != state:
        with pytest.raises(ProtocolError):
            opened(changed)


def passed(asks: dict[str, Any], approval: Approval | None, **more: Any) -> dict[str, Any]:
    connector = Connector(url="http://127.0.0.1:1/mcp", may_ask=("elicitation",))
    passage = Passage(
        method="tools/call",
        principal=ALICE,
        connector_name="tickets",
        connector=connector,
        snapshot=build_snapshot(Config(connectors={"tickets": connector}), {}),
        sealer=SEALER,
        binding=BINDING,
        now=NOW,
        max_event_bytes=1 << 20,
        lists=SeenLists(),
        approval=approval,
    )
    result = {"resultType": "input_required", "inputRequests": asks, **more}
    found = asyncio.run(pass_result(Raw(json.dumps(result).encode()), passage))
    given: dict[str, Any] = json.loads(bytes(found.result))
    return given


ASK = {"method": "elicitation/create", "params": {}}


@pytest.mark.parametrize("state", [None, "of the server"])
def test_the_next_round_is_sealed_with_the_approval(state: str | None) -> None:
    more = {} if state is None else {"requestState": state}
    result = passed({"one": ASK}, Approval("approved", ID, 3), **more)
    _, shown = opened(result["requestState"])
    assert shown == Shown(ID, 4, state)
    assert result["inputRequests"] == {"one": ASK}


def test_without_an_approval_a_server_has_its_state_alone() -> None:
    assert "requestState" not in passed({"one": ASK}, None)
    handle = passed({"one": ASK}, None, requestState="x")["requestState"]
    assert SEALER.open(handle, bound_to=BINDING, now=NOW) == "x"


@pytest.mark.parametrize("approval", [None, Approval("approved", ID)])
def test_a_server_cannot_ask_in_our_name(approval: Approval | None) -> None:
    for key in (KEY, "bascule/anything"):
        with pytest.raises(BadResultError):
            passed({key: ASK}, approval)
