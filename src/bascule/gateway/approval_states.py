"""The `requestState` of calls that need an approval (MCP 2026-07-28, multi round-trip).

It says which approval the call waits for or has, and for which round of its call; and it
holds the server's own state. It is sealed like every handle, so that a client can neither
read nor change nor lend it, and it approves nothing: what counts is what the state database
says of that approval, and that the call is still the same.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.gateway.handles import InvalidHandleError, Sealer
from bascule.protocol.message import INVALID_PARAMS, Error, Request, encode
from bascule.protocol.modern import ProtocolError

KEY = "bascule/approval"
"""Of the input request by which a client is asked; servers may not use what begins so."""
RESERVED = "bascule/"
STATE_SECONDS = 900
"""Longest time between the rounds of one request that needs input."""
_MARK = "approval."
"""Before such a state; what is sealed has no full stop."""
_USE = "call approval"


class Shown(Struct, frozen=True, array_like=True):
    """What a client shows of an approval, once it is found to be ours and this caller's."""

    id: str
    round: int
    """Of the call: 1 as long as nothing went upstream."""
    inner: str | None = None
    """The server's own state."""
    declined: bool = False
    """The client says that its user does not want to."""
    opened: bool = False
    """The client has sent its user to the page, and need not do so again."""


_shown = msgspec.json.Decoder(Shown)


def seal_state(
    sealer: Sealer, shown: Shown, binding: tuple[str, ...], now: UnixTime
) -> str:
    """Give the `requestState` that a client is to show again."""
    sealed = sealer.seal(
        encode(shown).decode(),
        bound_to=(*binding, _USE),
        expires=UnixTime(now + STATE_SECONDS),
    )
    return _MARK + sealed


def open_state(
    sealer: Sealer, request: Request, binding: tuple[str, ...], now: UnixTime
) -> tuple[Request, Shown | None]:
    """Take what is ours out of a request, so that the rest is as its server knows it.

    Gives it as it came when nothing is. Raises `ProtocolError` for a state that was not
    sealed here, for this caller and connector, or that has expired.
    """
    state = request.params.get("requestState")
    if not isinstance(state, str) or not state.startswith(_MARK):
        return request, None
    try:
        text = sealer.open(state.removeprefix(_MARK), bound_to=(*binding, _USE), now=now)
        shown = _shown.decode(text)
    except (InvalidHandleError, msgspec.DecodeError) as exc:
        problem = Error(INVALID_PARAMS, "`requestState` is not valid here or has expired")
        raise ProtocolError(400, problem) from exc
    params = dict(request.params)
    del params["requestState"]
    responses = params.pop("inputResponses", None)
    if shown.inner is not None:
        expires = UnixTime(now + STATE_SECONDS)
        params["requestState"] = sealer.seal(shown.inner, bound_to=binding, expires=expires)
    if isinstance(responses, dict):
        others = {key: value for key, value in responses.items() if key != KEY}
        if others and (shown.round > 1 or shown.inner is not None):
            params["inputResponses"] = others
        said = responses.get(KEY)
        opened = shown.opened or (shown.round == 1 and _says(said, "accept"))
        shown = replace(shown, declined=_says(said, "decline"), opened=opened)
    return Request(request.id, request.method, params), shown


def _says(said: Any, action: str) -> bool:
    """Tell what a client's user has done: none of it approves anything."""
    return isinstance(said, dict) and said.get("action") == action


def elicitation(url: str, message: str) -> dict[str, Any]:
    """Write the input request that sends a client's user to a page."""
    params = {"mode": "url", "message": message, "url": url}
    return {"method": "elicitation/create", "params": params}
