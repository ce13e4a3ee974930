"""From a parsed request to the facts of a decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.clock import UnixTime
from bascule.decision.facts import CallFacts, Kind, Principal
from bascule.protocol import legacy, modern
from bascule.protocol.message import INVALID_PARAMS, Error, Request

_NO_ARGUMENTS: Mapping[str, Any] = {}
_KINDS: Mapping[str, Kind] = {
    "tools/call": "tool",
    "prompts/get": "prompt",
    "resources/read": "resource",
    "resources/subscribe": "resource",
    "resources/unsubscribe": "resource",
}
_REFERENCES: Mapping[str, tuple[Kind, str]] = {
    "ref/prompt": ("prompt", "name"),
    "ref/resource": ("resource", "uri"),
}


def facts_of(
    request: Request, principal: Principal, connector: str, now: UnixTime, address: str
) -> CallFacts:
    """Say what is asked, and from which address.

    Raises `ProtocolError` where the request does not say it.
    """
    if not isinstance(request.params.get("arguments", {}), dict):
        # Nothing else has a place in the record.
        problem = Error(INVALID_PARAMS, "`params.arguments` must be an object")
        raise modern.ProtocolError(400, problem)
    kind: Kind = _KINDS.get(request.method, "none")
    name = ""
    if kind != "none":
        name = request.params[legacy.NAME_PARAMETER[request.method]]
    elif request.method == "completion/complete":
        kind, name = _reference(request.params.get("ref"))
    arguments = request.params.get("arguments", _NO_ARGUMENTS)
    return CallFacts(
        principal,
        connector,
        request.method,
        kind,
        name,
        now,
        arguments=arguments,
        address=address,
    )


def _reference(ref: Any) -> tuple[Kind, str]:
    """Read what a completion is for: it follows the right to that."""
    if isinstance(ref, dict) and ref.get("type") in _REFERENCES:
        kind, key = _REFERENCES[ref["type"]]
        if isinstance(ref.get(key), str):
            return kind, ref[key]
    raise modern.ProtocolError(400, Error(INVALID_PARAMS, "`params.ref` is not valid"))
