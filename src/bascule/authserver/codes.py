"""Codes: what a consent becomes."""

from __future__ import annotations

from bascule.authserver.asker import Asker, unknown_client
from bascule.authserver.details import recorded_details
from bascule.authserver.sealed import seal
from bascule.authserver.server import CODE_PREFIX, AuthorizationServer, digest_of
from bascule.clock import UnixTime, new_id, system_micros
from bascule.identity.confirmation import Confirmation
from bascule.storage import (
    agents,
    authorization_requests,
    browser_sessions,
    codes,
    consents,
    grants,
    provider_sessions,
)
from bascule.storage.authorization_requests import AuthorizationRequest
from bascule.storage.browser_sessions import BrowserSession
from bascule.storage.grants import Grant
from bascule.storage.store import Transaction
from bascule.web.problem import PageError

GRANT_SECONDS = 7 * 86_400
"""Nothing that comes of one consent is valid for longer."""


def signed_out() -> PageError:
    """Make the page for somebody whose session has ended while they decided."""
    return PageError(403, "You are signed out", "Sign in, then start again from the app.")


async def give_code(
    server: AuthorizationServer,
    asker: Asker,
    asked: AuthorizationRequest,
    *,
    session: BrowserSession,
    peer: str,
    decided: str | None = None,
) -> str:
    """Record a consent, begin its grant and give the grant's code.

    `decided` is the id of the request that the user has just allowed; of two that allow the
    same, one is first, and the other gets an empty text. Without it the consent is one that
    was remembered. Raises `LogUnavailableError`, or `PageError` for who is disabled, and
    for a session that has ended meanwhile: it begins nothing any more.
    """
    grant_id, code = new_id(system_micros()), server.new_secret(CODE_PREFIX)
    verified = asker.verified(asked.redirect_uri)
    await server.records.event(
        "consent.grant",
        peer=peer,
        user=asked.user,
        agent=asked.client_id,
        agent_verified=verified,
        connector=asked.connector,
        admin={
            "grant": grant_id,
            "scope": asked.scope,
            "redirect_uri": asked.redirect_uri,
            "remembered": "no" if decided is not None else "yes",
            **recorded_details(asked.details),
        },
    )
    sealed = None if decided is None else seal(code, under=decided, entropy=server.entropy)
    now = server.clock()

    def work(conn: Transaction) -> bool:
        if not browser_sessions.is_in_force(conn, number=session.number, now=now):
            raise signed_out()
        if decided is not None and not authorization_requests.decide(
            conn, id_hash=digest_of(decided), decision="allow", sealed_code=sealed
        ):
            return False
        grant = _begin(conn, asker, asked, grant_id=grant_id, now=now)
        provider_sessions.follow(conn, grant=grant.number, session=session.number)
        codes.add(
            conn,
            code_hash=digest_of(code),
            grant=grant,
            redirect_uri=asked.redirect_uri,
            code_challenge=asked.code_challenge,
            now=now,
        )
        if verified and decided is not None and asked.details is None:
            _remember(conn, asked, now)
        return True

    return code if await server.change(work) else ""


def _begin(
    conn: Transaction,
    asker: Asker,
    asked: AuthorizationRequest,
    *,
    grant_id: str,
    now: UnixTime,
) -> Grant:
    if asker.published is not None:
        document = asker.published.document
        agents.note_document(
            conn,
            client_id=document.client_id,
            auth_method=document.auth_method,
            name=document.name,
            redirect_uris=document.redirect_uris,
            now=now,
        )
    grant = grants.add(
        conn,
        grant_id=grant_id,
        user=asked.user,
        client_id=asked.client_id,
        connector=asked.connector,
        scope=asked.scope,
        details=asked.details,
        cnf=None if asked.dpop_jkt is None else Confirmation(key=asked.dpop_jkt),
        now=now,
        expires_at=UnixTime(now + GRANT_SECONDS),
    )
    if grant is None:
        raise unknown_client()
    return grant


def _remember(conn: Transaction, asked: AuthorizationRequest, now: UnixTime) -> None:
    consents.remember(
        conn,
        user=asked.user,
        client_id=asked.client_id,
        redirect_uri=asked.redirect_uri,
        connector=asked.connector,
        scope=asked.scope,
        now=now,
    )
