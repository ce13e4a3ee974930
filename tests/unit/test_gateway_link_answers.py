"""What a client hears whose user has to connect an account, in each state of that."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bascule.gateway import call, refusal
from bascule.gateway.credentials import CredentialError
from bascule.gateway.exchange import ClientGoneError, Exchange
from bascule.gateway.gateway import Gateway, RevokedError, Work
from bascule.gateway.link_answers import KEY, WAITING, answer, without_answer
from bascule.gateway.linked import ConnectFirstError, Link
from bascule.protocol import modern
from bascule.protocol.message import Request

URL = "http://localhost:8420/link/1"
ACCEPT, DECLINE = {"action": "accept"}, {"action": "decline"}


@dataclass
class Client:
    """The client's side, and how it is with its user."""

    settled: bool = True
    fails: bool = False
    status: int = 0
    said: dict[str, Any] = field(default_factory=dict)
    links: int = 0

    streaming = False

    def respond(self, status: int, _: bytes, body: bytes) -> None:
        self.status, self.said = status, json.loads(body)

    async def link(self) -> Link:
        self.links += 1
        if self.fails:
            raise CredentialError("your account cannot be looked up now")
        return Link("1", URL)

    async def is_settled(self) -> bool:
        return self.settled

    def ask(self, method: str = "tools/call", *, urls: bool = True, **params: Any) -> Any:
        """Send a request for a user without an account; gives what it hears."""
        capabilities = {"elicitation": {"url": {}}} if urls else {}
        meta = {modern.CLIENT_CAPABILITIES: capabilities}
        request = Request(1, method, {"name": "echo", **params, modern.META: meta})
        problem = ConnectFirstError("desk", self.link, self.is_settled)
        asyncio.run(answer(cast("Exchange", self), request, problem))
        return self.said.get("result", self.said.get("error"))


def responses(said: object) -> dict[str, Any]:
    return {"inputResponses": {KEY: said}}


def test_a_client_is_asked_to_open_the_page() -> None:
    said = Client().ask()
    assert said["resultType"] == "input_required"
    assert said["inputRequests"][KEY]["params"]["url"] == URL
    assert "requestState" not in said


@pytest.mark.parametrize("shown", [responses(ACCEPT), {"requestState": WAITING}], ids=str)
def test_while_the_user_is_there_it_is_asked_to_open_no_other(
    shown: dict[str, Any],
) -> None:
    client = Client(settled=False)
    assert client.ask(**shown) == {
        "resultType": "input_required",
        "requestState": WAITING,
    }
    assert client.links == 0


@pytest.mark.parametrize("shown", [responses(ACCEPT), {"requestState": WAITING}], ids=str)
def test_when_nothing_came_of_it_there_is_a_new_page(shown: dict[str, Any]) -> None:
    client = Client()
    assert client.ask(**shown)["inputRequests"]
    assert client.links == 1


@pytest.mark.parametrize("said", [DECLINE, {"action": "cancel"}, {}, None, 7, "accept"])
@pytest.mark.parametrize("settled", [True, False])
def test_who_says_no_hears_a_sentence(said: object, *, settled: bool) -> None:
    client = Client(settled=settled)
    error = client.ask(**responses(said), requestState=WAITING)
    assert (client.status, error["code"]) == (400, 428)
    assert URL in error["message"]
    assert error["data"] == {"url": URL}


@pytest.mark.parametrize(
    "method", ["server/discover", "tools/list", "subscriptions/listen"]
)
@pytest.mark.parametrize("settled", [True, False])
def test_what_may_not_ask_for_input_does_not(method: str, *, settled: bool) -> None:
    client = Client(settled=settled)
    assert client.ask(method, **responses(ACCEPT))["code"] == 428
    assert client.status == 400


def test_a_client_that_opens_no_pages_is_told_what_it_lacks() -> None:
    client = Client()
    error = client.ask(urls=False)
    assert (client.status, error["code"]) == (400, -32021)
    assert URL in error["message"]


def test_where_no_link_can_be_made_it_is_said() -> None:
    client = Client(fails=True)
    assert "cannot be looked up" in client.ask()["message"]
    assert client.status >= 500


@pytest.mark.parametrize(
    ("shown", "left", "went"),
    [
        ({}, {}, False),
        ({"requestState": "of the server"}, {"requestState": "of the server"}, False),
        ({"requestState": WAITING}, {}, True),
        (responses(ACCEPT), {}, True),
        (responses(DECLINE), {}, False),
        ({**responses(DECLINE), "requestState": WAITING}, {}, False),
        (
            {"inputResponses": {KEY: ACCEPT, "one": 1}, "requestState": "sealed"},
            {"inputResponses": {"one": 1}, "requestState": "sealed"},
            True,
        ),
        ({"inputResponses": [KEY]}, {"inputResponses": [KEY]}, False),
    ],
    ids=str,
)
def test_a_server_hears_nothing_of_what_is_said_to_us(
    shown: dict[str, Any], left: dict[str, Any], *, went: bool
) -> None:
    request = Request(1, "tools/call", shown)
    found, came_back = without_answer(request)
    assert found.params == left
    assert came_back is went
    assert request.params == shown


@pytest.mark.parametrize("problem", [RevokedError(), ClientGoneError()], ids=repr)
def test_who_is_gone_or_revoked_before_there_is_a_link_is_dealt_with(
    monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    request, answered = Request(1, "tools/call", {"name": "echo"}), []

    async def arrived(*_: object) -> None:
        pass

    async def received(*_: object) -> tuple[Request, None]:
        return request, None

    async def link() -> Link:
        raise problem

    async def asked_by(*_: object) -> None:
        raise ConnectFirstError("desk", link, Client().is_settled)

    for stub in (arrived, received, asked_by):
        monkeypatch.setattr(call, stub.__name__, stub)
    monkeypatch.setattr(modern, "is_modern", lambda *_: True)
    monkeypatch.setattr(modern, "check", lambda *_: None)
    monkeypatch.setattr(refusal, "answer", lambda *said: answered.append(said[-1]))
    work = SimpleNamespace(exchange=SimpleNamespace(method=b"POST"))
    asyncio.run(call.handle_call(cast("Gateway", None), cast("Work", work), "desk"))
    assert answered == [problem]
