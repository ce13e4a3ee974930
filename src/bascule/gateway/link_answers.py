"""What a client is told whose user has to connect an account first (URL elicitation)."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Raw

from bascule.decision.facts import Principal
from bascule.gateway import answers, refusal
from bascule.gateway.approval_states import elicitation
from bascule.gateway.credentials import Credential, CredentialError, shown_to
from bascule.gateway.exchange import Exchange
from bascule.gateway.gateway import Upstream
from bascule.gateway.linked import ConnectFirstError, Link, PerUser
from bascule.protocol import legacy, modern
from bascule.protocol.message import (
    MISSING_CAPABILITY,
    URL_ELICITATION_REQUIRED,
    Error,
    Request,
    encode,
    write_result,
)
from bascule.storage.link_requests import digest

KEY = "bascule/link"
"""Of the input request; servers may not use what begins so."""
WAITING = "bascule/link"
"""The `requestState` of a client whose user is on the page. It says nothing and is worth
nothing: who shows it waits, if there is something to wait for."""


async def answer(exchange: Exchange, request: Request, problem: ConnectFirstError) -> None:
    """Answer a request of 2026-07-28; the client sends it again when its user is back.

    While they are on the page it is not asked to open another. Where its result may not
    ask for anything, such as a list's, it is an error; so it is where the user has just
    said no, who would be asked for ever otherwise.
    """
    said_no = _said(request) is not UNSET and not _came_back(request)
    may_ask = request.method in modern.MAY_ASK_FOR_INPUT and not said_no
    try:
        if may_ask and _came_back(request) and not await problem.is_settled():
            _ask_for_input(exchange, request, requestState=WAITING)
            return
        link = await problem.link()
    except CredentialError as exc:
        refusal.upstream_failed(exchange, request.id, exc)
        return
    capabilities = request.params[modern.META][modern.CLIENT_CAPABILITIES]
    if not may_ask:
        answers.error(exchange, 400, request.id, _sentence(problem, link))
    elif legacy.elicits_urls(capabilities):
        asked = {KEY: elicitation(link.url, _please(problem))}
        _ask_for_input(exchange, request, inputRequests=asked)
    else:
        needed = {"requiredCapabilities": {"elicitation": {"url": {}}}, "url": link.url}
        error = Error(MISSING_CAPABILITY, _please_open(problem, link), needed)
        answers.error(exchange, 400, request.id, error)


def _ask_for_input(exchange: Exchange, request: Request, **asked: Any) -> None:
    result = Raw(encode({"resultType": "input_required", **asked}))
    exchange.respond(200, answers.JSON, write_result(request.id, result))


async def answer_legacy(
    exchange: Exchange,
    request: Request,
    problem: ConnectFirstError,
    version: str,
    asks: tuple[str, ...],
) -> None:
    """Answer a request of a revision before that."""
    try:
        link = await problem.link()
    except CredentialError as exc:
        refusal.upstream_failed(exchange, request.id, exc)
        return
    error = _sentence(problem, link)
    if version == legacy.LATEST and legacy.URL_ELICITATION in asks:
        asked = elicitation(link.url, _please(problem))["params"]
        named = {**asked, "elicitationId": digest(link.id).hex()[:32]}
        error = Error(URL_ELICITATION_REQUIRED, _please(problem), {"elicitations": [named]})
    answers.error(exchange, 200, request.id, error)


def without_answer(request: Request) -> tuple[Request, bool]:
    """Take what a client answers to us out of a request; tell whether its user went."""
    params, said = dict(request.params), _said(request)
    if params.get("requestState") == WAITING:
        del params["requestState"]
    elif said is UNSET:
        return request, False
    if said is not UNSET:
        responses = params.pop("inputResponses")
        others = {key: value for key, value in responses.items() if key != KEY}
        params |= {"inputResponses": others} if others else {}
    return Request(request.id, request.method, params), _came_back(request)


def _said(request: Request) -> Any:
    """Give what a client answers to us, whatever it is; `UNSET` for nothing."""
    responses = request.params.get("inputResponses")
    return responses.get(KEY, UNSET) if isinstance(responses, dict) else UNSET


def _came_back(request: Request) -> bool:
    said = _said(request)
    went = isinstance(said, dict) and said.get("action") == "accept"
    return went or (said is UNSET and request.params.get("requestState") == WAITING)


async def wait(credential: Credential, principal: Principal) -> None:
    """Give a user who went to the page some time to come back from there."""
    if isinstance(credential, PerUser):
        await credential.wait(principal)


async def require_account(upstream: Upstream | None, principal: Principal) -> None:
    """Raise `ConnectFirstError` where a user has no account at a server yet.

    Before a person is asked to approve a call, since an approval is good for one, and would
    be spent on a call that cannot be made.
    """
    if upstream is None or not isinstance(upstream.credential, PerUser):
        return
    try:
        await shown_to(upstream.credential, principal)
    except ConnectFirstError:
        raise
    except CredentialError:
        return  # it may be there by the time that the call is approved


def _sentence(problem: ConnectFirstError, link: Link) -> Error:
    """Say it to a client that cannot lead its user anywhere."""
    return Error(answers.APPROVAL_REQUIRED, _please_open(problem, link), {"url": link.url})


def _please(problem: ConnectFirstError) -> str:
    return (
        f"Connector `{problem.connector}` {problem.need}: {problem.task}, and the call can "
        "be made."
    )


def _please_open(problem: ConnectFirstError, link: Link) -> str:
    return (
        f"connector `{problem.connector}` {problem.need}: open {link.url} in a browser, "
        f"{problem.task}, and then make the same call again"
    )
