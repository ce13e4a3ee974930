"""What SCIM's endpoints work with, and how they answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bascule.clock import Clock, Entropy, UnixTime
from bascule.config.model import Config
from bascule.config.providers import Provider
from bascule.identity.provider_claims import known_groups
from bascule.identity.provider_profiles import external_id_claim
from bascule.provisioning.scim.body import attribute
from bascule.provisioning.scim.errors import ScimError, bad_value
from bascule.storage.provisioned import Named
from bascule.storage.store import Store
from bascule.web.records import Records

PATH = "/scim"
MEDIA_TYPE = "application/scim+json"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
MAX_PAGE = 200
DEFAULT_PAGE = 100
_ALWAYS = frozenset({"schemas", "id"})
"""Attributes that are in every answer (RFC 7643 §7, `returned`)."""
_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Scim:
    """One process's SCIM service for all providers; what lasts is in the database."""

    url: str
    """`server.public_url`."""
    store: Store
    records: Records
    config: Callable[[], Config]
    secret: Callable[[str], str]
    """Reads a secret reference. Raises `BasculeError`."""
    changed: Callable[[], Awaitable[None]]
    """Remembers that users or revocations have changed."""
    clock: Clock
    entropy: Entropy

    def new_id(self) -> str:
        """Draw an id of a resource."""
        return self.entropy(_ID_BYTES).hex()


@dataclass(frozen=True, slots=True)
class Tenant:
    """The provider that asks: all that is done is within what is its own."""

    name: str
    provider: Provider
    peer: str
    """Where the request comes from, for records."""
    base: str
    """Address of its service, without a slash at its end."""

    @property
    def named(self) -> Named:
        """How its groups are called here."""
        return partial(known_groups, provider=self.provider)

    def user_named(self, external_id: str) -> str | None:
        """Give the user's name here where its id is the `sub`; None where it is not."""
        if external_id_claim(self.provider) != "sub":
            return None
        return f"{self.provider.iss}|{external_id}"


@dataclass(frozen=True, slots=True)
class Query:
    """Which resources are asked for, and what of them (RFC 7644 §3.4.2)."""

    filter: str | None
    start: int
    """From 0."""
    count: int
    only: frozenset[str] | None
    """The attributes that are wanted, in lower case; None: all."""
    without: frozenset[str]

    def shows(self, name: str) -> bool:
        """Tell whether an attribute, in lower case, is wanted."""
        if name in _ALWAYS:
            return True
        return (self.only is None or name in self.only) and name not in self.without

    def shown(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """Give what is wanted of a resource."""
        return {name: it for name, it in resource.items() if self.shows(name.lower())}


def query_of(request: Request) -> Query:
    """Read the parameters of a request. Raises `ScimError`."""
    found = request.query_params
    only = _names(found.get("attributes"))
    return Query(
        filter=found.get("filter"),
        start=max(_number(found.get("startIndex"), 1), 1) - 1,
        count=min(max(_number(found.get("count"), DEFAULT_PAGE), 0), MAX_PAGE),
        only=only or None,
        without=_names(found.get("excludedAttributes")),
    )


def _names(text: str | None) -> frozenset[str]:
    """Give attributes; a part of one stands for the whole."""
    plain = (attribute(it.strip()) for it in (text or "").split(","))
    return frozenset(it.partition(".")[0] for it in plain if it)


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    try:
        return max(min(int(text[:20]), 1 << 31), -1)
    except ValueError as exc:
        raise bad_value("`startIndex` and `count` must be numbers") from exc


def listed(resources: Sequence[Mapping[str, Any]], *, total: int, start: int) -> Response:
    """Answer with a page of resources."""
    return answer(
        200,
        {
            "schemas": [LIST],
            "totalResults": total,
            "startIndex": start + 1,
            "itemsPerPage": len(resources),
            "Resources": list(resources),
        },
    )


def answer(status: int, document: Mapping[str, Any] | None, **headers: str) -> Response:
    """Make an answer that nobody may keep; names of headers have `_` for `-`."""
    named = {name.replace("_", "-"): it for name, it in headers.items()}
    return Response(
        b"" if document is None else msgspec.json.encode(document),
        status,
        headers={"Cache-Control": "no-store", **named},
        media_type=MEDIA_TYPE,
    )


def meta(
    base: str, kind: str, id: str, created: UnixTime, changed: UnixTime, version: int
) -> dict[str, str]:
    """Give the `meta` of a resource (RFC 7643 §3.1)."""
    return {
        "resourceType": kind,
        "created": _moment(created),
        "lastModified": _moment(changed),
        "location": f"{base}/{kind}s/{id}",
        "version": etag(version),
    }


def etag(version: int) -> str:
    """Give a version as HTTP has it (RFC 7644 §3.14)."""
    return f'W/"{version}"'


def require_match(request: Request, version: int) -> None:
    """Check whether a client has seen the version that it changes, if it says. Raises."""
    wanted = request.headers.get("if-match")
    if wanted is not None and not _matches(wanted, version):
        raise ScimError(412, "it was changed meanwhile: read it again")


def is_known(request: Request, version: int) -> bool:
    """Tell whether a client has that version."""
    known = request.headers.get("if-none-match")
    return known is not None and _matches(known, version)


def _matches(header: str, version: int) -> bool:
    tags = {it.strip() for it in header.split(",")}
    return not tags.isdisjoint({"*", etag(version), f'"{version}"'})


def _moment(time: UnixTime) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
