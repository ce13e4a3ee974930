"""What a decision is made from and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from msgspec import Struct

from bascule.clock import UnixTime
from bascule.identity.authorization_details import Details

Kind = Literal["tool", "prompt", "resource", "none"]

UNREADABLE = "unreadable"
"""In the place of a digest: what the server serves could not be read when asked."""
UNLINKED = "unlinked"
"""The same, since the server shows it to the user's own account alone, which has to be
connected, or to be given more rights, first."""


class Principal(Struct, frozen=True, cache_hash=True):
    """Who asks: verified, never self-asserted.

    A struct rather than a dataclass because facts are also read from JSON (`bascule
    decide`) and because it is made and hashed on every call.
    """

    user: str | None
    """`user:alice` (local) or `user:ISSUER|SUB`; None when the agent acts by itself."""
    agent: str
    """Bare client id, or `ISSUER|CLIENT_ID` of a foreign one."""
    groups: frozenset[str] = frozenset()
    """`group:NAME` (local) or `group:ISSUER|NAME`."""
    scopes: frozenset[str] = frozenset()
    """Scopes of the token: an upper bound."""
    agent_verified: bool = False
    """The agent authenticated itself; a public client cannot."""
    details: Details | None = None
    """The calls that the token is for, and nothing else; None: it does not say."""
    actors: tuple[str, ...] = ()
    """Agents through which `agent` acts, as the token says; each must be permitted too."""


class Consent(Struct, frozen=True):
    """A call approval that was looked up and taken for this one call."""

    binding: str
    """Digest of what was approved; that of the call must be the same."""
    approvers: tuple[str, ...] = ()
    """`user:…` of those who approved, sorted."""


class CallFacts(Struct, frozen=True):
    """One request, as far as a decision is concerned."""

    principal: Principal
    connector: str
    method: str
    """JSON-RPC method, for instance `tools/call`."""
    kind: Kind
    """What `name` names. `none`: the method names nothing (a list, discovery)."""
    name: str
    """Tool or prompt name, or resource URI, as the connector itself serves it."""
    now: UnixTime
    definition: str | None = None
    """Digest of the definition that the server was last seen to serve under that name;
    None when it serves none. Looked at for a connector that has a gate."""
    arguments: Mapping[str, Any] | None = None
    """As they were parsed; none of them is an empty mapping. None: not known, as when it is
    asked what might be called; `touched` is then not known either."""
    touched: frozenset[str] = frozenset()
    """Labels that the identity has touched within the windows of flow rules."""
    consent: Consent | None = None
    spent: Mapping[str, UnixTime] = {}
    """Rates that are used up for this call, and when each begins anew."""
    address: str | None = None
    """Of the client, without port. None: not known, as when it is asked what might be
    called; then no boundary is held against it."""


class Reason(StrEnum):
    """Why a decision came out as it did; public and documented."""

    ALLOWED = "allowed"
    OPEN_METHOD = "open_method"
    """The method is open to every valid token of the resource."""
    UNKNOWN_CONNECTOR = "unknown_connector"
    OUTSIDE_BOUNDARY = "outside_boundary"
    """The client's address is in none of the networks that may use the connector."""
    UNKNOWN_METHOD = "unknown_method"
    """The method is none that a right can be had for, or does not go with the kind."""
    AMBIGUOUS_URI = "ambiguous_uri"
    """A resource's URI is not in normal form: two readers could take it for two things."""
    POLICY_ERROR = "policy_error"
    """A policy could not be evaluated; Cedar would have skipped it."""
    POLICY_FORBIDS = "policy_forbids"
    NO_USER_RIGHT = "no_user_right"
    NO_AGENT_RIGHT = "no_agent_right"
    """The agent acts by itself and no role gives it this."""
    ABOVE_CEILING = "above_ceiling"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    """User and agent may; only the token's scope is missing."""
    BEYOND_DETAILS = "beyond_details"
    """All may; only the token's `authorization_details` do not cover it."""
    NOT_APPROVED = "not_approved"
    """Nobody has approved the connector as it is locked now, or not enough people have."""
    APPROVAL_EXPIRED = "approval_expired"
    APPROVAL_REJECTED = "approval_rejected"
    """The approval was withdrawn, or the connector was rejected."""
    LOCK_DRIFTED = "lock_drifted"
    """The configuration is not the one that was locked and approved."""
    BOUNDARY_BROKEN = "boundary_broken"
    """A probe got around Bascule to the connector's server, and the rule is to close it."""
    KNOWN_MALWARE = "known_malware"
    """An advisory says that a package of the connector is malware."""
    DEFINITION_UNAPPROVED = "definition_unapproved"
    """The server's surface had no such name when it was approved."""
    DEFINITION_DRIFTED = "definition_drifted"
    """The server serves another definition under this name than the approved one."""
    DEFINITION_WITHDRAWN = "definition_withdrawn"
    """The name was approved, and the server does not list it any more."""
    DEFINITIONS_UNREADABLE = "definitions_unreadable"
    """What the server serves could not be read, and so not be compared."""
    ACCOUNT_NEEDED = "account_needed"
    """The same: the user has to connect an account at the server, or give more rights."""
    INVALID_ARGUMENTS = "invalid_arguments"
    """The arguments do not fit the approved schema, or cannot be compared by a policy."""
    APPROVAL_REQUIRED = "approval_required"
    """All else allows it; somebody must approve this one call."""
    FLOW_CLOSED = "flow_closed"
    """The identity has touched what closes this for a while."""
    LIMIT_REACHED = "limit_reached"
    """A limit on calls is used up for now."""


