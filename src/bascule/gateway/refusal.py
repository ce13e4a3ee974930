"""What went wrong on the way of a call, turned into an answer: one place, one table."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET

from bascule.audit.record import RecordTooLargeError
from bascule.audit.writer import LogUnavailableError
from bascule.decision.facts import CallFacts, Denied, Reason
from bascule.decision.gate import MISSING
from bascule.gateway import answers
from bascule.gateway.callers import StateUnconfirmedError, UnauthenticatedError
from bascule.gateway.credentials import NoCredentialNowError
from bascule.gateway.exchange import ClientGoneError, Exchange
from bascule.gateway.gateway import (
    Gateway,
    OutsideError,
    RevokedError,
    TooManyRequestsError,
    UnapprovedError,
)
from bascule.gateway.ingress import BadHeadError
from bascule.gateway.introspection import IssuerUnavailableError
from bascule.gateway.possession import UnprovenError
from bascule.gateway.relay import end_with_error
from bascule.gateway.upstream import UpstreamError, UpstreamTimeoutError
from bascule.identity import challenge
from bascule.identity.issuer_documents import ALGORITHMS
from bascule.protocol.message import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Error,
    MalformedMessageError,
    Message,
    MessageId,
    Request,
)
from bascule.protocol.modern import ProtocolError

EXPECTED = (
    BadHeadError,
    UnauthenticatedError,
    StateUnconfirmedError,
    IssuerUnavailableError,
    TooManyRequestsError,
    MalformedMessageError,
    ProtocolError,
    LogUnavailableError,
    RecordTooLargeError,
    ClientGoneError,
    RevokedError,
    UnapprovedError,
    OutsideError,
)
"""What may go wrong; anything else is a bug."""

OUTCOMES: Mapping[type[Exception], str] = {
    ClientGoneError: "client_gone",
    RevokedError: "revoked",
    UnapprovedError: "unapproved",
    OutsideError: "outside",
    ProtocolError: "refused",
    StateUnconfirmedError: "state_unavailable",
}
"""What the completed record says when a forwarded request ends in one of these."""
ENDED_EARLY = tuple(OUTCOMES)


def answer(
    gateway: Gateway,
    exchange: Exchange,
    message: Message | None,
    connector: str,
    problem: Exception,
) -> None:
    """Answer a request that could not be carried."""
    message_id = message.id if isinstance(message, Request) else None
    match problem:
        case ClientGoneError():
            return
        case RevokedError():
            _revoked(gateway, exchange, connector)
        case OutsideError():
            exchange.abort()
        case UnapprovedError():
            _unapproved(exchange, message_id, problem)
        case UnauthenticatedError():
            _unauthenticated(gateway, exchange, connector, problem)
        case BadHeadError(status=405):
            answers.wrong_verb(exchange, Error(INVALID_REQUEST, str(problem)))
        case BadHeadError(status=status):
            error = Error(INVALID_REQUEST, str(problem))
            answers.error(exchange, status, None, error)
        case MalformedMessageError(code=code, message_id=found):
            answers.error(exchange, 400, found, Error(code, str(problem)))
        case ProtocolError(status=status, error=error):
            answers.error(exchange, status, message_id, error)
        case TooManyRequestsError():
            error = Error(answers.TOO_MANY_REQUESTS, str(problem))
            answers.error(exchange, 429, message_id, error)
        case LogUnavailableError():
            # Why is the operator's to know: it may name places inside.
            answers.unavailable(exchange, message_id, "the record cannot be written")
        case RecordTooLargeError():
            error = Error(INVALID_REQUEST, "the request is too large to be recorded")
            answers.error(exchange, 413, message_id, error)
        case StateUnconfirmedError() | IssuerUnavailableError():
            answers.unavailable(exchange, message_id, str(problem))
        case _:
            raise problem


def denied(
    gateway: Gateway,
    exchange: Exchange,
    request: Request,
    facts: CallFacts,
    decision: Denied,
    code: str,
    *,
    modern: bool = True,
) -> None:
    """Answer what the caller may not do, as if it were not there.

    That a connector is not approved is said to all who have a token for it. Only a token
    that lacks scope is told so: its user and agent may know already. Before 2026-07-28 an
    error of the call is no error of HTTP.
    """
    if decision.reason in {Reason.INSUFFICIENT_SCOPE, Reason.BEYOND_DETAILS}:
        beyond = decision.reason is Reason.BEYOND_DETAILS
        value = challenge.insufficient_scope(
            gateway.public_url,
            facts.connector,
            decision.scopes,
            _BEYOND_DETAILS if beyond else "",
        )
        scopes = f"insufficient scope: needs {' '.join(decision.scopes)}"
        said = _BEYOND_DETAILS if beyond else scopes
        answers.insufficient_scope(exchange, value, request.id, said, code)
    elif decision.reason in MISSING:
        missing = UnapprovedError(facts.connector, decision.reason, code)
        _unapproved(exchange, request.id, missing)
    elif decision.reason in {Reason.DEFINITIONS_UNREADABLE, Reason.ACCOUNT_NEEDED}:
        said = "what the server serves cannot be checked"
        answers.unavailable(exchange, request.id, said, code)
    elif decision.until is not None:
        seconds = max(decision.until - facts.now, 1)
        problem = Error(answers.TOO_MANY_REQUESTS, decision.detail, {"code": code})
        answers.no_calls_left(exchange, request.id, problem, seconds)
    elif decision.reason is Reason.FLOW_CLOSED and decision.detail:
        problem = Error(INVALID_PARAMS, decision.detail, {"code": code})
        answers.error(exchange, 400 if modern else 200, request.id, problem)
    elif decision.reason is Reason.UNKNOWN_METHOD:
        problem = Error(METHOD_NOT_FOUND, "method not found", {"code": code})
        answers.error(exchange, 404 if modern else 200, request.id, problem)
    elif decision.reason is Reason.INVALID_ARGUMENTS and decision.detail:
        # Who hears this may use the tool; it is told what is wrong, as the tool would.
        problem = Error(INVALID_PARAMS, decision.detail, {"code": code})
        answers.error(exchange, 400 if modern else 200, request.id, problem)
    else:
        problem = answers.not_there(code, facts.kind, facts.name)
        answers.error(exchange, 400 if modern else 200, request.id, problem)


_BEYOND_DETAILS = "the token's authorization_details do not cover this call"

_TO_DO: Mapping[Reason, str] = {
    Reason.NOT_APPROVED: "review it with `bascule diff {0}`, then `bascule approve {0}`",
    Reason.APPROVAL_EXPIRED: "its approval has expired; `bascule approve {0}` renews it",
    Reason.APPROVAL_REJECTED: "it was rejected; `bascule diff {0}` shows what it is now",
    Reason.LOCK_DRIFTED: "it is not configured as it was locked; `bascule verify {0}` says "
    "what differs",
    Reason.BOUNDARY_BROKEN: "its server answers without Bascule; `bascule posture` says "
    "from where",
    Reason.KNOWN_MALWARE: "a package of it is known as malware; `bascule monitor` names it",
}


def _unapproved(
    exchange: Exchange, message_id: MessageId | None, problem: UnapprovedError
) -> None:
    """Answer that nothing of a connector is served, and what its operators do about it."""
    if exchange.streaming:
        exchange.abort()
    elif not exchange.answered:
        what = _TO_DO[problem.reason].format(problem.connector)
        closed = problem.reason is Reason.BOUNDARY_BROKEN
        how = "closed" if closed else "not approved"
        said = f"connector `{problem.connector}` is {how}: {what}"
        data = {"code": problem.code} if problem.code else UNSET
        answers.error(
            exchange,
            answers.UNAVAILABLE,
            message_id,
            Error(answers.UNAVAILABLE, said, data),
        )


def upstream_failed(
    exchange: Exchange, client_id: MessageId | None, problem: UpstreamError
) -> None:
    """Answer that the upstream did not; what it said instead stays here."""
    status = _status(problem)
    error = Error(status, str(problem))
    if exchange.streaming and client_id is None:
        exchange.end_stream()
    elif exchange.streaming:
        end_with_error(exchange, client_id, error)
    elif status == answers.UNAVAILABLE:
        answers.unavailable(exchange, client_id, str(problem))
    else:
        answers.error(exchange, status, client_id, error)


def _status(problem: UpstreamError) -> int:
    match problem:
        case UpstreamTimeoutError():
            return answers.GATEWAY_TIMEOUT
        case NoCredentialNowError():
            return answers.UNAVAILABLE
        case _:
            return answers.BAD_GATEWAY


def _revoked(gateway: Gateway, exchange: Exchange, connector: str) -> None:
    if exchange.streaming:
        exchange.abort()
    elif not exchange.answered:
        value = challenge.invalid_token(gateway.public_url, connector)
        answers.challenge(exchange, 401, value, Error(401, "token is no longer valid"))


def _unauthenticated(
    gateway: Gateway, exchange: Exchange, connector: str, problem: UnauthenticatedError
) -> None:
    if isinstance(problem, UnprovenError) and problem.nonce:
        # No failure: nobody can know the nonce before.
        _unproven(gateway, exchange, connector, problem)
        return
    first, too_many = gateway.failures.count(exchange.peer)
    gateway.journal.authentication_failures += 1
    if first:
        gateway.journal.authentication_failed(exchange.peer, connector, problem.reason)
    if too_many:
        error = Error(answers.TOO_MANY_REQUESTS, "too many failed authentications")
        answers.error(exchange, 429, None, error)
        return
    if isinstance(problem, UnprovenError):
        _unproven(gateway, exchange, connector, problem)
        return
    if problem.token_shown:
        value = challenge.invalid_token(gateway.public_url, connector)
        error = Error(401, "token is not valid here")
    else:
        value = challenge.missing_token(gateway.public_url, connector)
        error = Error(401, "a bearer token is needed")
    answers.challenge(exchange, 401, value, error)


def _unproven(
    gateway: Gateway, exchange: Exchange, connector: str, problem: UnprovenError
) -> None:
    """Answer whose token is bound to what was not shown, or to nothing."""
    value = challenge.unproven(gateway.public_url, connector, problem.error, ALGORITHMS)
    error = Error(401, "it is not proven that the token is shown by its holder")
    answers.challenge(exchange, 401, value, error, nonce=problem.nonce)
