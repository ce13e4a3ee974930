"""What becomes of a group, made with all that it means for its members."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from functools import partial

from bascule.clock import UnixTime
from bascule.errors import BasculeError
from bascule.identity.provider_claims import BadClaimsError
from bascule.provisioning.scim.errors import bad_value, taken
from bascule.provisioning.scim.frame import Scim, Tenant
from bascule.provisioning.scim.group import GroupChange
from bascule.storage import provisioned, scim_groups, scim_members, scim_users
from bascule.storage.federated_users import Moved
from bascule.storage.scim_groups import ScimGroup
from bascule.storage.scim_members import MemberChange
from bascule.storage.store import Transaction

LEFT = "in no group any more that may sign in"
IDS_IN_RECORD = 500
"""Members that one record names; more make several records."""


class LeftOutError(BasculeError):
    """Users end by a change of whom that is not written down yet; nothing is changed."""

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__("users end by it")
        self.names = names


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


async def apply(scim: Scim, tenant: Tenant, change: Change) -> bool:
    """Write a change down, then make it; False when somebody else was first.

    Whom it ends is known only when it is tried; then it is undone, written down, and done.
    """
    await _record(scim, tenant, change)
    ending: frozenset[str] = frozenset()
    while True:
        work = partial(_make, tenant=tenant, change=change, ending=ending, now=scim.clock())
        try:
            done = await scim.store.transact(work)
        except LeftOutError as exc:
            await _record_ends(scim, tenant, exc.names - ending)
            ending |= exc.names
            continue
        except BadClaimsError as exc:
            raise bad_value(f"a user would be in {exc}") from exc
        await scim.changed()
        return done


async def _record_ends(scim: Scim, tenant: Tenant, names: Set[str]) -> None:
    for name in sorted(names):
        told = {"kind": "user", "key": f"user:{name}", "provider": tenant.name}
        await scim.records.event(
            "revoke",
            peer=tenant.peer,
            user=f"user:{name}",
            admin={**told, "reason": LEFT},
        )


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


def _make(
    conn: Transaction,
    *,
    tenant: Tenant,
    change: Change,
    ending: frozenset[str],
    now: UnixTime,
) -> bool:
    """Make a change and give all whom it concerns their groups.

    `ending`: users of whom it is written down that they end. Raises `ScimError`, or
    `LeftOutError` when there are others.
    """
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
    moved = provisioned.regroup(
        conn,
        issuer=tenant.provider.iss,
        external_ids=frozenset(found.values()),
        named=tenant.named,
    )
    left = _left_out(tenant, moved)
    if not left <= ending:
        raise LeftOutError(left)
    for name in left:
        provisioned.end_issued(conn, name, why=LEFT, now=now)
    return True


def _left_out(tenant: Tenant, moved: Mapping[str, Moved]) -> frozenset[str]:
    """Give who could sign in by a group and can by none any more."""
    admitted = {f"{tenant.provider.iss}|{it}" for it in tenant.provider.admit.groups}
    return frozenset(
        name
        for name, (before, after) in moved.items()
        if before & admitted and not after & admitted
    )


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