class CallToApprove(Struct, frozen=True):
    """One call that somebody must approve, as an approval would be bound to it."""

    binding: str
    """SHA-256 (hex) of who calls what of which connector with what, and of what follows."""
    rules: tuple[str, ...]
    """Names of `[call_approvals.NAME]` that must be met, all of them, sorted."""
    arguments: bytes
    """Canonical, as JSON (RFC 8785)."""
    arguments_digest: str
    """SHA-256 (hex)."""
    definition: str
    """Digest of the tool's definition; empty where none is compared."""
    policy_digest: str
    """`rights_digest` of the snapshot."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The request may go upstream."""

    policies: tuple[str, ...] = ()
    """`@id`s of the policies that permit, sorted."""
    reason: Reason = Reason.ALLOWED
    finding: Reason | None = None
    """What `enforce` would have denied for; in other modes it is recorded alone."""
    arguments: Mapping[str, Any] | None = None
    """Canonical ones, to be sent in the place of those that came; None: as they came."""
    obligations: tuple[tuple[str, str], ...] = ()
    """Rule of call approval, and the policy that demands it, sorted; met when `decide`
    gives them."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The request may not go upstream."""

    reason: Reason
    policies: tuple[str, ...] = ()
    """`@id`s of the policies that forbid or failed, sorted."""
    scopes: tuple[str, ...] = ()
    """With INSUFFICIENT_SCOPE and BEYOND_DETAILS: the scopes that the operation needs,
    sorted."""
    detail: str = ""
    """What is wrong and what to do, for the caller: only where it may use the tool
    otherwise, so that nothing is revealed."""
    call: CallToApprove | None = None
    """With APPROVAL_REQUIRED: what is to be approved."""
    unsettled: bool = False
    """With INSUFFICIENT_SCOPE and BEYOND_DETAILS: whether user and agent may depends on the
    arguments, which are not known."""
    until: UnixTime | None = None
    """With LIMIT_REACHED: when there are calls again."""


@dataclass(frozen=True, slots=True)
class Maybe:
    """It depends on arguments or on what was touched, and these were not given."""

    policies: tuple[str, ...] = ()
    """`@id`s of the policies that permit as far as is known, sorted."""
    proved: bool = False
    """There are arguments for which it is allowed; else nobody has shown that."""
    always: bool = False
    """It is allowed whatever they are."""
    finding: Reason | None = None
    """As in `Allowed`."""


Settled = Allowed | Denied
"""What it comes to when everything is known."""
Decision = Settled | Maybe
