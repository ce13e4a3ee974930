"""`/scim/NAME/v2/…`: who asks, what for, and how much at a time."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bascule.audit.record import RecordTooLargeError
from bascule.audit.writer import LogUnavailableError
from bascule.errors import BasculeError
from bascule.provisioning.scim import groups, users
from bascule.provisioning.scim.discovery import (
    resource_types,
    schemas,
    service_provider_config,
)
from bascule.provisioning.scim.errors import ScimError, nowhere
from bascule.provisioning.scim.frame import PATH, Scim, Tenant, answer, listed, query_of
from bascule.storage.store import StateUnavailableError
from bascule.web.source import peer_of

log = logging.getLogger("bascule")

MIN_TOKEN_CHARACTERS = 32
MAX_AT_ONCE = 8
"""Requests of one provider that a process works on; more are told to come later."""
_TO_LOOK_INTO = frozenset({400, 409, 413})
"""Refusals that last: somebody must change what the provider sends."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

OfAll = Callable[[Scim, Tenant, Request], Awaitable[Response]]
OfOne = Callable[[Scim, Tenant, Request, str], Awaitable[Response]]

_ALL: Mapping[str, Mapping[str, OfAll]] = {
    "Users": {"GET": users.list_users, "POST": users.create_user},
    "Groups": {"GET": groups.list_groups, "POST": groups.create_group},
}
_ONE: Mapping[str, Mapping[str, OfOne]] = {
    "Users": {
        "GET": users.show_user,
        "PUT": users.replace_user,
        "PATCH": users.patch_user,
        "DELETE": users.delete_user,
    },
    "Groups": {
        "GET": groups.show_group,
        "PUT": groups.replace_group,
        "PATCH": groups.patch_group,
        "DELETE": groups.delete_group,
    },
}


def scim_route(scim: Scim) -> Route:
    """Make the route of one process, for all providers."""
    at_work: dict[str, int] = {}

    async def answer_or_error(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            tenant = await _tenant(scim, request, name)
            if at_work.get(name, 0) >= MAX_AT_ONCE:
                raise ScimError(429, "too many requests at once: send them one by one")
            at_work[name] = at_work.get(name, 0) + 1
            try:
                return await _answer(scim, tenant, request)
            finally:
                at_work[name] -= 1
        except ScimError as exc:
            if exc.status in _TO_LOOK_INTO:
                log.warning("SCIM of `%s`: %d, %s", ascii(name), exc.status, exc)
            return _problem(exc)
        except RecordTooLargeError:
            return _problem(ScimError(413, "too much for one record: send some at a time"))
        except (StateUnavailableError, LogUnavailableError) as exc:
            log.error("provisioning of `%s` cannot be done: %s", ascii(name), exc)
            return _problem(ScimError(503, "it cannot be done at the moment: try again"))

    return Route(f"{PATH}/{{name}}/v2/{{rest:path}}", answer_or_error, methods=METHODS)


async def _tenant(scim: Scim, request: Request, name: str) -> Tenant:
    """Give who asks, by the token that is for that provider alone. Raises `ScimError`."""
    provider = scim.config().providers.get(name)
    if provider is None or provider.scim is None:
        raise ScimError(404, "no users of that provider are taken: see its `scim`")
    try:
        wanted = (await asyncio.to_thread(scim.secret, provider.scim.token)).strip()
    except BasculeError as exc:
        log.error("the SCIM token of `%s` cannot be read: %s", ascii(name), exc)
        raise ScimError(503, "provisioning is not set up: its log says why") from exc
    if len(wanted) < MIN_TOKEN_CHARACTERS:
        log.error(
            "the SCIM token of `%s` is shorter than %d characters: nobody is let in by it",
            ascii(name),
            MIN_TOKEN_CHARACTERS,
        )
        raise ScimError(503, "provisioning is not set up: its log says why")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    right = hmac.compare_digest(wanted.encode(), given.strip().encode("latin-1"))
    if scheme.lower() != "bearer" or not right:
        if scim.records.failed("scim_token", peer=peer_of(request)):
            raise ScimError(429, "too many attempts: wait a minute")
        raise ScimError(401, "the bearer token is not that of this provider")
    base = f"{scim.url}{PATH}/{name}/v2"
    return Tenant(name, provider, peer_of(request), base)


async def _answer(scim: Scim, tenant: Tenant, request: Request) -> Response:
    kind, _, id = request.path_params["rest"].partition("/")
    if kind == "Groups" and not tenant.provider.provisions_groups:
        raise nowhere()
    if not id.isprintable():
        raise nowhere()
    query_of(request)  # what cannot be read refuses a change before it is made
    if id and kind in _ONE:
        one = _ONE[kind].get(request.method)
        if one is not None and "/" not in id:
            return await one(scim, tenant, request, id)
    elif kind in _ALL:
        all_ = _ALL[kind].get(request.method)
        if all_ is not None:
            return await all_(scim, tenant, request)
    else:
        return _described(tenant, request, kind, id)
    raise ScimError(405, "that cannot be done with it")


def _described(tenant: Tenant, request: Request, kind: str, id: str) -> Response:
    """Answer what is asked about the service itself (RFC 7644 §4)."""
    if kind in {"Bulk", ".search", "Me"}:
        raise ScimError(501, "that is not offered: see ServiceProviderConfig")
    documents = {
        "ServiceProviderConfig": None,
        "ResourceTypes": resource_types(tenant),
        "Schemas": schemas(tenant),
    }
    if kind not in documents:
        raise nowhere()
    if request.method != "GET":
        raise ScimError(405, "it can only be read")
    found = documents[kind]
    if found is None:
        if id:
            raise nowhere()
        return answer(200, service_provider_config(tenant))
    if not id:
        if "filter" in request.query_params:
            raise ScimError(403, "these are given without a filter")
        return listed(list(found.values()), total=len(found), start=0)
    if id not in found:
        raise nowhere()
    return answer(200, found[id])


def _problem(exc: ScimError) -> Response:
    made = answer(exc.status, exc.document())
    if exc.status == 401:
        made.headers["WWW-Authenticate"] = 'Bearer realm="scim"'
    if exc.status in {429, 503}:
        made.headers["Retry-After"] = "2"
    return made
