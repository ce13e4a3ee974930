"""Answers and streams of the revisions before 2026-07-28 on their way to the client."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Raw, Struct

from bascule.clock import UnixTime
from bascule.gateway import answers
from bascule.gateway.asks import Asks, params_of
from bascule.gateway.deciding import may_read
from bascule.gateway.definitions import Watch
from bascule.gateway.exchange import Headers
from bascule.gateway.handles import Sealer
from bascule.gateway.legacy_results import pass_legacy_result
from bascule.gateway.message_headers import OWN_REQUEST
from bascule.gateway.relay import ForeignAnswerError, Outcome
from bascule.gateway.sessions import Held, not_found
from bascule.gateway.single import BAD_ANSWERS
from bascule.gateway.turn import Turn, edition_of
from bascule.gateway.upstream import Response, UpstreamError
from bascule.protocol import legacy
from bascule.protocol.message import (
    Answer,
    MessageId,
    parse_answer,
    parse_error,
    write_error,
    write_notification,
    write_result,
)
from bascule.protocol.modern import PROGRESS_TOKEN
from bascule.protocol.sse import Event, ResumableReader, resumable_event


class Sent(Struct, frozen=True):
    """A request that went upstream, with what is needed to map the answer back."""

    method: str
    upstream_id: str
    client_id: MessageId
    progress_token: Any = None
    """The upstream's, if the client wants progress."""
    from_start: bool = False
    """A list was asked for from its beginning."""


def check_status(turn: Turn, held: Held, response: Response, *fine: int) -> None:
    """Make of an upstream's HTTP status what concerns the session.

    Raises `ProtocolError` when the upstream no longer knows it: the client begins another.
    `UpstreamError` for all that is neither an answer nor one of `fine`.
    """
    if response.streams and response.status != 200:
        response.abandon()
    if response.status in {200, *fine}:
        return
    if response.status == 404 and held.session.upstream_id is not None:
        turn.gateway.sessions.end(held)
        raise not_found()
    raise UpstreamError("upstream answered with an error status")


def places_of(turn: Turn, held: Held) -> Sealer:
    """Give what seals the places in a session's streams; there may be very many."""
    return turn.gateway.sealer.derived((*held.owner, "Last-Event-ID"))


