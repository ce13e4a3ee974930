"""One request to a token endpoint (RFC 6749 §3.2), whatever the grant is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import msgspec

from bascule.clock import Entropy, UnixTime
from bascule.net.fetch import FetchError, FetchPolicy
from bascule.net.post import send
from bascule.oauthclient.client import Client, authenticated
from bascule.oauthclient.discovery import AuthorizationServer
from bascule.oauthclient.dpop import Prover
from bascule.oauthclient.errors import (
    GrantRefusedError,
    ServerUnavailableError,
    UnusableServerError,
)
from bascule.oauthclient.tokens import Answer, read_answer

MAX_BYTES = 256 << 10
MAX_RETRY_SECONDS = 3600
MAX_DESCRIPTION_CHARACTERS = 300
MIN_SECRET_CHARACTERS = 6
"""Shortest sent value whose repetition makes a description unfit to be shown."""
JSON = "application/json"
_CODE = re.compile(r"[a-z0-9_.-]{1,64}")
_PASSING = frozenset({"temporarily_unavailable", "server_error", "slow_down"})


@dataclass(frozen=True, slots=True)
class FormReply:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)


class _Refusal(msgspec.Struct):
    error: str
    error_description: Any = ""


_decode_refusal = msgspec.json.Decoder(_Refusal).decode


async def request_token(
    server: AuthorizationServer,
    client: Client | None,
    form: Mapping[str, str | None],
    policy: FetchPolicy,
    *,
    now: UnixTime,
    entropy: Entropy,
    prover: Prover | None = None,
) -> Answer:
    """Ask for a token, and give the answer as it came.

    `form` without what authenticates the client, which is added; None leaves a parameter
    out, and `client` None authenticates nobody. With a `prover` the token is bound to its
    key (RFC 9449 §5), and a demand for a nonce is met once. Raises `GrantRefusedError` when
    the server says no, `ServerUnavailableError` when nothing is known, and
    `UnusableServerError` before anything is sent.
    """
    if server.token_endpoint is None:
        raise UnusableServerError("the authorization server has no token endpoint")
    proofs: dict[str, str] = {}
    headers: dict[str, str] = {}
    if client is not None:
        proofs, headers = authenticated(client, server, now=now, entropy=entropy)
    parameters = {name: value for name, value in form.items() if value is not None} | proofs
    url, secrets = server.token_endpoint, [*parameters.values(), *headers.values()]
    if client is not None and client.secret is not None:
        secrets.append(client.secret)
    if prover is None:
        return _judged(await post_form(url, parameters, headers, policy), secrets)
    return _judged(
        await _post_proven(url, parameters, headers, policy, prover, now, entropy), secrets
    )


async def _post_proven(
    url: str,
    form: Mapping[str, str],
    headers: Mapping[str, str],
    policy: FetchPolicy,
    prover: Prover,
    now: UnixTime,
    entropy: Entropy,
) -> FormReply:
    """Post with a proof; once more when the server wants its nonce in it (RFC 9449 §8)."""
    proof = prover.proof("POST", url, now=now, entropy=entropy)
    reply = await post_form(url, form, {**headers, "DPoP": proof}, policy)
    is_new = prover.learn(url, reply.headers.get("dpop-nonce"))
    if not is_new or refusal_error(reply) != "use_dpop_nonce":
        return reply
    proof = prover.proof("POST", url, now=now, entropy=entropy)
    reply = await post_form(url, form, {**headers, "DPoP": proof}, policy)
    prover.learn(url, reply.headers.get("dpop-nonce"))
    return reply


async def post_form(
    url: str, form: Mapping[str, str], headers: Mapping[str, str], policy: FetchPolicy
) -> FormReply:
    """Post a form, and give the answer whatever its status is, but for redirects.

    Raises `ServerUnavailableError`.
    """
    usual = {"Content-Type": "application/x-www-form-urlencoded", "Accept": JSON}
    body = urlencode(form).encode()
    try:
        policy = replace(policy, max_bytes=MAX_BYTES)
        async with send("POST", url, {**usual, **headers}, body, policy) as reply:
            return FormReply(reply.status, reply.headers, await reply.body())
    except FetchError as exc:
        raise ServerUnavailableError(f"the authorization server: {exc}") from exc


def refusal_error(reply: FormReply) -> str | None:
    """Give the error code that an answer holds (RFC 6749 §5.2); None when it holds none.

    Also of a 200, since some servers answer so.
    """
    refusal = _refusal(reply)
    return None if refusal is None else refusal.error


def _judged(reply: FormReply, secrets: Iterable[str]) -> Answer:
    refusal = _refusal(reply)
    if refusal is not None and _is_final(reply.status, refusal):
        raise GrantRefusedError(refusal.error, _cleaned(refusal.error_description, secrets))
    if refusal is not None or reply.status != 200:
        raise ServerUnavailableError(
            f"the token endpoint answers with status {reply.status}",
            retry_seconds=_retry_seconds(reply.headers.get("retry-after", "")),
        )
    return read_answer(reply.body)


def _is_final(status: int, refusal: _Refusal) -> bool:
    """Tell a decision from an answer that might be another one a moment later."""
    return status < 500 and status != 429 and refusal.error not in _PASSING


def _refusal(reply: FormReply) -> _Refusal | None:
    try:
        refusal = _decode_refusal(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if _CODE.fullmatch(refusal.error) is None:
        return _Refusal("unknown_error")
    return refusal


def _cleaned(description: object, secrets: Iterable[str]) -> str:
    """Give a stranger's words for the operator; nothing of what was sent may be in them."""
    if not isinstance(description, str):
        return ""
    if any(len(it) >= MIN_SECRET_CHARACTERS and it in description for it in secrets):
        return ""
    shown = "".join(it if " " <= it <= "~" else " " for it in description)
    return " ".join(shown.split())[:MAX_DESCRIPTION_CHARACTERS]


def _retry_seconds(value: str) -> int | None:
    """Read `Retry-After` in seconds; a date is not taken, the clocks may differ."""
    value = value.strip()
    if not (value.isascii() and value.isdecimal() and len(value) <= 9):
        return None
    return min(int(value), MAX_RETRY_SECONDS)
