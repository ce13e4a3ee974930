"""Workloads at the token endpoint: whose agent a platform's token stands for."""

from __future__ import annotations

import asyncio
from functools import partial

from bascule.authserver.errors import UnavailableError
from bascule.authserver.server import AuthorizationServer
from bascule.identity.access_token import InvalidTokenError
from bascule.identity.foreign_token import Unverified, read
from bascule.identity.workload import (
    NoWorkloadError,
    ShownWorkload,
    candidates,
    verify_workload,
)
from bascule.oauthclient.workload_keys import WorkloadKeysUnavailableError
from bascule.storage import used_assertions

LEEWAY_SECONDS = 30


def read_assertion(assertion: str) -> Unverified | None:
    """Read a JWT without believing it; None when it is none."""
    try:
        return read(assertion.encode())
    except (InvalidTokenError, UnicodeEncodeError):
        return None


def is_workload(server: AuthorizationServer, unverified: Unverified | None) -> bool:
    """Tell whether a token names a platform that vouches for workloads here."""
    if unverified is None:
        return False
    return bool(candidates(unverified, server.config().workloads))


async def shown_workload(
    server: AuthorizationServer, unverified: Unverified, agent: str | None
) -> ShownWorkload:
    """Give the workload that a token stands for, and note its use.

    `agent`: whose workload is meant, where the request says; else the token must fit one
    agent alone. Raises `NoWorkloadError`, or `UnavailableError` when keys cannot be read.
    """
    found = await _verified(server, unverified, agent)
    if len({it.agent for it in found}) > 1:
        raise NoWorkloadError("it fits several agents: send `client_id`")
    shown = found[0]
    if shown.once is None:
        return shown
    use = partial(
        used_assertions.use,
        digest=shown.once,
        expires_at=shown.expires_at,
        now=server.clock(),
    )
    if not await server.store.transact(use):
        raise NoWorkloadError("the token was shown before")
    return shown


async def _verified(
    server: AuthorizationServer, unverified: Unverified, agent: str | None
) -> list[ShownWorkload]:
    """Give the workloads that a token fits, at least one. Raises `NoWorkloadError`."""
    issuer = server.issuer
    audiences = frozenset({issuer, f"{issuer}/", f"{issuer}/oauth/token"})
    found: list[ShownWorkload] = []
    problem = NoWorkloadError("no workload of that agent has this issuer")
    for name, rules in candidates(unverified, server.config().workloads).items():
        if agent not in {None, rules.agent}:
            continue
        try:
            key = await server.workload_keys.key(
                rules, unverified.kid, unverified.algorithm
            )
        except WorkloadKeysUnavailableError as exc:
            raise UnavailableError("keys of the token's issuer cannot be read") from exc
        if key is None:
            problem = NoWorkloadError("the signing key is unknown")
            continue
        verify = partial(
            verify_workload,
            unverified,
            key,
            (name, rules),
            audiences=audiences,
            now=server.clock(),
            leeway=LEEWAY_SECONDS,
        )
        try:
            found.append(await asyncio.to_thread(verify))
        except NoWorkloadError as exc:
            problem = exc
    if not found:
        raise problem
    return found
