"""Which answers to a request of 2026-07-28 are of that revision, good or bad."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.gateway.eras import is_modern_answer


def error(code: int, message_id: object = 1) -> bytes:
    found = {"code": code, "message": "m"}
    return json.dumps({"jsonrpc": "2.0", "id": message_id, "error": found}).encode()


RESULT = b'{"jsonrpc":"2.0","id":1,"result":{}}'
OF_OLDER_SERVERS = {
    "npm SDK 1": (400, error(-32000, None)),
    "Python SDK 1": (400, error(-32600, "server-error")),
    "one that names a session": (404, error(-32001, None)),
    "one that wants a session": (400, b"Missing session ID"),
    "a web server": (404, b"<h1>Not Found</h1>"),
    "one without a POST there": (405, b""),
    "one that accepts nothing": (406, b""),
    "one with an empty answer": (400, b""),
}


@pytest.mark.parametrize("server", OF_OLDER_SERVERS)
@pytest.mark.parametrize("method", ["server/discover", "tools/call"])
def test_answers_of_older_servers_are_known_as_such(server: str, method: str) -> None:
    status, body = OF_OLDER_SERVERS[server]
    assert not is_modern_answer(status, body, method)


@pytest.mark.parametrize("code", [-32020, -32021, -32022])
@pytest.mark.parametrize("method", ["server/discover", "tools/call"])
def test_errors_that_the_revision_defines_are_of_it(code: int, method: str) -> None:
    assert is_modern_answer(400, error(code), method)


@pytest.mark.parametrize(
    ("status", "code"), [(400, -32602), (404, -32601), (200, -32601), (200, -32603)]
)
def test_other_errors_say_something_about_discovery_alone(status: int, code: int) -> None:
    """Every server of the revision has `server/discover`."""
    assert is_modern_answer(status, error(code), "tools/call")
    assert not is_modern_answer(status, error(code), "server/discover")


def test_a_result_is_of_the_revision_with_its_status_alone() -> None:
    assert is_modern_answer(200, RESULT, "server/discover")
    assert not is_modern_answer(404, RESULT, "server/discover")


@given(st.integers(100, 599), st.binary(max_size=200), st.text())
def test_any_bytes_are_of_the_revision_or_not(
    status: int, body: bytes, method: str
) -> None:
    assert is_modern_answer(status, body, method) in {True, False}
