"""What a client is told whose call waits for a person, or was not approved.

Only who could make the call otherwise is told. The link leads to a page that wants a login:
neither it nor anything that a client answers approves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from bascule.decision.facts import CallFacts
from bascule.gateway import answers
from bascule.gateway.approval_states import KEY, Shown, elicitation, seal_state
from bascule.gateway.call_approvals import Approval, Found
from bascule.gateway.exchange import Exchange
from bascule.gateway.gateway import Gateway
from bascule.gateway.outgoing import handle_binding
from bascule.gateway.turn import Turn
from bascule.protocol import legacy, modern
from bascule.protocol.message import (
    MISSING_CAPABILITY,
    URL_ELICITATION_REQUIRED,
    Error,
    Request,
    encode,
    write_result,
)

CODE = "bascule/code"
"""In `_meta`: what `bascule decide --code` looks up."""
_NEEDED: Mapping[str, Any] = {"elicitation": {"url": {}}}
_WHY: Mapping[Found, str] = {
    "denied": "the call was denied",
    "expired": "the call was not approved in time",
    "used": "the approval was used for one call, and is good for no second",
    "of another call": "`requestState` is that of another call",
    "too many": "too many calls wait for approval: have some approved or denied first",
    "not kept": "the call needs an approval, and none can be given here",
    "approved": "the approval is for another round of the call",
}


def answer(
    gateway: Gateway,
    exchange: Exchange,
    request: Request,
    facts: CallFacts,
    approval: Approval,
    code: str,
) -> None:
    """Answer a request of 2026-07-28."""
    if approval.found != "pending":
        answers.error(exchange, 400, request.id, _refused(approval, code))
        return
    url = page_of(gateway, approval)
    capabilities = request.params[modern.META][modern.CLIENT_CAPABILITIES]
    if not legacy.elicits_urls(capabilities):
        data = {"requiredCapabilities": _NEEDED, "code": code, "url": url}
        problem = Error(MISSING_CAPABILITY, _please_open(facts, url), data)
        answers.error(exchange, 400, request.id, problem)
        return
    binding = handle_binding(facts.principal, facts.connector, facts.method)
    shown = Shown(approval.id, approval.round, approval.inner, opened=approval.opened)
    result: dict[str, Any] = {
        "resultType": "input_required",
        "requestState": seal_state(gateway.sealer, shown, binding, facts.now),
        "_meta": {CODE: code},
    }
    if not approval.opened:
        result["inputRequests"] = {KEY: elicitation(url, _please(facts))}
    body = write_result(request.id, Raw(encode(result)))
    exchange.respond(200, answers.JSON, body)


def answer_legacy(
    turn: Turn,
    request: Request,
    facts: CallFacts,
    approval: Approval,
    code: str,
    version: str,
    asks: tuple[str, ...],
) -> None:
    """Answer a request of a revision before that; the client sends it again later."""
    if approval.found != "pending":
        answers.error(turn.exchange, 200, request.id, _refused(approval, code))
        return
    url = page_of(turn.gateway, approval)
    data: dict[str, Any] = {"code": code, "url": url}
    problem = Error(answers.APPROVAL_REQUIRED, _please_open(facts, url), data)
    if version == legacy.LATEST and legacy.URL_ELICITATION in asks:
        asked = elicitation(url, _please(facts))["params"]
        data = {"code": code, "elicitations": [{**asked, "elicitationId": approval.id}]}
        problem = Error(URL_ELICITATION_REQUIRED, _please(facts), data)
    answers.error(turn.exchange, 200, request.id, problem)


def page_of(gateway: Gateway, approval: Approval) -> str:
    """Give the address at which a person approves."""
    return f"{gateway.public_url}/approve/{approval.id}"


def _refused(approval: Approval, code: str) -> Error:
    why = _WHY[approval.found]
    return Error(answers.APPROVAL_REQUIRED, why, {"code": code})


def _please(facts: CallFacts) -> str:
    return (
        f"A person must approve this one call of `{facts.name}` (connector "
        f"`{facts.connector}`) before it is made."
    )


def _please_open(facts: CallFacts, url: str) -> str:
    return f"{_please(facts)} Open {url} and then make the same call again."
