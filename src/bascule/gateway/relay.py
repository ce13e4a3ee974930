"""The upstream's answer on its way to the client, whole or as a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct

from bascule.errors import BasculeError
from bascule.gateway import answers
from bascule.gateway.definitions import Watch
from bascule.gateway.exchange import Exchange
from bascule.gateway.outgoing import Outgoing
from bascule.gateway.results import BadResultError, Passage, pass_result, unchanged
from bascule.gateway.upstream import Response, UpstreamError
from bascule.protocol import modern
from bascule.protocol.message import (
    METHOD_NOT_FOUND,
    Answer,
    Error,
    MalformedMessageError,
    MessageId,
    encode,
    parse_answer,
    parse_error,
    write_error,
    write_notification,
    write_result,
)
from bascule.protocol.sse import EventReader, EventTooLargeError, event

_params = msgspec.json.Decoder(dict[str, Any])


class Outcome(Struct, frozen=True, gc=False):
    """How a forwarded request ended; what the completed record says."""

    outcome: str
    """`ok`, `error`, `upstream_failed`, `timeout`, `client_gone` or `revoked`."""
    bytes: int = 0
    status: int | None = None
    """HTTP status of the upstream."""
    error_code: int | None = None
    is_error: bool = False


class ForeignAnswerError(BasculeError):
    """The upstream answered something that was not asked."""


MayRead = Callable[[object], bool]
"""Tells whether the caller may hear of a resource, as of now."""


async def relay(
    response: Response,
    exchange: Exchange,
    sent: Outgoing,
    passage: Passage,
    may_read: MayRead,
) -> Outcome:
    """Give the upstream's answer to the client.

    Raises `UpstreamError` when there is none that could be given; nothing was sent to the
    client then, or the stream has been ended with an error.
    """
    if response.status >= 500:
        if response.streams:
            response.abandon()
        raise UpstreamError("upstream failed")
    if response.streams:
        return await _relay_stream(response, exchange, sent, passage, may_read)
    if not response.content_type.startswith(b"application/json"):
        raise UpstreamError("upstream answered with an unknown content type")
    try:
        answer = parse_answer(response.body)
        body, outcome = await _rewrite(answer, response.status, sent, passage)
    except (MalformedMessageError, ForeignAnswerError, BadResultError) as exc:
        raise UpstreamError(str(exc)) from exc
    exchange.respond(_status(response.status, outcome), answers.JSON, body)
    return outcome


def _status(upstream_status: int, outcome: Outcome) -> int:
    """Give the HTTP status: the upstream's where it fits, else the revision's."""
    if outcome.error_code is None:
        return 200
    if upstream_status in {200, 400, 404}:
        return upstream_status
    return 404 if outcome.error_code == METHOD_NOT_FOUND else 400


async def _rewrite(
    answer: Answer, status: int, sent: Outgoing, passage: Passage
) -> tuple[bytes, Outcome]:
    """Write the client's response from the upstream's."""
    if answer.method is not UNSET:
        raise ForeignAnswerError("upstream sent a message where a response belongs")
    if answer.id != sent.message_id and not (
        answer.id is None and answer.error is not UNSET
    ):
        raise ForeignAnswerError("upstream answered another request")
    if isinstance(answer.error, Raw):
        problem = parse_error(answer.error)
        body = write_error(sent.client_id, problem)
        return body, Outcome("error", len(body), status, error_code=problem.code)
    if status != 200 or not isinstance(answer.result, Raw):
        raise ForeignAnswerError("upstream sent a result with an error status")
    passed = unchanged(answer.result, passage)
    if passed is None:
        passed = await pass_result(answer.result, passage)
    result = passed.result
    if sent.method == "subscriptions/listen":
        fields = _params.decode(result)
        _restore_subscription(fields, sent)
        result = Raw(encode(fields))
    body = write_result(sent.client_id, result)
    return body, Outcome("ok", len(body), status, is_error=passed.is_error)


async def _relay_stream(
    response: Response,
    exchange: Exchange,
    sent: Outgoing,
    passage: Passage,
    may_read: MayRead,
) -> Outcome:
    """Pass events on one by one, as fast as the client takes them.

    The head goes out with the first event, so that an upstream that fails before it is
    answered like one that failed at once.
    """
    reader = EventReader(passage.max_event_bytes)
    sent_bytes = 0
    try:
        while (chunk := await response.chunk()) is not None:
            for data in reader.feed(chunk):
                message, outcome = await _pass_event(
                    data, response.status, sent, passage, may_read
                )
                if message is None:
                    continue
                if not exchange.streaming:
                    exchange.start_stream(200, answers.EVENTS)
                exchange.send_chunk(event(message))
                sent_bytes += len(message)
                if outcome is not None:
                    exchange.end_stream()
                    return Outcome(
                        outcome.outcome,
                        sent_bytes,
                        response.status,
                        outcome.error_code,
                        outcome.is_error,
                    )
            await exchange.drained()
        raise UpstreamError("upstream ended the stream without an answer")
    except (
        MalformedMessageError,
        ForeignAnswerError,
        BadResultError,
        EventTooLargeError,
    ) as exc:
        raise UpstreamError(str(exc)) from exc
    finally:
        if not response.ended:
            response.abandon()


async def _pass_event(
    data: bytes, status: int, sent: Outgoing, passage: Passage, may_read: MayRead
) -> tuple[bytes | None, Outcome | None]:
    """Give the client's message for an event, and the outcome if it was the answer."""
    answer = parse_answer(data)
    if answer.method is UNSET:
        return await _rewrite(answer, status, sent, passage)
    if answer.id is not None:
        # A request from server to client does not exist in this revision.
        return None, None
    return _notification(answer, sent, may_read, passage.watch), None


def _notification(
    answer: Answer, sent: Outgoing, may_read: MayRead, watch: Watch | None
) -> bytes | None:
    """Write a notification with the client's own ids, or None for one that is not its."""
    assert isinstance(answer.method, str)  # noqa: S101 - narrows for mypy
    try:
        params = _params.decode(answer.params) if isinstance(answer.params, Raw) else {}
    except msgspec.DecodeError as exc:
        raise ForeignAnswerError("upstream sent a notification of the wrong shape") from exc
    if answer.method == "notifications/progress":
        if (
            sent.client_progress_token is None
            or params.get(modern.PROGRESS_TOKEN) != sent.message_id
        ):
            return None
        params[modern.PROGRESS_TOKEN] = sent.client_progress_token
    elif answer.method == "notifications/resources/updated" and not may_read(
        params.get("uri")
    ):
        return None
    elif watch is not None:
        watch.definitions.said_to_change(answer.method)
    _restore_subscription(params, sent)
    return write_notification(answer.method, params)


def _restore_subscription(params: dict[str, Any], sent: Outgoing) -> None:
    meta: Mapping[str, Any] | None = params.get(modern.META)
    if isinstance(meta, dict) and meta.get(modern.SUBSCRIPTION_ID) == sent.message_id:
        params[modern.META] = {**meta, modern.SUBSCRIPTION_ID: sent.client_id}


def end_with_error(exchange: Exchange, client_id: MessageId | None, problem: Error) -> None:
    """End a stream that cannot go on with an error response."""
    exchange.send_chunk(event(write_error(client_id, problem)))
    exchange.end_stream()
