"""Clients: who a client id stands for, and whether a request really is from it."""

from __future__ import annotations

import asyncio
import hmac
from base64 import b64decode
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import unquote_plus

from starlette.requests import Request

from bascule.authserver.documents import DocumentUnavailableError, Published
from bascule.authserver.errors import InvalidClientError, InvalidRequestError
from bascule.authserver.parameters import Parameters
from bascule.authserver.server import AuthorizationServer, digest_of
from bascule.authserver.workloads import is_workload, read_assertion, shown_workload
from bascule.clock import UnixTime
from bascule.config.model import Config
from bascule.identity.client_assertion import (
    Assertion,
    InvalidAssertionError,
    UnknownKeyError,
    claimed_client,
    verify_assertion,
)
from bascule.identity.client_document import address_problem, is_document_address
from bascule.identity.confirmation import Confirmation
from bascule.identity.foreign_token import Unverified
from bascule.identity.workload import NoWorkloadError, ShownWorkload
from bascule.storage import agents, used_assertions
from bascule.storage.agents import Agent
from bascule.web.source import certificate_of

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SPIFFE_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
LEEWAY_SECONDS = 30
NO_KEYS = '{"keys":[]}'


@dataclass(frozen=True, slots=True)
class Client:
    """A client that may ask for something."""

    agent: Agent
    jwks: str | None
    """The keys that count for it now."""
    cnf: Confirmation | None = None
    """What it has shown to hold: its tokens are bound to that."""
    workload: ShownWorkload | None = None
    """What vouched for it, when that is its platform."""
    dpop_bound: bool = False
    """It says of itself that it always proves to hold a key (RFC 9449 §5.2)."""

    @property
    def client_id(self) -> str:
        """Its id, the agent's name."""
        return self.agent.client_id


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request shows of its client."""

    client_id: str
    secret: str | None = field(default=None, repr=False)
    assertion: str | None = field(default=None, repr=False)


async def find_client(server: AuthorizationServer, client_id: str) -> Client:
    """Give a client that a user or the operator has let in before.

    Nobody else's document is fetched. Raises `InvalidClientError`.
    """
    if "\0" in client_id:  # PostgreSQL does not even take the question
        raise InvalidClientError("client is unknown")
    agent = await server.store.look_together(partial(agents.get, client_id=client_id))
    if agent is None:
        raise InvalidClientError("client is unknown")
    if agent.disabled:
        raise InvalidClientError("client is disabled")
    if agent.expires_at is not None and agent.expires_at <= server.clock():
        raise InvalidClientError("client registration has expired")
    if agent.origin != "document":
        return Client(agent, agent.jwks, dpop_bound=agent.dpop_bound)
    published = await published_client(server, client_id)
    noted = await note_published(server, published)
    bound = published.document.dpop_bound
    return Client(noted, published.jwks, dpop_bound=bound)


async def published_client(server: AuthorizationServer, client_id: str) -> Published:
    """Give what a client says of itself at its URL. Raises `InvalidClientError`."""
    domains = server.config().clients.cimd_domains
    problem = address_problem(client_id, domains)
    if problem is not None:
        raise InvalidClientError(f"client id {problem}")
    try:
        return await server.documents.get(client_id)
    except DocumentUnavailableError as exc:
        raise InvalidClientError(str(exc)) from exc


async def note_published(server: AuthorizationServer, published: Published) -> Agent:
    """Let the agent of that document follow what it says by now."""
    document = published.document
    get = partial(agents.get, client_id=document.client_id)
    before = await server.store.look(get)
    said = document.auth_method, document.name, tuple(sorted(set(document.redirect_uris)))
    if before is not None and said == (
        before.auth_method,
        before.name,
        before.redirect_uris,
    ):
        return before
    await server.change(
        partial(
            agents.note_document,
            client_id=document.client_id,
            auth_method=document.auth_method,
            name=document.name,
            redirect_uris=document.redirect_uris,
            now=server.clock(),
        )
    )
    after = await server.store.look(get)
    if after is None or after.disabled:
        raise InvalidClientError("client is disabled")
    return after


async def authenticate(
    server: AuthorizationServer, request: Request, form: Parameters
) -> Client:
    """Give the client of a request, authenticated as it must be; a public one by its id.

    Raises `InvalidClientError`, or `InvalidRequestError` for two ways at once (RFC 6749
    §2.3).
    """
    unverified = read_assertion(form.get("client_assertion") or "")
    if unverified is not None and is_workload(server, unverified):
        _check_one_way(request, form)
        return await _workload_client(server, unverified, form)
    shown = _credentials(request, form)
    if is_document_address(shown.client_id) and shown.secret is not None:
        raise InvalidClientError("a published client has no secret")
    client = await find_client(server, shown.client_id)
    match client.agent.auth_method:
        case "none":
            if shown.secret is not None or shown.assertion is not None:
                raise InvalidClientError("a public client has no credentials")
        case "client_secret":
            _check_secret(client.agent, shown)
        case "private_key_jwt":
            await _check_assertion(server, client, shown)
        case "workload":
            _check_certificate(server.config(), request, shown)
    return client


async def workload_client(
    server: AuthorizationServer, unverified: Unverified, client_id: str | None
) -> Client:
    """Give the agent that a platform's token stands for, authenticated by it.

    Raises `NoWorkloadError`, `InvalidClientError` or `UnavailableError`.
    """
    shown = await shown_workload(server, unverified, client_id)
    client = await find_client(server, shown.agent)
    if client.agent.auth_method != "workload":
        raise InvalidClientError("the agent was not registered with --workload")
    return replace(client, workload=shown)


async def _workload_client(
    server: AuthorizationServer, unverified: Unverified, form: Parameters
) -> Client:
    if form.require("client_assertion_type") not in {ASSERTION_TYPE, SPIFFE_TYPE}:
        raise InvalidRequestError("`client_assertion_type` is not known")
    try:
        return await workload_client(server, unverified, form.get("client_id"))
    except NoWorkloadError as exc:
        raise InvalidClientError(f"workload: {exc}") from exc


def _check_one_way(
    request: Request, form: Parameters
) -> tuple[str | None, str | None, str | None]:
    """Give header, secret and assertion, of which there is one at most."""
    header = request.headers.get("authorization")
    shown = header, form.get("client_secret"), form.get("client_assertion")
    if sum(it is not None for it in shown) > 1:
        raise InvalidRequestError("the client authenticates in more than one way")
    return shown


def _credentials(request: Request, form: Parameters) -> Credentials:
    header, secret, assertion = _check_one_way(request, form)
    if header is not None:
        return _basic(header, form.get("client_id"))
    if assertion is not None:
        if form.require("client_assertion_type") != ASSERTION_TYPE:
            raise InvalidRequestError("`client_assertion_type` is not known")
        claimed = claimed_client(assertion)
        if claimed is None:
            raise InvalidClientError("assertion is malformed")
        if form.get("client_id") not in {None, claimed}:
            raise InvalidRequestError("`client_id` is not the assertion's")
        return Credentials(claimed, assertion=assertion)
    return Credentials(form.require("client_id"), secret=secret)


def _basic(header: str, client_id: str | None) -> Credentials:
    """Read `client_secret_basic`; both halves are form-encoded (RFC 6749 §2.3.1)."""
    scheme, _, encoded = header.partition(" ")
    try:
        text = b64decode(encoded.strip(), validate=True).decode()
    except ValueError as exc:
        raise InvalidClientError("header is malformed") from exc
    name, colon, secret = text.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise InvalidClientError("header is malformed")
    found = Credentials(unquote_plus(name), unquote_plus(secret))
    if client_id not in {None, found.client_id}:
        raise InvalidRequestError("`client_id` is not the header's")
    return found


def _check_certificate(config: Config, request: Request, shown: Credentials) -> None:
    """Want a certificate with the agent's name (RFC 8705 §2.1), and nothing else."""
    name = config.agents.certificates.get(shown.client_id)
    certificate = certificate_of(request)
    if shown.secret is not None or shown.assertion is not None:
        raise InvalidClientError("it has neither secret nor keys")
    if name is None or certificate is None or name not in certificate.names:
        raise InvalidClientError(
            "neither a token nor a certificate says that it is this agent"
        )


