"""The one response that an upstream's answer to a request holds, whole or as a stream."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from bascule.gateway.relay import ForeignAnswerError
from bascule.gateway.results import BadResultError
from bascule.gateway.upstream import Response, UpstreamError
from bascule.protocol.message import Answer, MalformedMessageError, MessageId, parse_answer
from bascule.protocol.sse import EventReader, EventTooLargeError

BAD_ANSWERS = (
    MalformedMessageError,
    ForeignAnswerError,
    BadResultError,
    EventTooLargeError,
    msgspec.DecodeError,
)
"""What is wrong with an upstream rather than with a request."""


async def single_answer(response: Response, upstream_id: MessageId, limit: int) -> Answer:
    """Wait for the response; what a stream says before it is dropped.

    Raises `UpstreamError` when there is none, and what `parse_answer` and events raise.
    """
    if response.streams:
        return await _streamed(response, upstream_id, limit)
    if not response.content_type.startswith(b"application/json"):
        raise UpstreamError("upstream answered with an unknown content type")
    return _own(parse_answer(response.body), upstream_id)


async def _streamed(response: Response, upstream_id: MessageId, limit: int) -> Answer:
    reader = EventReader(limit)
    try:
        while (chunk := await response.chunk()) is not None:
            for data in reader.feed(chunk):
                answer = parse_answer(data)
                if answer.method is UNSET:
                    return _own(answer, upstream_id)
    finally:
        if not response.ended:
            response.abandon()
    raise UpstreamError("upstream ended the stream without an answer")


def _own(answer: Answer, upstream_id: MessageId) -> Answer:
    no_id = answer.id is None and answer.error is not UNSET
    if answer.id != upstream_id and not no_id:
        raise ForeignAnswerError("upstream answered another request")
    return answer
