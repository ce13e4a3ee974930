"""`/Users`: who may sign in, and who is ended everywhere (RFC 7644 §3).

What a request does is written into the log before it is done. `active = false` and DELETE
end all that a user has, and keep it out whether it ever signed in or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from bascule.clock import UnixTime
from bascule.provisioning.scim.body import parse
from bascule.provisioning.scim.errors import ScimError, nowhere, taken
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
from bascule.storage import provisioned, scim_ended, scim_users
from bascule.storage.scim_users import ScimUser
from bascule.storage.store import Transaction

ATTEMPTS = 5
"""To change what others change at the same time."""
DEACTIVATED = "deactivated by provisioning"
DELETED = "deleted by provisioning"
ACTIVATED = "activated by provisioning"


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one user; None: it is not there."""

    before: ScimUser | None
    after: ScimUser | None

    @property
    def word(self) -> str:
        """What it is called in the log."""
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "change"

    @property
    def ends(self) -> dict[str, str]:
        """Give whom it keeps out, by external id, and why."""
        found = {}
        if self.before is not None and (
            self.after is None or self.after.external_id != self.before.external_id
        ):
            found[self.before.external_id] = DELETED
        if self.after is not None and not self.after.active:
            found[self.after.external_id] = DEACTIVATED
        return found


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
    await _apply(scim, tenant, Change(None, user))
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
        if await _apply(scim, tenant, Change(before, after)):
            return _shown(tenant, request, after)
    raise busy()


async def patch_user(scim: Scim, tenant: Tenant, request: Request, id: str) -> Response:
    """`PATCH /Users/ID`."""
    todo = edits(parse(await request.body()))
    make = partial(patched, edits=todo, provider=tenant.provider, now=scim.clock())
    for _ in range(ATTEMPTS):
        before = await _seen(scim, tenant, request, id)
        after = make(before)
        if await _apply(scim, tenant, Change(before, after)):
            return _shown(tenant, request, after)
    raise busy()


async def delete_user(scim: Scim, tenant: Tenant, request: Request, id: str) -> Response:
    """`DELETE /Users/ID`."""
    for _ in range(ATTEMPTS):
        before = await _seen(scim, tenant, request, id)
        if await _apply(scim, tenant, Change(before, None)):
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


async def _apply(scim: Scim, tenant: Tenant, change: Change) -> bool:
    """Write a change down, then make it; False when somebody else was first."""
    await _record(scim, tenant, change)
    done = await scim.store.transact(
        partial(_make, tenant=tenant, change=change, now=scim.clock())
    )
    await scim.changed()
    return done


async def _record(scim: Scim, tenant: Tenant, change: Change) -> None:
    """Record the change, and whom it ends."""
    user = change.after or change.before
    if user is None:
        return
    await scim.records.event(
        "provision.user",
        peer=tenant.peer,
        admin={
            "provider": tenant.name,
            "change": change.word,
            "id": user.id,
            "external_id": user.external_id,
            "user_name": user.user_name,
            "active": str(user.active).lower(),
        },
    )
    for external_id, why in change.ends.items():
        holds = partial(
            scim_ended.holds, issuer=tenant.provider.iss, external_id=external_id
        )
        if not await scim.store.look(holds):
            await _record_end(scim, tenant, external_id, why)


async def _record_end(scim: Scim, tenant: Tenant, external_id: str, why: str) -> None:
    find = partial(
        provisioned.names_of,
        issuer=tenant.provider.iss,
        external_id=external_id,
        also=tenant.user_named(external_id),
    )
    found: list[str | None] = [*await scim.store.look(find)]
    for name in found or [None]:
        await scim.records.event(
            "revoke",
            peer=tenant.peer,
            user=None if name is None else f"user:{name}",
            admin={
                "kind": "user",
                "key": external_id,
                "provider": tenant.name,
                "reason": why,
            },
        )


def _make(conn: Transaction, *, tenant: Tenant, change: Change, now: UnixTime) -> bool:
    """Make a change with all that it means, in one transaction. Raises `ScimError`."""
    if not _put(conn, change):
        return False
    for external_id, why in change.ends.items():
        if not scim_ended.holds(conn, issuer=tenant.provider.iss, external_id=external_id):
            provisioned.end(
                conn,
                issuer=tenant.provider.iss,
                external_id=external_id,
                also=tenant.user_named(external_id),
                why=why,
                now=now,
            )
    if change.after is not None and change.after.active:
        provisioned.bring_back(
            conn,
            issuer=tenant.provider.iss,
            external_id=change.after.external_id,
            also=tenant.user_named(change.after.external_id),
            why=ACTIVATED,
            now=now,
        )
    if tenant.provider.provisions_groups:
        named = {it.external_id for it in (change.before, change.after) if it is not None}
        provisioned.regroup(
            conn, issuer=tenant.provider.iss, external_ids=named, named=tenant.named
        )
    return True


def _put(conn: Transaction, change: Change) -> bool:
    before, after = change.before, change.after
    if after is None:
        return before is None or scim_users.remove(conn, before)
    if before is None:
        done: bool | None = scim_users.add(conn, after)
    else:
        done = scim_users.change(conn, after, version=before.version)
    if done is False:
        raise taken(
            "another user has that `userName` or `externalId`: look it up by a filter, "
            "and change that one"
        )
    return done is True
