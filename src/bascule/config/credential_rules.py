"""What `[connectors.NAME.credential]` must keep to beside its types."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.config.addresses import is_loopback, web_address
from bascule.config.credentials import TOKEN_KINDS, Credential

Found = Iterator[tuple[str, str]]
"""Path and sentence of each problem."""

_TOKEN = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+")
_OURS = re.compile(r"(?i)host|connection|transfer-encoding|accept|content-.*|mcp-.*|dpop")
"""Headers that Bascule itself writes; a credential must not stand in their place."""
_OF_TOKENS = (
    "issuer",
    "client_id",
    "client_secret",
    "client_key",
    "scopes",
    "audience",
    "assertion",
    "dpop",
    "legacy",
)
_OF_STATIC = ("value", "shared")


def broken_credential_rules(path: str, credential: Credential, *, hosted: bool) -> Found:
    """Give every broken rule; `hosted`: of a connector that Bascule runs."""
    if credential.kind in TOKEN_KINDS:
        yield from _oauth(path, credential, hosted=hosted)
    else:
        yield from _static(path, credential)


def _static(path: str, credential: Credential) -> Found:
    for name in _set(credential, _OF_TOKENS):
        yield f"{path}.{name}", f'is nothing for `kind = "{credential.kind}"`'
    if credential.kind == "none":
        if credential.value is not None:
            yield path, 'has a `value` but `kind = "none"`; set `kind = "static"`'
        return
    if credential.value is None:
        yield f"{path}.value", "is missing: say where the secret lies, as `file:PATH`"
    header = credential.header
    if _TOKEN.fullmatch(header) is None or _OURS.fullmatch(header) is not None:
        # Not repeated: people write the whole header line here, the secret in it.
        yield f"{path}.header", "must be the name of a header that Bascule does not write"


def _oauth(path: str, credential: Credential, *, hosted: bool) -> Found:
    kind = credential.kind
    if hosted:
        yield path, f'`kind = "{kind}"` is for connectors with a `url`'
    unusable = ("value",) if credential.is_one_for_all else _OF_STATIC
    for name in _set(credential, unusable):
        yield f"{path}.{name}", f'is nothing for `kind = "{kind}"`'
    if credential.header != "Authorization":
        yield f"{path}.header", "is `Authorization` wherever a token is shown"
    if credential.audience is not None and kind != "token_exchange":
        yield f"{path}.audience", 'is for `kind = "token_exchange"`'
    if credential.legacy and (kind != "per_user" or credential.issuer is not None):
        yield f"{path}.legacy", 'is for `kind = "per_user"` without an `issuer`'
    if credential.dpop and kind != "per_user":
        yield f"{path}.dpop", 'is for `kind = "per_user"`'
    if credential.issuer is not None and not _is_issuer(credential.issuer):
        yield f"{path}.issuer", "must be an https URL, without user, query and fragment"
    if kind == "workload":
        yield from _workload(path, credential)
        return
    if credential.assertion is not None:
        yield f"{path}.assertion", 'is for `kind = "workload"`'
    yield from _client(path, credential)


def _workload(path: str, credential: Credential) -> Found:
    for name in _set(credential, ("client_id", "client_secret", "client_key")):
        yield f"{path}.{name}", "is nothing for a workload: its `assertion` says who it is"
    if credential.issuer is None:
        yield f"{path}.issuer", 'is missing: `kind = "workload"` needs it'
    if not (credential.assertion or "").startswith("file:"):
        yield f"{path}.assertion", "must be `file:PATH`, where the platform puts it"


def _client(path: str, credential: Credential) -> Found:
    proofs = _set(credential, ("client_secret", "client_key"))
    if len(proofs) == 2:
        yield f"{path}.client_key", "and `client_secret` are two proofs: give one"
    if credential.client_id is None and proofs:
        yield f"{path}.client_id", f"is missing: `{proofs[0]}` proves it"
    if credential.client_id is not None and credential.issuer is None:
        yield f"{path}.issuer", "is missing: `client_id` is known to one issuer alone"
    if credential.kind == "per_user":
        return
    for name in ("issuer", "client_id"):
        if getattr(credential, name) is None:
            yield f"{path}.{name}", f'is missing: `kind = "{credential.kind}"` needs it'
    if not proofs:
        yield f"{path}.client_secret", "is missing, and so is `client_key`"


def _set(credential: Credential, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if getattr(credential, name)]


def _is_issuer(text: str) -> bool:
    parts = web_address(text)
    if parts is None or parts.username is not None or parts.query or "#" in text:
        return False
    return parts.scheme == "https" or is_loopback(parts.hostname or "")
