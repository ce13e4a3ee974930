"""`/Groups`: which groups users are in, and so what they may do (RFC 7644 §3).

A change of a group, its name included, reaches all its members in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from bascule.identity.provider_claims import BadClaimsError
from bascule.provisioning.scim.body import parse
from bascule.provisioning.scim.errors import bad_value, nowhere, taken
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
from bascule.provisioning.scim.patch import edits
from bascule.provisioning.scim.users import ATTEMPTS, busy
from bascule.storage import provisioned, scim_groups, scim_members, scim_users
from bascule.storage.scim_groups import ScimGroup, WantedGroup
from bascule.storage.scim_members import MemberChange
from bascule.storage.store import Transaction

IDS_IN_RECORD = 500
"""Members that one record names; more make several records."""
Members = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one group; None: it is not there."""

    before: ScimGroup | None
    after: GroupChange | None

    @property
    def group(self) -> ScimGroup:
        """The group, as it shall be if it stays."""
        found = self.before if self.after is None else self.after.group
        assert found is not None  # noqa: S101 - there is one before or after
        return found

    @property
    def is_of_all(self) -> bool:
        """Whether it concerns all members that there were: another name, or none."""
        if self.before is None:
            return False
        return self.after is None or self.group.display_name != self.before.display_name

    @property
    def word(self) -> str:
        """What it is called in the log."""
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "change"


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
    await _apply(scim, tenant, Change(None, made))
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
        if await _apply(scim, tenant, Change(before, make(before))):
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


async def _apply(scim: Scim, tenant: Tenant, change: Change) -> bool:
    """Write a change down, then make it; False when somebody else was first."""
    await _record(scim, tenant, change)
    try:
        done = await scim.store.transact(partial(_make, tenant=tenant, change=change))
    except BadClaimsError as exc:
        raise bad_value(f"a user would be in {exc}") from exc
    await scim.changed()
    return done


async def _record(scim: Scim, tenant: Tenant, change: Change) -> None:
    """Record the change, with as many records as its members need."""
    group = change.group
    members = MemberChange() if change.after is None else change.after.members
    base = {
        "provider": tenant.name,
        "change": change.word,
        "id": group.id,
        "display_name": group.display_name,
    }
    if change.before is not None and change.before.display_name != group.display_name:
        base["renamed_from"] = change.before.display_name
    if members.only:
        base["members"] = "only those added"
    parts = [
        *({"added": it} for it in _joined(members.added)),
        *({"removed": it} for it in _joined(members.removed)),
    ]
    for part in parts or [{}]:
        await scim.records.event(
            "provision.group", peer=tenant.peer, admin={**base, **part}
        )


def _joined(ids: Collection[str]) -> list[str]:
    listed = sorted(ids)
    return [
        " ".join(listed[start : start + IDS_IN_RECORD])
        for start in range(0, len(listed), IDS_IN_RECORD)
    ]


def _make(conn: Transaction, *, tenant: Tenant, change: Change) -> bool:
    """Make a change and give all whom it concerns their groups. Raises `ScimError`."""
    concerned: frozenset[str] = frozenset()
    if change.is_of_all:
        concerned = scim_members.ids_of(conn, change.group.id)
    if not _put(conn, change):
        return False
    if change.after is not None:
        wanted = change.after.members
        known = scim_users.external_ids(conn, issuer=tenant.provider.iss, ids=wanted.added)
        if len(known) != len(wanted.added):
            raise bad_value("a member is no user of this provider: create the user first")
        concerned |= scim_members.change(conn, change.group.id, wanted)
    found = scim_users.external_ids(conn, issuer=tenant.provider.iss, ids=concerned)
    provisioned.regroup(
        conn,
        issuer=tenant.provider.iss,
        external_ids=frozenset(found.values()),
        named=tenant.named,
    )
    return True


def _put(conn: Transaction, change: Change) -> bool:
    before, after = change.before, change.after
    if after is None:
        return before is None or scim_groups.remove(conn, before)
    if before is None:
        done: bool | None = scim_groups.add(conn, after.group)
    else:
        done = scim_groups.change(conn, after.group, version=before.version)
    if done is False:
        raise taken(
            "another group has that `displayName`: policies name groups by it, so it "
            "must be the only one"
        )
    return done is True
