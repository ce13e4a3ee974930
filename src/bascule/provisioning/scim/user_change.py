"""What becomes of a user, made with all that it means: who ends, who comes back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from bascule.clock import UnixTime
from bascule.identity.provider_claims import BadClaimsError
from bascule.provisioning.scim.errors import bad_value, taken
from bascule.provisioning.scim.frame import Scim, Tenant
from bascule.storage import provisioned, scim_ended, scim_users
from bascule.storage.scim_users import ScimUser
from bascule.storage.store import Transaction

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
    def regroups(self) -> frozenset[str]:
        """Give whose groups are to be looked at, by external id.

        Nobody's who is kept out: groups that cannot be read must keep nobody in.
        """
        active = self.after if self.after is not None and self.after.active else None
        gone = self.before
        if gone is not None and self.after is not None:
            gone = gone if gone.external_id != self.after.external_id else None
        return frozenset(it.external_id for it in (gone, active) if it is not None)

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


async def apply(scim: Scim, tenant: Tenant, change: Change) -> bool:
    """Write a change down, then make it; False when somebody else was first."""
    await _record(scim, tenant, change)
    work = partial(_make, tenant=tenant, change=change, now=scim.clock())
    try:
        done = await scim.store.transact(work)
    except BadClaimsError as exc:
        raise bad_value(f"the user would be in {exc}") from exc
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
        provisioned.regroup(
            conn,
            issuer=tenant.provider.iss,
            external_ids=change.regroups,
            named=tenant.named,
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
