"""What an identity provider tells beside its ID token, when it is asked with a token.

UserInfo (OpenID Connect Core §5.3), the groups of Microsoft Graph, and the accounts of
GitHub, which has no ID tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from bascule.net.fetch import FetchError, FetchPolicy
from bascule.net.post import send
from bascule.oauthclient.errors import GrantRefusedError, ServerUnavailableError

PAGE = 100
MAX_PAGES = 20
MAX_BYTES = 1 << 20
_JSON = frozenset({"application/json", "application/vnd.github+json"})


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody at a provider without ID tokens."""

    subject: str
    claims: Mapping[str, Any]
    groups: list[str]


async def userinfo(
    url: str, access_token: str, policy: FetchPolicy, *, subject: str
) -> Mapping[str, Any]:
    """Give what UserInfo says of whom the ID token is of.

    Of somebody else it must not be taken (§5.3.2). Raises `OAuthClientError`.
    """
    found = await _ask("GET", url, access_token, policy)
    if not isinstance(found, dict) or found.get("sub") != subject:
        raise ServerUnavailableError("the provider's user info is of somebody else")
    return found


async def graph_groups(api: str, access_token: str, policy: FetchPolicy) -> list[str]:
    """Give the ids of all groups of who signed in, by Microsoft Graph.

    Raises `OAuthClientError`.
    """
    body = b'{"securityEnabledOnly":false}'
    url = f"{api}/me/getMemberGroups"
    found = await _ask("POST", url, access_token, policy, body)
    groups = found.get("value") if isinstance(found, dict) else None
    if not isinstance(groups, list) or not all(isinstance(it, str) for it in groups):
        raise ServerUnavailableError("the groups at Microsoft Graph cannot be read")
    return groups


class _Organization(msgspec.Struct):
    id: int


class _Team(msgspec.Struct):
    id: int
    organization: _Organization


async def github_account(api: str, access_token: str, policy: FetchPolicy) -> Account:
    """Give who signed in at GitHub, with organizations and teams.

    All by their numbers: a login, an organization and a team can be renamed, and then
    somebody else can take the name. Raises `OAuthClientError`.
    """
    user = await _ask("GET", f"{api}/user", access_token, policy)
    number = user.get("id") if isinstance(user, dict) else None
    if isinstance(number, bool) or not isinstance(number, int) or number <= 0:
        raise ServerUnavailableError("GitHub does not say who signed in")
    organizations = await _pages(f"{api}/user/orgs", access_token, policy)
    teams = await _pages(f"{api}/user/teams", access_token, policy)
    try:
        groups = [
            f"org/{it.id}" for it in msgspec.convert(organizations, list[_Organization])
        ]
        groups += [f"team/{it.id}" for it in msgspec.convert(teams, list[_Team])]
    except msgspec.ValidationError as exc:
        raise ServerUnavailableError("the groups at GitHub cannot be read") from exc
    return Account(str(number), user, groups)


async def _pages(url: str, access_token: str, policy: FetchPolicy) -> list[Any]:
    found: list[Any] = []
    for page in range(1, MAX_PAGES + 1):
        more = await _ask("GET", f"{url}?per_page={PAGE}&page={page}", access_token, policy)
        if not isinstance(more, list):
            raise ServerUnavailableError("a list of GitHub cannot be read")
        found += more
        if len(more) < PAGE:
            return found
    raise ServerUnavailableError("GitHub has too many groups of this user")


async def _ask(
    verb: str, url: str, access_token: str, policy: FetchPolicy, body: bytes = b""
) -> Any:
    """Ask with a bearer token; 401 means that the token is good no longer."""
    headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
    if body:
        headers["Content-Type"] = "application/json"
    limited = replace(policy, max_bytes=MAX_BYTES)
    try:
        async with send(verb, url, headers, body, limited) as reply:
            if reply.status == 401:
                raise GrantRefusedError("invalid_token")
            if reply.status != 200 or reply.media_type not in _JSON:
                raise ServerUnavailableError(f"the provider answers {reply.status}")
            return msgspec.json.decode(await reply.body())
    except FetchError as exc:
        raise ServerUnavailableError(str(exc)) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ServerUnavailableError("the provider's answer is no JSON") from exc
