"""Access tokens: noted in the state, recorded, signed; only then given out."""

from __future__ import annotations

from dataclasses import dataclass, field

from bascule.authserver.clients import Client
from bascule.authserver.details import recorded_details
from bascule.authserver.server import AuthorizationServer
from bascule.clock import UnixTime, new_id, system_micros
from bascule.identity.access_token import AccessToken, issue
from bascule.identity.authorization_details import Details, document
from bascule.identity.confirmation import Confirmation
from bascule.identity.resource import resource_identifier
from bascule.storage import agents, directory, tokens
from bascule.storage.store import Transaction

ACCESS_SECONDS = 600
KEEP_REGISTRATION_SECONDS = 30 * 86_400
"""How long a client that registered itself is kept after its last token."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a token shall say."""

    client: Client
    user: str | None
    """`user:NAME`; None when the agent acts by itself."""
    connector: str
    scopes: frozenset[str]
    grant_id: str | None
    details: Details | None = None
    """The calls that it is for, and nothing else; None: it does not say."""
    provider: str | None = None
    """The identity provider whose word stands for a login, by its name here."""

    @property
    def scope(self) -> str:
        """The scopes as they are written."""
        return " ".join(sorted(self.scopes))


@dataclass(frozen=True, slots=True)
class Noted:
    """A token that the state knows of, so that a revocation finds it."""

    jti: str
    number: int
    issued_at: UnixTime


def note(conn: Transaction, wanted: Wanted, *, jti: str, now: UnixTime) -> Noted | None:
    """Note a token in the transaction that gives the right to it.

    None when its user or agent is not enabled.
    """
    number = tokens.register(
        conn,
        jti=jti,
        user=wanted.user,
        client_id=wanted.client.client_id,
        connector=wanted.connector,
        scope=wanted.scope,
        issued_at=now,
        expires_at=UnixTime(now + ACCESS_SECONDS),
        grant_id=wanted.grant_id,
    )
    if number is None:
        return None
    if wanted.client.agent.origin == "dynamic":
        keep_until = UnixTime(now + KEEP_REGISTRATION_SECONDS)
        agents.extend(conn, client_id=wanted.client.client_id, expires_at=keep_until)
    return Noted(jti, number, now)


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """A successful answer of the token endpoint (RFC 6749 §5.1)."""

    access_token: str = field(repr=False)
    scope: str
    details: list[dict[str, object]] | None = None
    """`authorization_details` (RFC 9396 §7)."""
    refresh_token: str | None = field(default=None, repr=False)
    cnf: Confirmation | None = None
    """What the access token is bound to."""

    def document(self) -> dict[str, object]:
        """Give it as JSON has it."""
        given: dict[str, object] = {
            "access_token": self.access_token,
            "token_type": token_type(self.cnf),
            "expires_in": ACCESS_SECONDS,
            "scope": self.scope,
        }
        if self.details is not None:
            given["authorization_details"] = self.details
        if self.refresh_token is not None:
            given["refresh_token"] = self.refresh_token
        return given


def token_type(cnf: Confirmation | None) -> str:
    """Say how a token is shown that is bound so (RFC 9449 §5, RFC 8705 §3)."""
    return "Bearer" if cnf is None or cnf.key is None else "DPoP"


def new_jti() -> str:
    """Make the id of a token."""
    return new_id(system_micros())


async def give(
    server: AuthorizationServer,
    wanted: Wanted,
    noted: Noted,
    *,
    record: str,
    peer: str,
    refresh_token: str | None = None,
) -> TokenResponse:
    """Record a noted token, sign it and give it out.

    `record` is the type of the record. Raises `LogUnavailableError`: then nobody gets it.
    """
    grant = {} if wanted.grant_id is None else {"grant": wanted.grant_id}
    details, cnf = recorded_details(wanted.details), wanted.client.cnf
    bound = {} if cnf is None else cnf.document()
    by = _vouched(wanted)
    await server.records.event(
        record,
        peer=peer,
        user=wanted.user,
        agent=wanted.client.client_id,
        agent_verified=wanted.client.agent.verified,
        connector=wanted.connector,
        admin={"jti": noted.jti, "scope": wanted.scope, **grant, **details, **bound, **by},
    )
    # First, so that it is signed with a key that all know, and none that was just dropped.
    await server.heard(await server.store.look_together(directory.generation))
    signed = _sign(server, wanted, noted)
    resource = resource_identifier(server.issuer, wanted.connector)
    shown = None if wanted.details is None else document(wanted.details, resource)
    return TokenResponse(signed, wanted.scope, shown, refresh_token, cnf)


def _vouched(wanted: Wanted) -> dict[str, str]:
    """Say on whose word a token was issued, if not on that of a login or a secret here."""
    said = {} if wanted.provider is None else {"provider": wanted.provider}
    workload = wanted.client.workload
    if workload is not None:
        subject = f"{workload.issuer}|{workload.subject}"
        said |= {"workload": workload.name, "workload_subject": subject}
    return said


def _sign(server: AuthorizationServer, wanted: Wanted, noted: Noted) -> str:
    claims = AccessToken(
        user=wanted.user,
        agent=wanted.client.client_id,
        jti=noted.jti,
        scopes=wanted.scopes,
        issued_at=noted.issued_at,
        expires_at=UnixTime(noted.issued_at + ACCESS_SECONDS),
        issue_number=noted.number,
        grant=wanted.grant_id,
        details=wanted.details,
        cnf=wanted.client.cnf,
    )
    resource = resource_identifier(server.issuer, wanted.connector)
    key = server.keys().active()
    return issue(claims, issuer=server.issuer, resource=resource, key=key)
