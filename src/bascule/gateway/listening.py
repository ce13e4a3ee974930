"""GET and DELETE of the revisions before 2026-07-28: streams of a session, and its end."""

from __future__ import annotations

from bascule.decision.facts import Denied
from bascule.gateway import answers
from bascule.gateway.approval import require_approval, watch_legacy
from bascule.gateway.deciding import Forwarding, decided, on_disk
from bascule.gateway.handles import InvalidHandleError
from bascule.gateway.ingress import BadHeadError, check_listening
from bascule.gateway.legacy_relay import LegacyRelay, check_status, places_of
from bascule.gateway.passing import end
from bascule.gateway.relay import Outcome
from bascule.gateway.sessions import Held, not_found
from bascule.gateway.turn import Turn, session_headers
from bascule.gateway.upstream import UpstreamError
from bascule.protocol import legacy, modern
from bascule.protocol.message import INVALID_REQUEST, Error, Request
from bascule.protocol.modern import ProtocolError

VERBS = frozenset({"GET", "DELETE"})


async def without_message(turn: Turn) -> None:
    """Answer a GET or DELETE. Raises what `refusal` knows."""
    version = turn.exchange.header(b"mcp-protocol-version")
    if version == modern.VERSION.encode():
        raise BadHeadError(405, "only POST is served at this revision")
    legacy.check_version(version)
    await require_approval(turn, turn.exchange.method)
    if turn.exchange.method == "GET":
        check_listening(turn.exchange)
        await _listen(turn, turn.find_session())
    else:
        await end(turn, turn.find_session())


async def _listen(turn: Turn, held: Held) -> None:
    """Open the stream on which the server speaks unasked, or go on with one that broke."""
    session = session_headers(held, *_place(turn, held))
    request = Request("", legacy.LISTENING, {})
    facts = turn.facts_of(request)
    made = await decided(turn, request, facts, proto=held.session.version)
    await on_disk(turn.gateway, made.entry)
    if isinstance(made.decision, Denied):
        raise not_found()  # its connector went with a reload
    with Forwarding(turn.gateway, turn.exchange, made.entry, None) as it:
        response = await turn.listen(session)
        check_status(turn, held, response, 405, 409)
        if response.status != 200:
            it.outcome = Outcome("refused", status=response.status)
            _has_no_stream(turn, response.status)
            return
        if not response.streams:
            raise UpstreamError("upstream answered with an unknown content type")
        watch = watch_legacy(turn, held)
        relay = LegacyRelay(turn, held, session_headers(held), None, watch)
        relay.resumes = b"last-event-id" in turn.exchange.headers
        it.outcome = await relay.stream(response)


def _place(turn: Turn, held: Held) -> list[tuple[bytes, bytes]]:
    """Give the header that names the place where a stream goes on, if there is one."""
    sealed = turn.exchange.header(b"last-event-id")
    if sealed is None:
        return []
    try:
        event_id = places_of(turn, held).open(
            sealed.decode("latin-1"), bound_to=held.owner, now=turn.now
        )
    except InvalidHandleError as exc:
        problem = Error(INVALID_REQUEST, "`Last-Event-ID` is not of this session")
        raise ProtocolError(400, problem) from exc
    return [(b"Last-Event-ID", event_id.encode("latin-1"))]


def _has_no_stream(turn: Turn, status: int) -> None:
    if status == 409:
        problem = Error(INVALID_REQUEST, "the session has such a stream already")
        answers.error(turn.exchange, 409, None, problem)
    else:
        problem = Error(INVALID_REQUEST, "this server does not speak unasked")
        answers.wrong_verb(turn.exchange, problem, b"POST, DELETE")
