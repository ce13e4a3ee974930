"""From what a provider says of somebody to a user here: groups, admission, names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from bascule.config.providers import Provider
from bascule.errors import BasculeError
from bascule.identity.provider_profiles import external_id_claim, profile_of

MAX_SHOWN_CHARACTERS = 255
MAX_ID_CHARACTERS = 255
MAX_GROUPS = 2000
MAX_GROUP_CHARACTERS = 255


class NotAdmittedError(BasculeError):
    """Somebody who may not sign in here; the text is for them to read."""


class BadClaimsError(BasculeError):
    """What the provider says cannot be read; nothing of it is repeated."""


@dataclass(frozen=True, slots=True)
class Person:
    """What a provider says of somebody, beside issuer and subject."""

    groups: frozenset[str]
    """As they are called here, without the issuer."""
    display_name: str = ""
    email: str = ""
    external_id: str = ""
    tenant: str = ""
    domain: str = ""


def claimed_groups(claims: Mapping[str, Any], provider: Provider) -> list[str] | None:
    """Give the groups as the provider sends them; None when it says where they are instead.

    A claim that is missing means none: most providers leave an empty one out. Raises
    `BadClaimsError` for anything else than texts: a policy may forbid something to a group,
    so that groups which cannot be read are not none.
    """
    where = provider.groups.claim or profile_of(provider).groups_claim
    path = [where] if where in claims else where.split(".")
    elsewhere = claims.get("_claim_names")
    if claims.get("hasgroups") or (isinstance(elsewhere, dict) and path[0] in elsewhere):
        return None
    found: Any = claims
    for name in path:
        if not isinstance(found, dict):
            raise BadClaimsError(f"the claim `{where}` is not where it should be")
        found = found.get(name, [] if name == path[-1] else {})
    return _texts(found, where)


def _texts(value: Any, where: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(it, str) for it in texts):
        raise BadClaimsError(f"the claim `{where}` is neither a text nor a list of texts")
    return texts


def person(claims: Mapping[str, Any], groups: Iterable[str], provider: Provider) -> Person:
    """Put together what is kept of somebody.

    `groups`: as the provider sends them. Raises `BadClaimsError`.
    """
    profile = profile_of(provider)
    return Person(
        groups=known_groups(groups, provider),
        display_name=_shown(claims, "name", "preferred_username", "login"),
        email=_shown(claims, "email"),
        external_id=_id(claims, external_id_claim(provider)),
        tenant=_shown(claims, "tid"),
        domain=_shown(claims, profile.domain_claim),
    )


def known_groups(groups: Iterable[str], provider: Provider) -> frozenset[str]:
    """Give groups by their names here. Raises `BadClaimsError`.

    With names in the configuration, those without one are left out: or a group there that
    is called as one here would pass for it.
    """
    names = provider.groups.names
    found = frozenset(names[it] for it in groups if it in names) if names else set(groups)
    if len(found) > MAX_GROUPS:
        raise BadClaimsError(f"more than {MAX_GROUPS} groups: name those that count")
    if not all(0 < len(it) <= MAX_GROUP_CHARACTERS and it.isprintable() for it in found):
        raise BadClaimsError("the name of a group cannot be read")
    return frozenset(found)


def require_admission(found: Person, provider: Provider) -> None:
    """Check who may sign in. Raises `NotAdmittedError`."""
    admit = provider.admit
    if admit.tenants and found.tenant not in admit.tenants:
        raise NotAdmittedError("Your organisation's tenant is not let in here.")
    if admit.domains and found.domain not in admit.domains:
        raise NotAdmittedError(
            "This account is none of the organisation's. Sign in with your work account."
        )
    require_group(found.groups, provider)


def require_group(groups: Set[str], provider: Provider) -> None:
    """Check whether groups are ones that may sign in. Raises `NotAdmittedError`."""
    admitted = provider.admit.groups
    if admitted and not groups & set(admitted):
        raise NotAdmittedError(
            "You are in none of the groups that are let in here. Ask whoever runs this "
            "server, or your identity provider, for it."
        )


def _id(claims: Mapping[str, Any], name: str) -> str:
    """Give a claim that names somebody; empty when it is missing or no usable name."""
    value = claims.get(name)
    if not isinstance(value, str) or not value.isprintable():
        return ""
    return value if len(value) <= MAX_ID_CHARACTERS else ""  # a part would be another's


def _shown(claims: Mapping[str, Any], *names: str) -> str:
    """Give the first claim that is a text, for people to read; empty when none is."""
    for name in names:
        value = claims.get(name)
        if isinstance(value, str) and value.isprintable():
            return value[:MAX_SHOWN_CHARACTERS]
    return ""