def _check_secret(agent: Agent, shown: Credentials) -> None:
    given = digest_of(shown.secret or "")
    if not hmac.compare_digest(given, agent.secret_hash or b""):
        raise InvalidClientError("client secret is missing or wrong")


async def _check_assertion(
    server: AuthorizationServer, client: Client, shown: Credentials
) -> None:
    """Verify an assertion and note its use, so that it counts once."""
    if shown.assertion is None:
        raise InvalidClientError("client assertion is missing")
    now = server.clock()
    try:
        verified = await _verified(server, client, shown.assertion, now)
    except InvalidAssertionError as exc:
        raise InvalidClientError(f"client assertion: {exc}") from exc
    use = partial(
        used_assertions.use,
        digest=verified.digest,
        expires_at=verified.expires_at,
        now=now,
    )
    if not await server.store.transact_together(use):
        raise InvalidClientError("client assertion was shown before")


async def _verified(
    server: AuthorizationServer, client: Client, assertion: str, now: UnixTime
) -> Assertion:
    """Verify; a published client may have other keys by now. Raises as `_verify` does."""
    try:
        return await _verify(server, client, assertion, now)
    except UnknownKeyError:
        renewed = await _with_renewed_keys(server, client)
        if renewed is None:
            raise
        return await _verify(server, renewed, assertion, now)


async def _verify(
    server: AuthorizationServer, client: Client, assertion: str, now: UnixTime
) -> Assertion:
    """Verify in a thread: the keys are the client's choice, large ones take their time.

    Raises `InvalidAssertionError`.
    """
    issuer = server.issuer
    verify = partial(
        verify_assertion,
        assertion,
        client_id=client.client_id,
        jwks=client.jwks or NO_KEYS,
        # Some clients read an issuer as a URL and write it with a slash at the end.
        audiences=frozenset({issuer, f"{issuer}/", f"{issuer}/oauth/token"}),
        now=now,
        leeway=LEEWAY_SECONDS,
    )
    return await asyncio.to_thread(verify)


async def _with_renewed_keys(server: AuthorizationServer, client: Client) -> Client | None:
    """Give a published client with the keys of now, if those known are not of now."""
    if client.agent.origin != "document":
        return None
    try:
        published = await server.documents.renew(client.client_id)
    except DocumentUnavailableError:
        return None
    if published is None:
        return None
    agent = await note_published(server, published)
    return Client(agent, published.jwks)
