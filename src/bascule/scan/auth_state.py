"""What the answer to a greeting says about who may ask."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from bascule.scan.eras import Outcome, read_object
from bascule.scan.server import Auth, State
from bascule.scan.wire import Answered

_METADATA = re.compile(r'resource_metadata\s*=\s*(?:"([^"]*)"|([^\s",]+))', re.IGNORECASE)
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9._-]*)")
_BEARER_ERRORS = frozenset({"invalid_token", "invalid_request", "insufficient_scope"})
"""RFC 6750 §3.1."""
_CERTIFICATE = re.compile(rb"SSL certificate was sent|client certificate", re.IGNORECASE)
"""How nginx and others say it, with status 400."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """How somebody who shows no token is turned away."""

    state: State
    auth: Auth | None
    is_mcp: bool
    """The refusal itself says that MCP, or a resource of OAuth, is behind it."""
    challenges: tuple[str, ...] = ()


def read_refusal(outcome: Outcome) -> Refusal | None:
    """Read a refusal for want of a right; None where the answer is none."""
    answered = outcome.answered
    challenges = tuple(answered.every("www-authenticate"))
    if _is_graphql(answered) and not names_metadata(challenges):
        return None
    if answered.status == 401:
        is_mcp = names_metadata(challenges) or _is_bearer_error(outcome)
        return Refusal("token_required", _asked_for(challenges), is_mcp, challenges)
    if answered.status == 403:
        is_mcp = names_metadata(challenges) or outcome.error is not None
        return Refusal("forbidden", _asked_for(challenges), is_mcp, challenges)
    if answered.status in {400, 496} and _wants_certificate(answered):
        return Refusal("mutual_tls", "mtls", is_mcp=False)
    return None


def metadata_urls(challenges: Iterable[str]) -> tuple[str, ...]:
    """Give the addresses of resource metadata that challenges name (RFC 9728 §5.1)."""
    found = (it for each in challenges for it in _METADATA.findall(each))
    return tuple(dict.fromkeys(quoted or bare for quoted, bare in found))


def names_metadata(challenges: Iterable[str]) -> bool:
    """Tell whether a challenge says where the resource describes itself."""
    return bool(metadata_urls(challenges))


def _is_bearer_error(outcome: Outcome) -> bool:
    """Tell a refusal in the words of JSON-RPC or RFC 6750 from any other."""
    if outcome.error is not None:
        return True
    said = read_object(outcome.answered.body) or {}
    error = said.get("error")
    return isinstance(error, str) and error in _BEARER_ERRORS


def _is_graphql(answered: Answered) -> bool:
    """Tell a refusal in the words of GraphQL, whose servers answer any POST with them."""
    errors = (read_object(answered.body) or {}).get("errors")
    if not isinstance(errors, list) or not errors:
        return False
    return all(isinstance(it, dict) and "message" in it for it in errors)


def _asked_for(challenges: tuple[str, ...]) -> Auth | None:
    if names_metadata(challenges):
        return "oauth"
    matches = [_SCHEME.match(it) for it in challenges]
    schemes = {it.group(1).lower() for it in matches if it is not None}
    if not schemes:
        return None
    return "bearer" if "bearer" in schemes else "other"


def _wants_certificate(answered: Answered) -> bool:
    return answered.tls is not None and _CERTIFICATE.search(answered.body) is not None
