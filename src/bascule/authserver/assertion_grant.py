"""The assertion as grant (RFC 7523 §2.1): a platform's for a workload, or an ID-JAG.

The two are told apart by the `typ` of the assertion, which its issuer signs.
"""

from __future__ import annotations

from starlette.requests import Request

from bascule.authserver.agent_grant import issue_to_agent
from bascule.authserver.clients import Client, authenticate, workload_client
from bascule.authserver.errors import InvalidGrantError, InvalidRequestError
from bascule.authserver.id_jag_grant import redeem_id_jag
from bascule.authserver.issue import TokenResponse
from bascule.authserver.parameters import Parameters
from bascule.authserver.server import AuthorizationServer
from bascule.authserver.workloads import is_workload, read_assertion
from bascule.identity.foreign_token import Unverified
from bascule.identity.id_jag import TYPE
from bascule.identity.workload import NoWorkloadError

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"


async def asserting_client(
    server: AuthorizationServer, request: Request, form: Parameters
) -> Client:
    """Give the client of such a request; a workload needs nothing but its token.

    Raises `OAuthError`.
    """
    unverified = _assertion(form)
    if unverified.type == TYPE:
        return await authenticate(server, request, form)
    if not is_workload(server, unverified):
        raise InvalidGrantError("the assertion is by nobody who is trusted here")
    other = form.get("client_secret"), form.get("client_assertion")
    if "authorization" in request.headers or other != (None, None):
        raise InvalidRequestError("a workload authenticates by its assertion alone")
    try:
        return await workload_client(server, unverified, form.get("client_id"))
    except NoWorkloadError as exc:
        # Without the reason: who guesses at claims is not to learn which were right.
        raise InvalidGrantError("the assertion stands for no workload here") from exc


async def redeem_assertion(
    server: AuthorizationServer, client: Client, form: Parameters, *, peer: str
) -> TokenResponse:
    """Issue a token for an assertion. Raises `OAuthError`."""
    unverified = _assertion(form)
    if unverified.type == TYPE:
        return await redeem_id_jag(server, client, unverified, form, peer=peer)
    return await issue_to_agent(server, client, form, peer=peer)


def _assertion(form: Parameters) -> Unverified:
    unverified = read_assertion(form.require("assertion"))
    if unverified is None:
        raise InvalidGrantError("the assertion is malformed")
    return unverified