class LegacyRelay:
    """Gives what an upstream sends on one response to the client of that session."""

    def __init__(
        self,
        turn: Turn,
        held: Held,
        session: Headers,
        sent: Sent | None,
        watch: Watch | None,
    ) -> None:
        """`sent`: the request that is answered; None on a stream that only listens."""
        self._turn = turn
        self._held = held
        self._session = session
        self._sent = sent
        self._places: Sealer | None = None
        self._asks = Asks(turn.gateway.sealer, held)
        self._watch = watch
        self._bytes = 0
        self._outcome: Outcome | None = None
        self.resumable = False
        """The client has what it needs to resume the stream."""
        self.resumes = False
        """The stream goes on where another ended, and may carry that one's answer."""

    async def whole(self, response: Response) -> Outcome:
        """Give the one answer to a request. Raises `UpstreamError`."""
        assert self._sent is not None  # noqa: S101 - only requests are answered whole
        if not response.content_type.startswith(b"application/json"):
            raise UpstreamError("upstream answered with an unknown content type")
        try:
            answer = parse_answer(response.body)
            body = await self._answer(answer, response)
        except BAD_ANSWERS as exc:
            raise UpstreamError(str(exc)) from exc
        if body is None or self._outcome is None:
            raise UpstreamError("upstream answered another request")
        status = 400 if response.status == 400 else 200
        self._turn.exchange.respond(status, answers.JSON, body)
        return self._outcome

    async def stream(self, response: Response) -> Outcome:
        """Pass events on one by one, as fast as the client takes them.

        Raises `UpstreamError` when the upstream fails. A stream that the upstream ends
        before its answer is no failure where the client can resume it.
        """
        reader = ResumableReader(self._turn.gateway.limits.response_bytes)
        exchange = self._turn.exchange
        if self._sent is None:
            exchange.start_stream(200, answers.EVENTS)
        try:
            while (chunk := await response.chunk()) is not None:
                for event in reader.feed(chunk):
                    await self._event(event, response)
                    if self._outcome is not None and self._sent is not None:
                        exchange.end_stream()
                        return self._outcome
                await exchange.drained()
        except BAD_ANSWERS as exc:
            raise UpstreamError(str(exc)) from exc
        except UpstreamError as exc:
            if not (self.resumable and exchange.streaming):
                raise
            exchange.end_stream()
            return Outcome(exc.outcome, self._bytes, response.status)
        finally:
            if not response.ended:
                response.abandon()
        if self._sent is not None and not (self.resumable and exchange.streaming):
            raise UpstreamError("upstream ended the stream without an answer")
        exchange.end_stream()
        return Outcome("ok" if self._sent is None else "suspended", self._bytes, 200)

    async def _event(self, event: Event, response: Response) -> None:
        message: bytes | None = b""
        if event.data:
            message = await self._message(parse_answer(event.data), response)
        if message is None:
            return
        exchange = self._turn.exchange
        if not exchange.streaming:
            exchange.start_stream(200, answers.EVENTS)
        place = None if event.id is None else self._place(event.id)
        exchange.send_chunk(resumable_event(message, place, event.retry))
        self._bytes += len(message)

    def _place(self, event_id: bytes) -> str:
        """Seal a place in the stream: it resumes for this session alone."""
        self.resumable = True
        if self._places is None:
            self._places = places_of(self._turn, self._held)
        return self._places.seal(
            event_id.decode("latin-1"),
            bound_to=self._held.owner,
            expires=UnixTime(self._held.session.expires),
        )

    async def _message(self, it: Answer, response: Response) -> bytes | None:
        """Write the client's message for one of the upstream; None for none."""
        if it.method is UNSET:
            return await self._answer(it, response)
        assert isinstance(it.method, str)  # noqa: S101 - narrows for mypy
        params = params_of(it.params)
        if it.id is not None:
            return await self._ask(it.method, it.id, params, response)
        return self._notification(it.method, params)

    async def _answer(self, it: Answer, response: Response) -> bytes | None:
        sent = self._sent
        if sent is not None:
            method, client_id, from_start = sent.method, sent.client_id, sent.from_start
            no_id = it.id is None and it.error is not UNSET
            if it.id != sent.upstream_id and not no_id:
                raise ForeignAnswerError("upstream answered another request")
        else:
            # Only the stream of an earlier request that goes on has answers on it.
            found = legacy.client_id_of(self._held.session.tag, it.id)
            if found is None or not self.resumes:
                return None
            (method, client_id), from_start = found, False
        if isinstance(it.error, Raw):
            problem = parse_error(it.error)
            body = write_error(client_id, problem)
            self._outcome = Outcome(
                "error", self._bytes + len(body), response.status, error_code=problem.code
            )
            return body
        if response.status != 200 or not isinstance(it.result, Raw):
            raise ForeignAnswerError("upstream sent a result with an error status")
        edition = edition_of(self._turn.there, response)
        passage = self._turn.passage(
            method, self._watch, from_start=from_start, edition=edition
        )
        passed = await pass_legacy_result(it.result, passage)
        body = write_result(client_id, passed.result)
        self._outcome = Outcome(
            "ok", self._bytes + len(body), response.status, is_error=passed.is_error
        )
        return body

    async def _ask(
        self,
        method: str,
        upstream_id: MessageId,
        params: dict[str, Any],
        response: Response,
    ) -> bytes | None:
        # As of now: a stream may be older than the configuration.
        connector = self._turn.gateway.upstreams.get(self._turn.connector)
        may_ask = () if connector is None else connector.connector.may_ask
        problem = self._asks.refusal(method, upstream_id, may_ask)
        if problem is None:
            response.wait_for_client()
            return self._asks.ask(method, upstream_id, params)
        # One at a time: a server that floods waits for its own answers.
        refused = await self._turn.post(
            write_error(upstream_id, problem), self._session + OWN_REQUEST, method
        )
        if refused.streams:
            refused.abandon()
        return None

    def _notification(self, method: str, params: dict[str, Any]) -> bytes | None:
        if method == "notifications/progress":
            found = legacy.client_id_of(self._held.session.tag, params.get(PROGRESS_TOKEN))
            sent = self._sent
            if found is None or (
                sent is not None and params[PROGRESS_TOKEN] != sent.progress_token
            ):
                return None
            params[PROGRESS_TOKEN] = found[1]
        elif method == "notifications/cancelled":
            return self._asks.void(params)
        elif method == "notifications/resources/updated" and not may_read(
            self._turn.gateway,
            self._turn.caller.principal,
            self._turn.connector,
            self._turn.exchange.peer,
            params.get("uri"),
        ):
            return None
        elif self._watch is not None:
            self._watch.definitions.said_to_change(method)
        return write_notification(method, params)
