"""`/Users`: who may sign in, and who is ended everywhere (RFC 7644 §3).

What a request does is written into the log before it is done. `active = false` and DELETE
end all that a user has, and keep it out whether it ever signed in or not.
"""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from bascule.provisioning.scim.body import parse
from bascule.provisioning.scim.errors import ScimError, nowhere
from bascule.provisioning.scim.frame import (
    Scim,
    Tenant,
    answer,
    etag,
    is_known,
    listed,
    query_of,
    require_match,
)
from bascule.provisioning.scim.patch import edits
from bascule.provisioning.scim.user import new_user, patched, replaced, shown, wanted
from bascule.provisioning.scim.user_change import Change, apply
from bascule.storage import scim_users
from bascule.storage.scim_users import ScimUser

ATTEMPTS = 5
"""To change what others change at the same time."""


async def list_users(scim: Scim, tenant: Tenant, request: Request) -> Response:
    """`GET /Users`."""
    query = query_of(request)
    total, found = await scim.store.look(
        partial(
            scim_users.find,
            issuer=tenant.provider.iss,
            wanted=wanted(query.filter),
            start=query.start,
            count=query.count,
        )
    )
    page = [query.shown(shown(it, tenant.base)) for it in found]
    return listed(page, total=total, start=query.start)


async def show_user(scim: Scim, tenant: Tenant, request: Request, id: str) -> Response:
    """`GET /Users/ID`."""
    user = await _user(scim, tenant, id)
    if is_known(request, user.version):
        return answer(304, None, ETag=etag(user.version))
    return _shown(tenant, request, user)


async def create_user(scim: Scim, tenant: Tenant, request: Request) -> Response:
    """`POST /Users`."""
    user = new_user(
        parse(await request.body()),
        issuer=tenant.provider.iss,
        provider=tenant.provider,
        id=scim.new_id(),
        now=scim.clock(),
    )
    await apply(scim, tenant, Change(None, user))
    made = _shown(tenant, request, user, status=201)
    made.headers["Location"] = f"{tenant.base}/Users/{user.id}"
    return made


async def replace_user(scim: Scim, tenant: Tenant, request: Request, id: str) -> Response:
    """`PUT /Users/ID`."""
    body = parse(await request.body())
    make = partial(replaced, body=body, provider=tenant.provider, now=scim.clock())
    for _ in range(ATTEMPTS):
        before = await _seen(scim, tenant, request, id)
        after = make(before)
        if await apply(scim, tenant, Change(before, after)):
            return _shown(tenant, request, after)
    raise busy()


async def patch_user(scim: Scim, tenant: Tenant, request: Request, id: str) -> Response:
    """`PATCH /Users/ID`."""
    todo = edits(parse(await request.body()))
    make = partial(patched, edits=todo, provider=tenant.provider, now=scim.clock())
    for _ in range(ATTEMPTS):
        before = await _seen(scim, tenant, request, id)
        after = make(before)
        if await apply(scim, tenant, Change(before, after)):
            return _shown(tenant, request, after)
    raise busy()


async def delete_user(scim: Scim, tenant: Tenant, request: Request, id: str) -> Response:
    """`DELETE /Users/ID`."""
    for _ in range(ATTEMPTS):
        before = await _seen(scim, tenant, request, id)
        if await apply(scim, tenant, Change(before, None)):
            return answer(204, None)
    raise busy()


def busy() -> ScimError:
    """Make the error of what others change all the time."""
    return ScimError(503, "others change it at the same time: try again")


async def _seen(scim: Scim, tenant: Tenant, request: Request, id: str) -> ScimUser:
    user = await _user(scim, tenant, id)
    require_match(request, user.version)
    return user


async def _user(scim: Scim, tenant: Tenant, id: str) -> ScimUser:
    find = partial(scim_users.get, issuer=tenant.provider.iss, id=id)
    user = await scim.store.look(find)
    if user is None:
        raise nowhere()
    return user


def _shown(
    tenant: Tenant, request: Request, user: ScimUser, *, status: int = 200
) -> Response:
    document = query_of(request).shown(shown(user, tenant.base))
    return answer(status, document, ETag=etag(user.version))
