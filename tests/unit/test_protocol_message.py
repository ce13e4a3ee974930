"""JSON-RPC messages: one parse, one error, written anew."""

from __future__ import annotations

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.protocol.message import (
    INVALID_REQUEST,
    PARSE_ERROR,
    Error,
    MalformedMessageError,
    Notification,
    Request,
    Response,
    parse,
    parse_answer,
    write_request,
    write_response,
    write_result,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4)
    ),
    max_leaves=20,
)


@given(st.binary(max_size=400))
def test_any_bytes_parse_or_raise_the_one_error(body: bytes) -> None:
    for read in (lambda: parse(body, max_depth=64), lambda: parse_answer(body)):
        with contextlib.suppress(MalformedMessageError):
            read()


@given(
    st.one_of(st.integers(), st.text()), st.text(), st.dictionaries(st.text(), json_values)
)
def test_what_is_written_is_what_was_parsed(
    message_id: int | str, method: str, params: dict[str, object]
) -> None:
    body = json.dumps(
        {"jsonrpc": "2.0", "id": message_id, "method": method, "params": params}
    )
    request = parse(body.encode(), max_depth=200)
    assert isinstance(request, Request)
    again = parse(write_request(message_id, method, request.params), max_depth=200)
    assert again == request


def test_a_doubled_key_goes_on_as_the_one_that_was_read() -> None:
    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}'
    )
    request = parse(body, max_depth=64)
    assert isinstance(request, Request)
    assert request.params == {"name": "b"}
    assert write_request(7, request.method, request.params).count(b'"name"') == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", PARSE_ERROR),
        (b"nonsense", PARSE_ERROR),
        (b"\xef\xbb\xbf{}", PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"n":NaN}}', PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', PARSE_ERROR),
        (b'[{"jsonrpc":"2.0","id":1,"method":"a"}]', INVALID_REQUEST),
        (b' \n[{"jsonrpc":"2.0","id":1,"method":"a"}]', INVALID_REQUEST),
        (b'{"jsonrpc":"1.0","id":1,"method":"a"}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":null,"method":"a"}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"a"}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":true,"method":"a"}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","result":{}}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"result":null}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"result":[]}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"error":{}}', INVALID_REQUEST),
        (
            b'{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}',
            INVALID_REQUEST,
        ),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","result":1}', INVALID_REQUEST),
    ],
)
def test_what_is_no_message_is_refused_with_its_code(body: bytes, code: int) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        parse(body, max_depth=64)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("levels", "accepted"), [(60, True), (63, True), (64, False), (5000, False)]
)
def test_nesting_is_bounded(levels: int, accepted: bool) -> None:
    inner = "[" * (levels - 1) + "]" * (levels - 1)
    body = f'{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"x":{inner}}}}}'.encode()
    if accepted:
        assert isinstance(parse(body, max_depth=64), Request)
    else:
        with pytest.raises(MalformedMessageError):
            parse(body, max_depth=64)


def test_brackets_in_text_are_not_nesting() -> None:
    text = "[{" * 500
    body = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "a", "params": {"x": text}}
    ).encode()
    assert isinstance(parse(body, max_depth=4), Request)


def test_a_message_without_id_is_a_notification() -> None:
    message = parse(b'{"jsonrpc":"2.0","method":"notifications/x"}', max_depth=64)
    assert message == Notification("notifications/x", {})


def test_a_response_is_parsed_whole() -> None:
    answered = parse(b'{"jsonrpc":"2.0","id":"a","result":{"roots":[]}}', max_depth=64)
    assert answered == Response("a", {"roots": []})
    failed = parse(
        b'{"jsonrpc":"2.0","id":2,"error":{"code":-1,"message":"no"}}', max_depth=64
    )
    assert failed == Response(2, Error(-1, "no"))


@pytest.mark.parametrize(
    "part", ['"result":{"a":%s}', '"error":{"code":1,"message":"","data":%s}']
)
def test_the_nesting_of_a_response_is_bounded_too(part: str) -> None:
    body = '{"jsonrpc":"2.0","id":1,' + part % ("[" * 99 + "]" * 99) + "}"
    assert parse(body.encode(), max_depth=200)
    with pytest.raises(MalformedMessageError):
        parse(body.encode(), max_depth=64)


@given(
    st.one_of(st.integers(-(2**63), 2**63), st.text()),
    st.dictionaries(st.text(), json_values),
)
def test_a_response_is_written_as_it_was_parsed(
    message_id: int | str, result: dict[str, object]
) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": message_id, "result": result})
    response = parse(body.encode(), max_depth=200)
    assert isinstance(response, Response)
    again = parse(write_response(message_id, response.outcome), max_depth=200)
    assert again == response


@pytest.mark.parametrize("message_id", [1, "1", -5, "ü", 2**63], ids=repr)
def test_an_id_comes_back_with_its_type(message_id: int | str) -> None:
    written = write_result(message_id, msgspec.Raw(b"{}"))
    assert json.loads(written)["id"] == message_id


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}',
        b'{"id":1,"result":{}}',
        b'{"jsonrpc":"2.0","id":{},"result":{}}',
    ],
)
def test_an_answer_needs_exactly_one_of_result_and_error(body: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        parse_answer(body)
