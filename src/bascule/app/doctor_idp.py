"""`bascule doctor idp`: everything that a login by an identity provider needs, tried out.

Nobody is signed in: Bascule authenticates to the provider with a code that it made up, and
how that is refused tells whether the provider knows it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator

from bascule.app.doctor import Finding, finding
from bascule.app.doctor_vouching import examine_vouching
from bascule.authserver.provider_exchange import ProviderExchange
from bascule.authserver.provider_login import callback_uri
from bascule.config.members import members_of
from bascule.config.model import Config
from bascule.config.providers import Provider
from bascule.errors import BasculeError
from bascule.identity.provider_metadata import ProviderMetadata
from bascule.identity.provider_profiles import external_id_claim, profile_of, scopes_of
from bascule.oauthclient.authorization import Pending
from bascule.oauthclient.errors import GrantRefusedError, OAuthClientError
from bascule.oauthclient.openid import ProviderUnavailableError
from bascule.provisioning.scim.frame import PATH as SCIM_PATH

MADE_UP = "a code that bascule doctor has made up"
_CODE_REFUSED = frozenset({"invalid_grant", "bad_verification_code"})
_CLIENT_REFUSED = frozenset(
    {"invalid_client", "unauthorized_client", "incorrect_client_credentials"}
)
_ADDRESS_REFUSED = frozenset({"redirect_uri_mismatch", "invalid_redirect_uri"})


async def examine_provider(
    exchange: ProviderExchange, config: Config, name: str, seen_groups: Iterable[str]
) -> AsyncIterator[Finding]:
    """Try one provider. `seen_groups`: all that are known of users, `ISSUER|NAME`."""
    provider = config.providers[name]
    try:
        metadata = await exchange.providers.metadata(name)
    except ProviderUnavailableError as exc:
        yield _metadata(provider, str(exc))
        return
    yield _metadata(provider, "")
    yield _pkce(metadata)
    if not profile_of(provider).plain_oauth:
        yield await _keys(exchange, name)
    yield await _client(exchange, config, name)
    yield _redirect(config, name)
    yield _refresh(provider)
    if provider.scim is not None:
        yield _scim(config, name)
    for found in _groups(config, provider, set(seen_groups)):
        yield found
    async for found in examine_vouching(exchange, config, name):
        yield found


def _metadata(provider: Provider, problem: str) -> Finding:
    found = problem or f"the provider says that it is {provider.iss}"
    fix = (
        "open ISSUER/.well-known/openid-configuration in a browser on this machine: copy "
        "`issuer` from there letter by letter; for a private address, add HOST:PORT to "
        "`network.private`"
    )
    return finding(None, "metadata", not problem, found, fix)


def _pkce(metadata: ProviderMetadata) -> Finding:
    methods = metadata.code_challenge_methods_supported
    found = "it does not say whether it checks PKCE; Bascule sends it anyway"
    if methods is not None:
        found = f"it checks PKCE by {', '.join(methods) or 'nothing'}"
    good = methods is None or "S256" in methods
    return finding(None, "pkce", good, found, "let the application there use PKCE, S256")


async def _keys(exchange: ProviderExchange, name: str) -> Finding:
    try:
        await exchange.providers.key(name, "", "RS256")
    except ProviderUnavailableError as exc:
        fix = "let the provider sign ID tokens by RS256, PS256, ES256, ES384 or Ed25519"
        return finding(None, "keys", False, str(exc), fix)
    return finding(None, "keys", True, "its keys can be read and used", "")


async def _client(exchange: ProviderExchange, config: Config, name: str) -> Finding:
    """Authenticate with a made-up code, and see what it is refused for."""
    provider = config.providers[name]
    metadata = await exchange.providers.metadata(name)
    pending = Pending(
        state="",
        verifier="v" * 43,
        nonce="",
        issuer=metadata.issuer,
        names_issuer=False,
        client_id=provider.client_id,
        redirect_uri=callback_uri(config.server.public_url, name),
        resource=None,
        scopes=(),
    )
    try:
        await exchange.finish(name, MADE_UP, pending)
    except GrantRefusedError as exc:
        return _judged(exc)
    except OAuthClientError as exc:
        return finding(None, "client", False, str(exc), "look at the provider's own log")
    except BasculeError as exc:
        fix = "correct `client_secret` or `client_key` in `bascule.toml`"
        return finding(None, "client", False, str(exc), fix)
    return finding(None, "client", False, "it takes any code", "do not use this provider")


def _judged(refusal: GrantRefusedError) -> Finding:
    error = refusal.error
    if error in _CODE_REFUSED:
        return finding(None, "client", True, "it knows Bascule by its client id", "")
    fix = "look at the provider's own log: it says why"
    if error in _CLIENT_REFUSED:
        fix = (
            "`client_id` and secret or key do not go together there: has the secret "
            "expired, and is it the value, not its id?"
        )
    elif error in _ADDRESS_REFUSED:
        fix = "register the redirect URI that is named below, letter by letter"
    return finding(None, "client", False, f"it refuses Bascule: `{error}`", fix)


def _redirect(config: Config, name: str) -> Finding:
    url = config.server.public_url
    found = f"register {callback_uri(url, name)} there, and {url}/login for logout"
    return Finding(None, "redirect_uri", True, found, "")


def _scim(config: Config, name: str) -> Finding:
    claim = external_id_claim(config.providers[name])
    address = f"{config.server.public_url}{SCIM_PATH}/{name}/v2"
    found = (
        f"its SCIM address here is {address}; let it send as `externalId` what the claim "
        f"`{claim}` holds"
    )
    return Finding(None, "scim", True, found, "")


def _refresh(provider: Provider) -> Finding:
    """Say whether the provider can be asked again, as far as the scopes tell."""
    profile, scopes = profile_of(provider), scopes_of(provider)
    offline = "offline_access" not in profile.scopes or "offline_access" in scopes
    found = "with each refresh it is asked anew whether the account is still good"
    if not offline:
        found = "without `offline_access` a closed account counts up to 12 hours longer"
    return finding(None, "refresh", offline, found, "add `offline_access` to `scopes`")


def _groups(config: Config, provider: Provider, seen: set[str]) -> Iterator[Finding]:
    """Compare the groups that the configuration names with those that came."""
    prefix = f"{provider.iss}|"
    wanted = {
        member.who.removeprefix("group:")
        for role in config.roles.values()
        for member in members_of(role)
        if member.who.startswith(f"group:{prefix}")
    }
    wanted |= {prefix + group for group in provider.admit.groups}
    known = {it.casefold(): it for it in seen}
    for group in sorted(wanted - seen):
        alike = known.get(group.casefold())
        name = group.removeprefix(prefix)
        if alike is not None:
            found = f"`{name}` is called `{alike.removeprefix(prefix)}` there"
            yield finding(None, "groups", False, found, "write it as the provider does")
        elif provider.groups.names and name not in provider.groups.names.values():
            found = f"`{name}` is not among `groups.names`, so that nobody is ever in it"
            yield finding(None, "groups", False, found, "add its id there")
        else:
            found = f"nobody who signed in by now was in `{name}`"
            yield Finding(None, "groups", True, found, "")
