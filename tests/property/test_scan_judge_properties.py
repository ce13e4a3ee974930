"""Whatever a server answers to the legs, a judge finds something, or leaves it open."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.scan.eras import Era, discover, initialize
from bascule.scan.exchange import Limits, WireError
from bascule.scan.judge import JUDGES
from bascule.scan.place import Answered
from bascule.scan.probed import Identity
from bascule.scan.rules import RULES
from bascule.scan.server import State
from bascule.scan.target import Target
from canned import Heard, http, serving, wired

ADDRESSES = st.sampled_from(
    [
        "http://[",
        "http://127.0.0.1:1/x",
        "{own}",
        "{own}/a/b",
        "{own}/../..",
        "http://\x00",
        "javascript:x",
        "https://login.example/%zz",
        "//x",
        "http://user@[::1%25lo]:0/",
        "http://0x7f.1:99999",
    ]
)
VALUES = st.none() | st.integers() | st.text(max_size=9) | ADDRESSES | st.lists(ADDRESSES)
_NAMES = (
    "resource authorization_servers scopes_supported issuer authorization_endpoint "
    "token_endpoint registration_endpoint jwks_uri result tools capabilities serverInfo "
    "protocolVersion supportedVersions id jsonrpc defaultEnvironment"
)
MEMBERS = st.sampled_from(_NAMES.split())
BODIES = st.dictionaries(MEMBERS, VALUES | st.dictionaries(MEMBERS, VALUES), max_size=8)
STATUSES = st.sampled_from([200, 200, 201, 204, 302, 400, 401, 403, 404, 421, 429, 500])
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Mcp-Session-Id",
            "Access-Control-Allow-Origin",
            "Access-Control-Allow-Headers",
            "Location",
            "Content-Type",
        ]
    ),
    st.sampled_from(["*", "x", "\xe9", "text/event-stream", "a" * 5000, ",,,", "null"]),
    max_size=3,
)
CHALLENGES = st.lists(
    ADDRESSES.map(lambda it: f'Bearer resource_metadata="{it}", scope="* admin'), max_size=2
)
STATES: list[tuple[State, Era | None]] = [
    ("open", "modern"),
    ("open", "legacy"),
    ("open", "sse"),
    ("discovery_open", "legacy"),
    ("token_required", None),
    ("forbidden", None),
]


@settings(max_examples=20)
@given(
    st.sampled_from(STATES),
    st.lists(st.tuples(BODIES, STATUSES, HEADERS), min_size=1, max_size=8),
    CHALLENGES,
)
def test_no_answer_breaks_a_judge(
    kind: tuple[State, Era | None],
    answers: list[tuple[dict[str, Any], int, dict[str, str]]],
    challenges: list[str],
) -> None:
    turn = 0

    def answer(_: Heard) -> bytes:
        nonlocal turn
        value, status, headers = answers[turn % len(answers)]
        turn += 1
        body = msgspec.json.encode(value).replace(b"{own}", own.encode())
        lines = [f"{name}: {said}" for name, said in headers.items() if said.isascii()]
        return http(f"{status} x", b"" if status == 204 else body, *lines)

    own = ""

    async def run() -> None:
        nonlocal own
        limits = Limits(first_seconds=0.2, head_seconds=0.2, body_seconds=0.2)
        async with serving(answer) as server, wired(limits=limits) as wire:
            own = server.url
            state, era = kind
            identity = Identity(
                target=Target.of_url(f"{server.url}/mcp"),
                place=server.place,
                path="/mcp",
                state=state,
                era=era,
                greeting=initialize("/mcp") if era == "legacy" else discover("/mcp"),
                baseline=Answered(200, [], b"", "", None, f"127.0.0.1:{server.port}"),
                session_ids=("one",) if era == "legacy" else (),
                challenges=tuple(it.replace("{own}", own) for it in challenges),
            )
            for judge in JUDGES:
                try:
                    verdict = await judge(wire, identity)
                except WireError:
                    continue
                assert {it.rule for it in verdict if hasattr(it, "rule")} <= set(RULES)
            assert {it.address.rpartition(":")[0] for it in wire.sent} <= {"127.0.0.1"}

    asyncio.run(run())
