"""Whatever a server answers, the scan reads it or leaves it, and never breaks."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.scan.auth_state import metadata_urls, read_refusal
from bascule.scan.eras import Outcome, read_outcome
from bascule.scan.exchange import Limits
from bascule.scan.greet import confirms, offered_versions
from bascule.scan.paths import hints
from bascule.scan.place import Answered, Place
from bascule.scan.prober import probe
from bascule.scan.target import Target
from canned import Heard, http, serving, wired
from canned import result as answer_to

GREETING = {
    "protocolVersion": "2025-11-25",
    "supportedVersions": ["2026-07-28"],
    "capabilities": {},
    "serverInfo": {},
}
PLACE = Place("127.0.0.1", 80, False, ("127.0.0.1",))
_WORDS = (
    "jsonrpc id result error code data supported nextCursor capabilities serverInfo "
    "protocolVersion supportedVersions tools _meta errors resource method name "
    "authorization_servers"
)
WORDS = st.sampled_from(_WORDS.split())
SCALARS = (
    st.none()
    | st.booleans()
    | st.sampled_from([1, -32022, -32601, "2.0", "2026-07-28", "/mcp", "http://[", ""])
    | st.text(max_size=8)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=12,
)
STATUSES = st.sampled_from([200, 202, 204, 301, 307, 400, 401, 403, 404, 405, 421, 500])
TYPES = st.sampled_from(
    ["application/json", "text/event-stream", "text/html", "APPLICATION/JSON; x", "", "é"]
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["www-authenticate", "location", "mcp-session-id"]),
        st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=20)
        | st.sampled_from(['Bearer resource_metadata="x', "//169.254.169.254", "/mcp/"]),
    ),
    max_size=3,
)


@given(JSON | st.binary(max_size=60), STATUSES, TYPES, HEADERS)
def test_reads_or_leaves_any_answer(
    value: Any, status: int, kind: str, headers: list[tuple[str, str]]
) -> None:
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    given_headers = [("content-type", kind), *headers]
    answered = Answered(status, given_headers, body, "", None, "127.0.0.1:80")
    outcome = read_outcome(answered, 1)
    for era in ("modern", "legacy", "sse"):
        confirms(era, outcome)
    offered_versions(outcome)
    read_refusal(outcome)
    metadata_urls(answered.every("www-authenticate"))
    for path in hints(PLACE, "/mcp", answered):
        assert path.startswith("/")
        assert " " not in path


@given(st.dictionaries(WORDS, JSON, max_size=6))
def test_confirms_nothing_that_lacks_one_of_the_marks(result: dict[str, Any]) -> None:
    answered = Answered(200, [], b"", "", None, "127.0.0.1:80")
    outcome = Outcome(answered, result=result)
    marks = {"protocolVersion", "capabilities", "serverInfo"}
    if not marks <= result.keys():
        assert not confirms("legacy", outcome)
    if not {"supportedVersions", "capabilities"} <= result.keys():
        assert not confirms("modern", outcome)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(JSON, STATUSES, TYPES, HEADERS), min_size=1, max_size=6),
    st.sampled_from(["", "server/discover", "initialize"]),
    st.dictionaries(WORDS, JSON, max_size=3),
)
def test_no_server_breaks_a_probe(
    answers: list[tuple[Any, int, str, list[tuple[str, str]]]],
    greets: str,
    more: dict[str, Any],
) -> None:
    """A real server that gives one strange answer after the other, also after MCP's own."""
    turn = 0

    def answer(heard: Heard) -> bytes:
        nonlocal turn
        if greets and heard.rpc == greets:
            return answer_to(heard, {**GREETING, **more})
        value, status, kind, headers = answers[turn % len(answers)]
        turn += 1
        body = msgspec.json.encode(value)
        if kind == "text/event-stream":
            body = b"event: endpoint\ndata: /m\n\ndata: " + body + b"\n\n"
        lines = [f"{name}: {said}" for name, said in headers if said.isascii()]
        content = [f"Content-Type: {kind}"] if kind.isascii() else []
        return http(f"{status} x", b"" if status == 204 else body, *content, *lines)

    async def run() -> None:
        limits = Limits(first_seconds=0.2, head_seconds=0.2, body_seconds=0.2)
        async with serving(answer) as server, wired(limits=limits) as wire:
            found = await probe(wire, Target.of_url(f"{server.url}/mcp"), judges=())
            assert {it.address for it in wire.sent} == {f"127.0.0.1:{server.port}"}
            assert found.server.state != "open" or found.identity is not None

    asyncio.run(run())
