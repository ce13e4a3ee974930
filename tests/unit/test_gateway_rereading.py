"""Bascule's own reading of what a server serves: all of it, once for all, within bounds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

import pytest

from bascule.decision.gate import Gate
from bascule.gateway import rereading
from bascule.gateway.definitions import Definitions
from bascule.gateway.rereading import Ask, read_again, read_list
from bascule.gateway.steps import Run, Step
from bascule.gateway.upstream import Response, UpstreamError
from bascule.lock.definition import MAX_DEFINITIONS, definition_digest

ECHO = {"name": "echo"}
PINNED = definition_digest(json.dumps(ECHO).encode())
GATE = Gate(mode="enforce", entry="e", pins={"tools": {"echo": frozenset({PINNED})}})
LIMIT = 1 << 20


class Whole:
    """An upstream's whole answer, as far as a reading looks at it."""

    streams = False
    content_type = b"application/json"
    edition = b'"1.0"'
    status = 200

    def __init__(self, message_id: str, **outcome: Any) -> None:
        answer = {"jsonrpc": "2.0", "id": message_id, **outcome}
        self.body = json.dumps(answer).encode()


def answering(*pages: dict[str, Any], asked: list[dict[str, Any]] | None = None) -> Ask:
    """Make what is answered with pages, one after another; the last again and again."""
    left = list(pages)

    async def ask(message_id: str, method: str, params: dict[str, Any]) -> Response:
        if asked is not None:
            asked.append({"method": method, **params})
        page = left.pop(0) if len(left) > 1 else left[0]
        return cast("Response", Whole(message_id, **page))

    return ask


def listed(*tools: object, **more: object) -> dict[str, Any]:
    return {"result": {"tools": list(tools), **more}}


class Course:
    """Runs a coroutine of the data path to its end."""

    def __init__(self, course: Coroutine[Any, None, Any]) -> None:
        self.done = asyncio.get_running_loop().create_future()
        Run(self._keep(course), self)

    async def _keep(self, course: Coroutine[Any, None, Any]) -> None:
        try:
            self.done.set_result(await course)
        except UpstreamError as exc:
            self.done.set_exception(exc)

    def crashed(self, problem: Exception) -> None:
        self.done.set_exception(problem)

    def ended(self) -> None:
        """Nothing follows."""


def run(made: Callable[[], Coroutine[Any, None, Any]]) -> Any:
    async def main() -> Any:
        return await Course(made()).done

    return asyncio.run(main())


def read(ask: Ask) -> list[dict[str, Any]]:
    items, edition = run(lambda: read_list(ask, "tools", LIMIT))
    assert edition == b'"1.0"'
    return [json.loads(bytes(it)) for it in items]


def test_all_pages_are_read() -> None:
    asked: list[dict[str, Any]] = []
    pages = listed(ECHO, nextCursor="two"), listed({"name": "other"})
    assert read(answering(*pages, asked=asked)) == [ECHO, {"name": "other"}]
    assert asked == [
        {"method": "tools/list"},
        {"method": "tools/list", "cursor": "two"},
    ]


def test_a_server_without_such_lists_serves_none() -> None:
    missing = {"error": {"code": -32601, "message": "no such method"}}
    assert read(answering(missing)) == []
    assert read(answering({"result": {}})) == []


@pytest.mark.parametrize(
    "page",
    [
        {"error": {"code": -32603, "message": "broken"}},
        {"result": []},
        {"result": {"tools": {}}},
        {"result": {"tools": [], "nextCursor": 7}},
        listed(ECHO, nextCursor="for ever"),
        listed(*({"name": str(n)} for n in range(MAX_DEFINITIONS + 1))),
    ],
    ids=["error", "result", "tools", "cursor", "endless", "flood"],
)
def test_what_is_no_list_cannot_be_read(page: dict[str, Any]) -> None:
    with pytest.raises(UpstreamError):
        read(answering(page))


async def learning(definitions: Definitions, ask: Ask) -> None:
    view = definitions.view(("",))
    await read_again(definitions, view, GATE, "tools", ask, LIMIT, hosted=True)


def test_what_was_read_is_known() -> None:
    definitions = Definitions()
    run(lambda: learning(definitions, answering(listed(ECHO))))
    view = definitions.view(("",))
    assert definitions.is_known(view, "tools", "e")
    assert view.digest("tools", "echo") == PINNED
    assert view.condition("tools") == b'If-Match: "1.0"\r\n'


@pytest.mark.parametrize("item", [{}, {"name": 7}, 7], ids=["none", "number", "no object"])
def test_what_has_no_name_spoils_the_reading(item: object) -> None:
    definitions = Definitions()
    with pytest.raises(UpstreamError, match="no name"):
        run(lambda: learning(definitions, answering(listed(ECHO, item))))
    assert not definitions.is_known(definitions.view(("",)), "tools", "e")


def held(step: Step[None], asked: list[str]) -> Ask:
    """Make what is answered only once `step` is done."""

    async def ask(message_id: str, method: str, params: dict[str, Any]) -> Response:
        asked.append(method)
        await step
        return cast("Response", Whole(message_id, **listed(ECHO)))

    return ask


def test_all_who_wait_share_one_reading() -> None:
    async def main() -> list[str]:
        definitions, step, asked = Definitions(), Step[None](), list[str]()
        ask = held(step, asked)
        waiting = [Course(learning(definitions, ask)) for _ in range(5)]
        step.resolve(None)
        for it in waiting:
            await it.done
        await Course(learning(definitions, ask)).done
        return asked

    assert asyncio.run(main()) == ["tools/list"] * 2


def test_who_waits_too_long_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rereading, "READ_SECONDS", 0.0)

    async def main() -> None:
        definitions = Definitions()
        never: Awaitable[None] = Step[None]()
        course = Course(learning(definitions, held(cast("Step[None]", never), [])))
        with pytest.raises(UpstreamError, match="too long"):
            await course.done

    asyncio.run(main())


def test_a_bug_lets_nobody_through() -> None:
    async def ask(message_id: str, method: str, params: dict[str, Any]) -> Response:
        raise RuntimeError("a bug")

    definitions = Definitions()
    with pytest.raises(UpstreamError, match="cannot be read"):
        run(lambda: learning(definitions, ask))
    assert not definitions.is_known(definitions.view(("",)), "tools", "e")
