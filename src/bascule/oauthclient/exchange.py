"""A token exchanged for another one (RFC 8693)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bascule.clock import Entropy, UnixTime
from bascule.net.fetch import FetchPolicy
from bascule.oauthclient.client import Client
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.dpop import Prover
from bascule.oauthclient.errors import ServerUnavailableError
from bascule.oauthclient.token_endpoint import request_token
from bascule.oauthclient.tokens import Answer, Tokens, read_tokens

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_TYPES = "urn:ietf:params:oauth:token-type:"
ACCESS_TOKEN = f"{_TYPES}access_token"
REFRESH_TOKEN = f"{_TYPES}refresh_token"
ID_TOKEN = f"{_TYPES}id_token"
JWT = f"{_TYPES}jwt"
ID_JAG = f"{_TYPES}id-jag"


@dataclass(frozen=True, slots=True)
class Shown:
    """A token that is shown in exchange, with its type (§3)."""

    token: str = field(repr=False)
    token_type: str


async def exchange_token(
    server: AuthorizationServer,
    client: Client,
    subject: Shown,
    policy: FetchPolicy,
    *,
    resource: str | None,
    audience: str | None = None,
    scopes: Sequence[str] = (),
    actor: Shown | None = None,
    now: UnixTime,
    entropy: Entropy,
    prover: Prover | None = None,
) -> Tokens:
    """Exchange `subject` for an access token to show to `resource` or `audience`.

    `actor`: who acts for the subject, if it is somebody else; it ends up in `act` (§4.1).
    Raises as `request_token` does, and `ServerUnavailableError` when the answer is a token
    of another kind than was asked for.
    """
    answer = await request_exchange(
        server, client, subject, policy, wanted=ACCESS_TOKEN, resource=resource,
        audience=audience, scopes=scopes, actor=actor,
        now=now, entropy=entropy, prover=prover,
    )  # fmt: skip
    return read_tokens(answer, asked=scopes, now=now)


async def request_exchange(
    server: AuthorizationServer,
    client: Client,
    subject: Shown,
    policy: FetchPolicy,
    *,
    wanted: str,
    resource: str | None,
    audience: str | None,
    scopes: Sequence[str],
    actor: Shown | None,
    now: UnixTime,
    entropy: Entropy,
    prover: Prover | None = None,
) -> Answer:
    """Ask for a token of the type `wanted`, and give an answer that holds one (§2)."""
    form = {
        "grant_type": GRANT,
        "requested_token_type": wanted,
        "subject_token": subject.token,
        "subject_token_type": subject.token_type,
        "actor_token": None if actor is None else actor.token,
        "actor_token_type": None if actor is None else actor.token_type,
        "resource": resource,
        "audience": audience,
        "scope": " ".join(scopes) or None,
    }
    answer = await request_token(
        server, client, form, policy, now=now, entropy=entropy, prover=prover
    )
    same = {wanted, JWT} if wanted == ACCESS_TOKEN else {wanted}
    if answer.issued_token_type not in same:
        raise ServerUnavailableError("the exchange gave a token of another type than asked")
    return answer
