"""`/Groups`: which groups users are in, and so what they may do (RFC 7644 §3).

A change of a group, its name included, reaches all its members in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from bascule.provisioning.scim.body import parse
from bascule.provisioning.scim.errors import nowhere
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
from bascule.provisioning.scim.group import (
    GroupChange,
    new_group,
    patched,
    replaced,
    shown,
    wanted,
)
from bascule.provisioning.scim.group_change import Change, apply
from bascule.provisioning.scim.patch import edits
from bascule.provisioning.scim.users import ATTEMPTS, busy
from bascule.storage import scim_groups, scim_members
from bascule.storage.scim_groups import ScimGroup, WantedGroup
from bascule.storage.store import Transaction

Members = dict[str, list[str]]


async def list_groups(scim: Scim, tenant: Tenant, request: Request) -> Response:
    """`GET /Groups`."""
    query = query_of(request)
    find = partial(
        _page,
        issuer=tenant.provider.iss,
        wanted=wanted(query.filter),
        start=query.start,
        count=query.count,
        with_members=query.shows("members"),
    )
    total, found, members = await scim.store.look(find)
    page = [query.shown(shown(it, members.get(it.id, []), tenant.base)) for it in found]
    return listed(page, total=total, start=query.start)


def _page(
    conn: Transaction,
    *,
    issuer: str,
    wanted: WantedGroup,
    start: int,
    count: int,
    with_members: bool,
) -> tuple[int, list[ScimGroup], Members]:
    total, found = scim_groups.find(
        conn, issuer=issuer, wanted=wanted, start=start, count=count
    )
    ids = [it.id for it in found] if with_members else []
    return total, found, scim_members.of_groups(conn, ids)


async def show_group(scim: Scim, tenant: Tenant, request: Request, id: str) -> Response:
    """`GET /Groups/ID`."""
    group = await _group(scim, tenant, id)
    if is_known(request, group.version):
        return answer(304, None, ETag=etag(group.version))
    return await _shown(scim, tenant, request, id)


async def create_group(scim: Scim, tenant: Tenant, request: Request) -> Response:
    """`POST /Groups`."""
    body = parse(await request.body())
    made = new_group(body, issuer=tenant.provider.iss, id=scim.new_id(), now=scim.clock())
    await apply(scim, tenant, Change(None, made))
    created = await _shown(scim, tenant, request, made.group.id, status=201)
    created.headers["Location"] = f"{tenant.base}/Groups/{made.group.id}"
    return created


async def replace_group(scim: Scim, tenant: Tenant, request: Request, id: str) -> Response:
    """`PUT /Groups/ID`."""
    body = parse(await request.body())
    make = partial(replaced, body=body, now=scim.clock())
    await _change(scim, tenant, request, id, make)
    return await _shown(scim, tenant, request, id)


async def patch_group(scim: Scim, tenant: Tenant, request: Request, id: str) -> Response:
    """`PATCH /Groups/ID`: 204, for groups are large, unless attributes are asked for."""
    todo = edits(parse(await request.body()))
    await _change(scim, tenant, request, id, partial(patched, edits=todo, now=scim.clock()))
    if "attributes" in request.query_params:
        return await _shown(scim, tenant, request, id)
    return answer(204, None)


async def delete_group(scim: Scim, tenant: Tenant, request: Request, id: str) -> Response:
    """`DELETE /Groups/ID`."""
    await _change(scim, tenant, request, id, lambda _: None)
    return answer(204, None)


async def _change(
    scim: Scim,
    tenant: Tenant,
    request: Request,
    id: str,
    make: Callable[[ScimGroup], GroupChange | None],
) -> None:
    for _ in range(ATTEMPTS):
        before = await _group(scim, tenant, id)
        require_match(request, before.version)
        if await apply(scim, tenant, Change(before, make(before))):
            return
    raise busy()


async def _group(scim: Scim, tenant: Tenant, id: str) -> ScimGroup:
    find = partial(scim_groups.get, issuer=tenant.provider.iss, id=id)
    group = await scim.store.look(find)
    if group is None:
        raise nowhere()
    return group


async def _shown(
    scim: Scim, tenant: Tenant, request: Request, id: str, *, status: int = 200
) -> Response:
    query = query_of(request)
    find = partial(
        _page,
        issuer=tenant.provider.iss,
        wanted=WantedGroup(id=id),
        start=0,
        count=1,
        with_members=query.shows("members"),
    )
    _, found, members = await scim.store.look(find)
    if not found:
        raise nowhere()
    document = shown(found[0], members.get(id, []), tenant.base)
    return answer(status, query.shown(document), ETag=etag(found[0].version))
