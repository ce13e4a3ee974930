"""MCP 2026-07-28: what body and headers must say, in which order it is checked."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bascule.protocol import header_value, modern
from bascule.protocol.header_value import HeaderValueError
from bascule.protocol.message import Notification, Request
from bascule.protocol.modern import MirrorHeaders, ProtocolError, check

META = {modern.PROTOCOL_VERSION: modern.VERSION, modern.CLIENT_CAPABILITIES: {}}
CALL = Request(1, "tools/call", {"name": "echo", "arguments": {}, "_meta": META})
HEADERS = MirrorHeaders(version=b"2026-07-28", method=b"tools/call", name=b"echo")


def refused(message: Request, headers: MirrorHeaders) -> tuple[int, int]:
    with pytest.raises(ProtocolError) as caught:
        check(message, headers)
    return caught.value.status, caught.value.error.code


def with_meta(meta: object) -> Request:
    return Request(1, "tools/call", {**CALL.params, "_meta": meta})


def test_a_request_whose_headers_say_what_its_body_says_passes() -> None:
    check(CALL, HEADERS)


@pytest.mark.parametrize(
    "meta",
    [
        None,
        [],
        {},
        {modern.PROTOCOL_VERSION: modern.VERSION},
        {modern.CLIENT_CAPABILITIES: {}},
        {modern.PROTOCOL_VERSION: 1, modern.CLIENT_CAPABILITIES: {}},
        {modern.PROTOCOL_VERSION: modern.VERSION, modern.CLIENT_CAPABILITIES: []},
    ],
)
def test_a_body_that_does_not_describe_itself_is_invalid_params(meta: object) -> None:
    assert refused(with_meta(meta), HEADERS) == (400, -32602)


@pytest.mark.parametrize(
    "change",
    [
        {"version": None},
        {"version": b"2025-11-25"},
        {"method": None},
        {"method": b"Tools/Call"},
        {"method": b"tools/list"},
        {"name": None},
        {"name": b"delete"},
        {"name": b"ECHO"},
        {"name": b"=?base64?!!!?="},
        {"name": b"=?base64?" + base64.b64encode(b"delete") + b"?="},
        {"name": b"\xff"},
    ],
)
def test_a_header_that_says_something_else_is_a_mismatch(
    change: dict[str, bytes | None],
) -> None:
    assert refused(CALL, replace(HEADERS, **change)) == (400, -32020)


def test_an_unknown_version_is_answered_with_the_known_ones() -> None:
    request = with_meta({**META, modern.PROTOCOL_VERSION: "1900-01-01"})
    with pytest.raises(ProtocolError) as caught:
        check(request, replace(HEADERS, version=b"1900-01-01"))
    assert caught.value.error.code == -32022
    assert caught.value.error.data == {
        "supported": ["2026-07-28"],
        "requested": "1900-01-01",
    }


@pytest.mark.parametrize("method", sorted(modern.REMOVED - {"notifications/initialized"}))
def test_a_method_of_older_revisions_is_not_found(method: str) -> None:
    request = Request(1, method, {"_meta": META})
    assert refused(request, replace(HEADERS, method=method.encode())) == (404, -32601)


def test_a_notification_needs_only_the_version_header() -> None:
    check(
        Notification("notifications/x", {}),
        MirrorHeaders(modern.VERSION.encode(), None, None),
    )


@given(st.text())
def test_any_name_goes_through_a_header_and_back(name: str) -> None:
    assert header_value.decode(header_value.encode(name)) == name


@given(st.binary())
def test_any_header_value_is_read_or_raises_the_one_error(value: bytes) -> None:
    with contextlib.suppress(HeaderValueError):
        header_value.decode(value)


@given(st.text(min_size=1))
def test_a_name_agrees_with_its_own_header_and_no_other(name: str) -> None:
    request = Request(1, "tools/call", {"name": name, "_meta": META})
    check(request, replace(HEADERS, name=header_value.encode(name)))
    assert refused(request, replace(HEADERS, name=header_value.encode(name + "x"))) == (
        400,
        -32020,
    )
