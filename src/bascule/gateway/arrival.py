"""Steps 1 to 5 of every request: who asks, and with which message."""

from __future__ import annotations

from bascule.gateway.gateway import Gateway, Work
from bascule.gateway.ingress import check_media, check_origin, mirror_headers
from bascule.gateway.introspection import UnknownTokenError
from bascule.gateway.possession import prove, require_content
from bascule.gateway.turn import Turn
from bascule.identity.resource import resource_identifier
from bascule.protocol.message import Message, parse
from bascule.protocol.modern import MirrorHeaders


async def arrived(gateway: Gateway, work: Work, connector: str) -> Turn:
    """Give a request whose caller is known and counted. Raises what `refusal` knows."""
    exchange = work.exchange
    # 1. One snapshot and one reading of the clock for all that follows.
    snapshot, upstreams, now = gateway.snapshot, gateway.upstreams, gateway.clock()
    # 2. Where it comes from, before anything else is believed.
    check_origin(exchange, gateway.allowed)
    # 3. + 4. The protected resource, and a token for just that.
    resource = resource_identifier(gateway.public_url, connector)
    token = exchange.header(b"authorization")
    try:
        caller = gateway.callers.authenticate(token, connector, resource, now)
    except UnknownTokenError as exc:
        await exc.learn()
        caller = gateway.callers.authenticate(token, connector, resource, now)
    upstream = upstreams.get(connector)
    work.proof = prove(
        exchange,
        caller,
        resource,
        now,
        demands=gateway.demands,
        demanded=None if upstream is None else upstream.connector.require,
    )
    gateway.admit(work, caller)
    return Turn(gateway, work, caller, snapshot, upstream, now)


async def received(turn: Turn) -> tuple[Message, MirrorHeaders]:
    """Read the message, and the headers that repeat it. Raises what `refusal` knows."""
    exchange = turn.exchange
    # 5. The message, and what must agree with it.
    check_media(exchange)
    body = await exchange.body()
    require_content(turn.work.proof, body)
    message = parse(body, max_depth=turn.gateway.limits.depth)
    return message, mirror_headers(exchange)
