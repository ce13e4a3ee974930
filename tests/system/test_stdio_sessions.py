"""Clients of older revisions at stdio servers: what is shared, and what is a user's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from patience import until
from system.legacy_client import EventStream, LegacyClient
from system.server import Installation
from system.stdio_gateway import sdk_client, serving, value
from system.stdio_host import is_running, saw, saw_calls, saw_methods

MAY_ASK = 'may_ask = ["sampling", "elicitation", "roots"]'


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Give a server whose one process all clients share."""
    folder = tmp_path_factory.mktemp("shared")
    with serving(folder, "--era", "legacy", desk=MAY_ASK) as made:
        yield made


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Give a server with a process for each user."""
    folder = tmp_path_factory.mktemp("own")
    with serving(folder, "--era", "both", desk=f"per_user = true\n{MAY_ASK}") as made:
        yield made


def begun(bascule: Installation, user: str | None = "alice", *more: str) -> LegacyClient:
    """Begin a session."""
    client = LegacyClient(bascule, bascule.token(user, "desk", *more), "desk")
    assert client.initialize().status == 200
    client.notify("notifications/initialized")
    return client


def called(client: LegacyClient, name: str, **arguments: Any) -> Any:
    """Call a tool and give its structured content."""
    return value(client.tool(name, **arguments))


def next_of(stream: EventStream) -> dict[str, Any]:
    """Give the next message of a stream, which must come."""
    found: dict[str, Any] = stream.expect().json
    return found


# Shared


def test_a_shared_process_is_told_of_no_client(shared: Installation) -> None:
    client = LegacyClient(shared, shared.token(), "desk")
    result = client.initialize().json["result"]
    assert result["protocolVersion"] == "2025-11-25"
    assert "logging" not in result["capabilities"]
    assert called(client, "capabilities") == {}
    assert client.call("logging/setLevel", {"level": "debug"}).error["code"] == -32601
    assert "logging/setLevel" not in saw_methods(shared.folder)


def test_sessions_of_two_users_share_one_process_and_nothing_else(
    shared: Installation,
) -> None:
    alice, bob = begun(shared, "alice"), begun(shared, "bob")
    assert called(alice, "echo")["pid"] == called(bob, "echo")["pid"]
    assert alice.session != bob.session
    bob.session = alice.session
    assert bob.tool("echo").status == 404


def test_what_a_shared_process_asks_reaches_nobody(shared: Installation) -> None:
    alice, bob = begun(shared, "alice"), begun(shared, "bob")
    with alice.listen() as hers, bob.listen() as his:
        assert called(alice, "asks")["error"]["code"] == -32601
        # What comes next to everybody is the first thing that anybody hears.
        called(alice, "logs")
        for stream in (hers, his):
            assert next_of(stream)["method"] == "notifications/tools/list_changed"


def test_a_resource_is_heard_of_by_who_has_subscribed(shared: Installation) -> None:
    alice, bob = begun(shared, "alice"), begun(shared, "bob")
    with alice.listen() as hers, bob.listen() as his:
        assert alice.call("resources/subscribe", {"uri": "note:a"}).status == 200
        assert bob.call("resources/subscribe", {"uri": "note:b"}).status == 200
        called(alice, "updates", uri="note:a")
        called(alice, "updates", uri="note:b")
        assert next_of(hers)["params"]["uri"] == "note:a"
        assert next_of(his)["params"]["uri"] == "note:b"
        assert alice.call("resources/unsubscribe", {"uri": "note:a"}).status == 200
        called(alice, "updates", uri="note:a")
        called(alice, "logs")
        assert next_of(hers)["method"] == "notifications/tools/list_changed"


def test_one_of_two_who_unsubscribes_does_not_silence_the_other(
    shared: Installation,
) -> None:
    alice, bob = begun(shared, "alice"), begun(shared, "bob")
    for client in (alice, bob):
        client.call("resources/subscribe", {"uri": "note:both"})
    before = saw_methods(shared.folder).count("resources/unsubscribe")
    assert alice.call("resources/unsubscribe", {"uri": "note:both"}).status == 200
    assert saw_methods(shared.folder).count("resources/unsubscribe") == before
    assert bob.call("resources/unsubscribe", {"uri": "note:both"}).status == 200
    assert saw_methods(shared.folder).count("resources/unsubscribe") == before + 1


def test_going_away_is_no_cancelling_and_cancelling_is(shared: Installation) -> None:
    client = begun(shared)
    before = len(saw_calls(shared.folder, "hangs"))
    stream = client.open(
        "POST",
        {"jsonrpc": "2.0", "id": "c", "method": "tools/call", "params": {"name": "hangs"}},
    )
    until(lambda: len(saw_calls(shared.folder, "hangs")) > before)
    theirs = saw_calls(shared.folder, "hangs")[-1]["id"]
    stream.close()
    assert called(client, "echo")
    assert saw(shared.folder)[-1]["message"]["params"]["name"] == "echo"
    assert client.notify("notifications/cancelled", requestId="c").status == 202
    until(
        lambda: saw(shared.folder)[-1]["message"].get("method") == "notifications/cancelled"
    )
    assert saw(shared.folder)[-1]["message"]["params"]["requestId"] == theirs


def test_a_session_outlives_a_crash_unless_it_had_subscribed(shared: Installation) -> None:
    plain, subscriber = begun(shared, "alice"), begun(shared, "bob")
    subscriber.call("resources/subscribe", {"uri": "note:a"})
    first = called(plain, "echo")["pid"]
    assert plain.tool("dies").status == 502
    assert called(plain, "echo")["pid"] != first
    # What it had subscribed to is lost: it has to begin anew to hear of it again.
    assert subscriber.tool("echo").status == 404


def test_a_session_that_was_ended_is_over(shared: Installation) -> None:
    client = begun(shared)
    assert client.verb("DELETE").status == 204
    assert client.tool("echo").status == 404


# A process for each user


def test_users_have_processes_of_their_own_in_each_era(own: Installation) -> None:
    pids: dict[str, set[int]] = {"alice": set(), "bob": set()}
    for user, found in pids.items():
        for _ in range(2):
            found.add(called(begun(own, user), "echo")["pid"])
            found.add(value(own.tool(own.token(user), "echo"))["pid"])
    assert len(pids["alice"]) == len(pids["bob"]) == 2
    for user in pids:
        selectors = ("--type", "server.start", "--user", user)
        started = own.wait_for_records(*selectors, count=2)
        assert {it["connector"] for it in started} == {"desk"}
    assert not pids["alice"] & pids["bob"]


def test_an_agent_by_itself_is_a_user_of_its_own(own: Installation) -> None:
    robot = begun(own, None, "--agent", "robot")
    assert called(robot, "env")["env"]["HOME"] != called(begun(own), "env")["env"]["HOME"]


def test_a_process_of_ones_own_is_told_what_its_client_can_do(own: Installation) -> None:
    client = begun(own, "bob")
    assert called(client, "capabilities").keys() == {"elicitation", "roots", "sampling"}
    initialised = [
        it["message"]["params"]
        for it in saw(own.folder)
        if it["message"].get("method") == "initialize"
    ]
    assert initialised[-1]["clientInfo"]["name"] == "raw"


def test_what_it_asks_reaches_its_user_and_the_answer_it(own: Installation) -> None:
    alice, bob = begun(own, "alice"), begun(own, "bob")
    with bob.listen() as his, alice.stream("asks") as stream:
        ask = next_of(stream)
        assert ask["method"] == "sampling/createMessage"
        answer = {"role": "assistant", "content": {"type": "text", "text": "a\nb"}}
        assert alice.reply(ask["id"], answer).status == 202
        response = next_of(stream)["result"]["structuredContent"]
        assert response == {"id": "ask-1", "result": answer}
        # Had bob heard of it, that would come before this.
        called(bob, "logs")
        assert next_of(his)["method"] == "notifications/message"


def test_what_nobody_can_answer_any_more_is_answered_for_the_client(
    own: Installation,
) -> None:
    """A server has so many unanswered asks and no more: sessions must not use them up."""

    def given_up() -> int:
        ended = {"code": -32603, "message": "the session has ended"}
        return [it["message"].get("error") for it in saw(own.folder)].count(ended)

    alice, before = begun(own, "alice"), given_up()
    with alice.stream("asks") as stream:
        next_of(stream)
        assert alice.verb("DELETE").status == 204
        until(lambda: given_up() == before + 1)


def test_another_user_cannot_answer_what_was_asked(own: Installation) -> None:
    alice, bob = begun(own, "alice"), begun(own, "bob")
    with alice.stream("asks") as stream:
        ask = next_of(stream)
        assert bob.reply(ask["id"], {"stolen": True}).status >= 400
        alice.reply(ask["id"], {"mine": True})
        response = next_of(stream)["result"]["structuredContent"]
        assert response["result"] == {"mine": True}


def test_with_two_agents_of_a_user_nobody_knows_whom_to_ask(own: Installation) -> None:
    robot = begun(own, "bob", "--agent", "robot")
    bob = begun(own, "bob")
    answer = called(bob, "asks")
    assert answer["error"]["code"] == -32601
    robot.verb("DELETE")


@pytest.mark.parametrize(
    "command",
    [
        ("revoke", "--user", "alice", "--reason", "test"),
        ("revoke", "--connector", "desk", "--reason", "test"),
        ("revoke", "--all", "--reason", "test"),
        ("user", "disable", "alice"),
    ],
    ids=lambda it: " ".join(it[:2]),
)
def test_what_is_revoked_ends_processes_too(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    with serving(tmp_path, "--era", "both", desk="per_user = true") as made:
        hers = called(begun(made, "alice"), "echo")["pid"]
        modern = value(made.tool(made.token("alice"), "echo"))["pid"]
        his = called(begun(made, "bob"), "echo")["pid"]
        assert made.cli(*command).exit_code == 0
        until(lambda: not is_running(hers) and not is_running(modern))
        until(lambda: is_running(his) is ("alice" in command))


# Servers of one era


@pytest.mark.parametrize(
    ("era", "mode", "version"),
    [
        ("legacy", "auto", "2025-11-25"),
        ("legacy", "legacy", "2025-11-25"),
        ("modern", "auto", "2026-07-28"),
        ("modern", "2026-07-28", "2026-07-28"),
    ],
)
def test_a_client_finds_the_era_that_its_server_speaks(
    era: str, mode: str, version: str, tmp_path: Path
) -> None:
    with serving(tmp_path, "--era", era) as made:
        found = sdk_client(made, "desk", mode, "echo", "forbidden")
    assert found.get("version") == version, found
    assert found["tools"] == ["echo", "env"]
    assert "pid" in found["called"]["structuredContent"]
    assert found["refused_error"]["code"] == -32602


def test_a_client_without_a_common_era_is_told_what_there_is(tmp_path: Path) -> None:
    with serving(tmp_path, "--era", "modern") as made:
        found = sdk_client(made, "desk", "legacy", "echo", "forbidden")
    assert "2026-07-28" in str(found["connected_error"])
