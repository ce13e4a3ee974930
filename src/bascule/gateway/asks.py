"""What a server asks a client, and what clients answer, before 2026-07-28.

An ask reaches a client only when its connector may ask such things and the client said that
it takes them; otherwise the gateway answers for it. The id of an ask is stamped for the
session, so that only what was asked there can be answered there.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import Raw

from bascule.clock import monotonic
from bascule.gateway import answers
from bascule.gateway.handles import InvalidHandleError, Sealer
from bascule.gateway.sessions import Held
from bascule.protocol import legacy
from bascule.protocol.message import (
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Error,
    MessageId,
    encode,
    write_notification,
    write_request,
)
from bascule.protocol.modern import META, PROGRESS_TOKEN, ProtocolError

PING = "ping"
ANSWERABLE = frozenset({*legacy.ASKS, PING})
MAX_ASKS = 64
"""Asks that one stream may carry within `ASKS_SECONDS`."""
ASKS_SECONDS = 60.0
MAX_ID_CHARACTERS = 256
"""Ids of asks are kept as long as their stream lasts."""
TOO_LONG = Error(INVALID_REQUEST, "the id is too long")
TOO_MANY = Error(answers.TOO_MANY_REQUESTS, "too many requests to the client")
NOT_TAKEN = Error(METHOD_NOT_FOUND, "the client does not take this request")

_params = msgspec.json.Decoder(dict[str, Any])
_message_id = msgspec.json.Decoder(MessageId)


class Asks:
    """The asks of one stream."""

    def __init__(self, sealer: Sealer, held: Held) -> None:
        self._sealer = sealer
        self._held = held
        self._recent: deque[float] = deque()
        self._open: OrderedDict[MessageId, str] = OrderedDict()
        """The client's id of an ask by the server's, of the newest."""

    def refusal(
        self, method: str, upstream_id: MessageId, may_ask: tuple[str, ...]
    ) -> Error | None:
        """Give what the server is told instead of the client's answer; None to pass."""
        if isinstance(upstream_id, str) and len(upstream_id) > MAX_ID_CHARACTERS:
            return TOO_LONG
        capability = legacy.ASKS.get(method)
        if method != PING and not (
            capability in may_ask and capability in self._held.session.asks
        ):
            return NOT_TAKEN
        now = monotonic()
        while self._recent and now - self._recent[0] > ASKS_SECONDS:
            self._recent.popleft()
        if len(self._recent) >= MAX_ASKS:
            return TOO_MANY
        self._recent.append(now)
        return None

    def ask(self, method: str, upstream_id: MessageId, params: dict[str, Any]) -> bytes:
        """Write the client's request."""
        meta = params.get(META)
        if isinstance(meta, dict) and legacy.is_id(meta.get(PROGRESS_TOKEN)):
            token = stamped(self._sealer, self._held, PROGRESS_TOKEN, meta[PROGRESS_TOKEN])
            params = {**params, META: {**meta, PROGRESS_TOKEN: token}}
        client_id = stamped(self._sealer, self._held, method, upstream_id)
        if len(self._open) >= MAX_ASKS:
            self._open.popitem(last=False)
        self._open[upstream_id] = client_id
        return write_request(client_id, method, params)

    def void(self, params: dict[str, Any]) -> bytes | None:
        """Write that an ask of this stream is void; None when there is no such ask."""
        upstream_id = params.get("requestId")
        client_id = self._open.pop(upstream_id, None) if legacy.is_id(upstream_id) else None
        if client_id is None:
            return None
        params = {**params, "requestId": client_id}
        return write_notification("notifications/cancelled", params)


def stamped(sealer: Sealer, held: Held, use: str, upstream_id: MessageId) -> str:
    """Give the client's form of an id, or of a progress token, that a server chose."""
    text = f"{use}.{encode(upstream_id).decode()}"
    return sealer.stamp(text, bound_to=(*held.owner, "ask"))


def unstamped(
    sealer: Sealer, held: Held, uses: Collection[str], client_form: Any
) -> tuple[str, MessageId]:
    """Give use and id of what a client gave back, for one of these uses.

    Raises `ProtocolError` for what no server asked in this session.
    """
    try:
        if not isinstance(client_form, str):
            raise InvalidHandleError("handle is no text")
        text = sealer.unstamp(client_form, bound_to=(*held.owner, "ask"))
        use, _, upstream_id = text.partition(".")
        if use not in uses:
            raise InvalidHandleError("handle is for another use")
    except InvalidHandleError as exc:
        problem = Error(INVALID_REQUEST, "nothing was asked under this id")
        raise ProtocolError(400, problem) from exc
    return use, _message_id.decode(upstream_id)


def params_of(raw: Raw | object) -> dict[str, Any]:
    """Read the parameters of what a server sent. Raises `msgspec.DecodeError`."""
    return _params.decode(raw) if isinstance(raw, Raw) else {}
