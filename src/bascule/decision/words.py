"""Reasons in words, for people: what it means, and what would change it."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.decision.facts import Reason

ARGUMENTS_UNKNOWN = "arguments_unknown"
"""The reason of a `Maybe`, as commands print it."""

SENTENCES: Mapping[str, str] = {
    Reason.ALLOWED: "User or agent, ceiling and token all allow it.",
    Reason.OPEN_METHOD: "The method is open to every valid token of the connector.",
    Reason.UNKNOWN_CONNECTOR: "The configuration has no connector of that name.",
    Reason.OUTSIDE_BOUNDARY: (
        "The client's address is in none of the networks of `boundary.reachable_from`."
    ),
    Reason.UNKNOWN_METHOD: (
        "No right can be had for this method, or it does not go with what is named."
    ),
    Reason.AMBIGUOUS_URI: (
        "The URI is not in normal form: the server might read another one than was allowed."
    ),
    Reason.POLICY_ERROR: "A policy could not be evaluated, and what fails denies.",
    Reason.POLICY_FORBIDS: "A policy forbids it, and no permit counts against that.",
    Reason.NO_USER_RIGHT: "Nothing gives the user a right to it.",
    Reason.NO_AGENT_RIGHT: (
        "There is no user, and nothing gives the agent a right to do it by itself."
    ),
    Reason.ABOVE_CEILING: "It is above the ceiling of the agent, whoever uses that.",
    Reason.INSUFFICIENT_SCOPE: "User and agent may; no scope of the token covers it.",
    Reason.BEYOND_DETAILS: (
        "User and agent may; the token's authorization details do not cover it."
    ),
    Reason.NOT_APPROVED: "Nobody has approved the connector as it is locked now.",
    Reason.APPROVAL_EXPIRED: "The approval of the connector is over.",
    Reason.APPROVAL_REJECTED: "The connector was rejected, or its approval was withdrawn.",
    Reason.LOCK_DRIFTED: "The configuration is not the one that was locked and approved.",
    Reason.BOUNDARY_BROKEN: (
        "A probe got around Bascule to its server, and `boundary.on_breach` closes it then."
    ),
    Reason.KNOWN_MALWARE: "An advisory says that a package of the connector is malware.",
    Reason.DEFINITION_UNAPPROVED: "The approved surface of the connector has no such name.",
    Reason.DEFINITION_DRIFTED: "What the server serves there is not what was approved.",
    Reason.DEFINITION_WITHDRAWN: "The name was approved, and the server serves it no more.",
    Reason.DEFINITIONS_UNREADABLE: (
        "What the server serves could not be read, and so not be compared."
    ),
    Reason.ACCOUNT_NEEDED: (
        "The server shows what it serves to the user's own account, not connected yet."
    ),
    Reason.INVALID_ARGUMENTS: (
        "The arguments do not fit the approved schema, or no policy can compare them."
    ),
    Reason.APPROVAL_REQUIRED: "All else allows it; somebody must approve this one call.",
    Reason.FLOW_CLOSED: "What was touched before closes this for a while.",
    Reason.LIMIT_REACHED: "A limit on calls is used up for now.",
    ARGUMENTS_UNKNOWN: "It depends on the arguments of the call, or on what was touched.",
}
"""By the reason that a command prints."""
