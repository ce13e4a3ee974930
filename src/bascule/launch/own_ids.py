"""Our ids in the place of the caller's, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from bascule.launch.calls import Call, Reply
from bascule.protocol import modern
from bascule.protocol.message import (
    Answer,
    MessageId,
    encode,
    parse_error,
    write_error,
    write_result,
)

_params = msgspec.json.Decoder(dict[str, Any])


def response_for(call: Call, answer: Answer) -> Reply:
    """Write a response with the caller's id. Raises `MalformedMessageError`."""
    if isinstance(answer.error, Raw):
        problem = parse_error(answer.error)
        return Reply(write_error(call.client_id, problem), last=True, error=problem)
    assert isinstance(answer.result, Raw)  # noqa: S101 - one of both is set
    result = answer.result
    if call.listening:
        result = Raw(encode(for_subscriber(_params.decode(result), call)))
    return Reply(write_result(call.client_id, result), last=True, result=result)


def decoded(params: object) -> dict[str, Any]:
    """Read params, which may be absent. Raises `msgspec.DecodeError`."""
    return _params.decode(params) if isinstance(params, Raw) else {}


def with_own_token(
    params: Mapping[str, Any], ours: int
) -> tuple[dict[str, Any], MessageId | None]:
    """Put our progress token in the place of the caller's; gives that one too."""
    written = dict(params)
    meta = written.get(modern.META)
    if not isinstance(meta, dict) or modern.PROGRESS_TOKEN not in meta:
        return written, None
    token = meta[modern.PROGRESS_TOKEN]
    others = {key: it for key, it in meta.items() if key != modern.PROGRESS_TOKEN}
    if isinstance(token, bool) or not isinstance(token, int | str):
        return {**written, modern.META: others}, None
    return {**written, modern.META: {**others, modern.PROGRESS_TOKEN: ours}}, token


def for_subscriber(params: dict[str, Any], call: Call) -> dict[str, Any]:
    """Put the caller's own subscription id back."""
    meta = params.get(modern.META)
    if isinstance(meta, dict) and meta.get(modern.SUBSCRIPTION_ID) == call.id:
        meta = {**meta, modern.SUBSCRIPTION_ID: call.client_id}
        return {**params, modern.META: meta}
    return params
