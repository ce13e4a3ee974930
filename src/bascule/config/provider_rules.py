"""What `[providers]` must keep to beside its types."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.config.addresses import is_loopback, web_address
from bascule.config.event_names import KNOWN_NAMES, is_event_name
from bascule.config.model import Config
from bascule.config.paths import below
from bascule.config.providers import Admission, Provider, Scim

Found = Iterator[tuple[str, str]]
"""Path and sentence of each problem."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_OPEN = {"google": "domains", "github": "groups"}
"""Kinds where anybody can get an account, and what says whose count."""
_CHANGING = {"email", "name", "nickname", "preferred_username", "unique_name", "upn"}
"""Claims that change, or change their owner."""
_PERSONAL = {"consumers"}
"""Entra's tenants of nobody's company."""


def broken_provider_rules(config: Config) -> Found:
    """Give every broken rule."""
    seen = {config.server.public_url: "Bascule itself"}
    tokens: dict[str, str] = {}
    for name, provider in config.providers.items():
        path = below("providers", name)
        if _NAME.fullmatch(name) is None:
            yield (
                path,
                "is no name of a provider",
            )  # the type's pattern lets a line end pass
        if provider.iss in seen:
            yield f"{path}.issuer", f"is the issuer of {seen[provider.iss]} already"
        seen[provider.iss] = f"`{path}`"
        yield from _issuer(f"{path}.issuer", provider)
        yield from _client(path, provider)
        yield from _api(f"{path}.api", provider)
        if provider.id_jag and (provider.many_tenants or provider.kind == "github"):
            yield f"{path}.id_jag", "needs one issuer that signs for one organisation"
        yield from _signals(f"{path}.signals", provider)
        yield from _admission(f"{path}.admit", provider)
        if provider.scim is not None:
            yield from _scim(f"{path}.scim", provider, provider.scim, tokens)


def _issuer(path: str, provider: Provider) -> Found:
    if not provider.iss:
        yield path, "is missing: it stands in the provider's metadata"
        return
    problem = _address_problem(provider.iss)
    if problem:
        yield path, problem
    elif "|" in provider.iss:
        yield path, "must have no `|`: it ends the issuer in names of users"
    elif provider.kind == "entra" and not _names_tenant(provider.issuer):
        yield path, "must be https://login.microsoftonline.com/TENANT/v2.0"


def _names_tenant(issuer: str) -> bool:
    parts = issuer.rstrip("/").split("/")
    return len(parts) == 5 and parts[4] == "v2.0" and parts[3] not in _PERSONAL


def _address_problem(text: str) -> str:
    url = web_address(text)
    if url is None or url.username is not None or url.fragment or url.query:
        return "must be a URL without user, query and fragment"
    if url.scheme != "https" and not is_loopback(url.hostname or ""):
        return "must be https unless its host is loopback"
    return ""


def _client(path: str, provider: Provider) -> Found:
    if not provider.client_id:
        yield f"{path}.client_id", "must not be empty"
    if (provider.client_secret is None) == (provider.client_key is None):
        yield path, "needs exactly one of `client_secret` and `client_key`"
    elif provider.client_key is not None and provider.kind in _OPEN:
        yield f"{path}.client_key", "is not taken there: use `client_secret`"


def _api(path: str, provider: Provider) -> Found:
    if not provider.api:
        return
    if provider.kind not in {"entra", "github"}:
        yield path, 'is for `kind = "entra"` and `kind = "github"`'
    elif problem := _address_problem(provider.api):
        yield path, problem


def _signals(path: str, provider: Provider) -> Found:
    if provider.signals is None:
        return
    if provider.kind == "github":
        yield path, "needs a provider that signs what it tells"
    for name in provider.signals.events:
        if not is_event_name(name):
            known = ", ".join(f"`{it}`" for it in KNOWN_NAMES)
            yield (
                below(f"{path}.events", name),
                f"is no event: write one of {known}, or the URI of an event of its own",
            )


def _scim(path: str, provider: Provider, scim: Scim, tokens: dict[str, str]) -> Found:
    if provider.many_tenants or provider.kind == "github":
        yield path, "needs a provider that speaks for one organisation"
    if scim.claim in _CHANGING:
        yield f"{path}.claim", "must be an id that stays with its user, such as `sub`"
    if scim.token in tokens:
        yield f"{path}.token", f"is that of {tokens[scim.token]} already: each has its own"
    tokens[scim.token] = f"`{path}`"


def _admission(path: str, provider: Provider) -> Found:
    admit = provider.admit
    if admit.tenants and provider.kind != "entra":
        yield f"{path}.tenants", 'is for `kind = "entra"`'
    if admit.domains and provider.kind != "google":
        yield f"{path}.domains", 'is for `kind = "google"`: others vouch for no domain'
    if admit.everybody and admit != Admission(everybody=True):
        yield f"{path}.everybody", "leaves nothing to the other keys beside it"
    wanted = "tenants" if provider.many_tenants else _OPEN.get(provider.kind)
    if wanted is not None and not (admit.everybody or getattr(admit, wanted)):
        yield (
            f"{path}.{wanted}",
            "is missing: anybody in the world has an account there, so say whose count, "
            "or `everybody = true`",
        )
