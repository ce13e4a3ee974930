"""What `[workloads]` must keep to beside its types."""

from __future__ import annotations

from collections.abc import Iterator

from bascule.config.addresses import is_loopback, web_address
from bascule.config.model import Config
from bascule.config.paths import below
from bascule.config.providers import Provider
from bascule.config.workloads import Workload

Found = Iterator[tuple[str, str]]
"""Path and sentence of each problem."""


def broken_workload_rules(config: Config) -> Found:
    """Give every broken rule."""
    for name, workload in config.workloads.items():
        path = below("workloads", name)
        if workload.issuer == config.server.public_url:
            yield f"{path}.issuer", "is Bascule itself, whose tokens vouch for no workload"
        if any(_signs_in(it, workload.issuer) for it in config.providers.values()):
            yield f"{path}.issuer", "signs people in: a token of a person is no workload's"
        yield from _matching(path, workload)
        yield from _keys(path, workload)


def _signs_in(provider: Provider, issuer: str) -> bool:
    """Tell whether people of an issuer sign in by a provider, as one of its tenants too."""
    if not provider.many_tenants:
        return issuer == provider.iss
    origin = provider.iss.removesuffix("/v2.0").rpartition("/")[0]
    return issuer.startswith(f"{origin}/") and issuer.endswith("/v2.0")


def _matching(path: str, workload: Workload) -> Found:
    """Want something that tells this workload from all others of its platform."""
    said = [workload.subject]
    for value in workload.claims.values():
        said += [value] if isinstance(value, str) else value.values()
    if not any(text.strip("*") for text in said):
        yield path, "matches whatever its issuer signs: name a `subject` or `claims`"
    if "*" in workload.audience:
        yield f"{path}.audience", "must be one audience, without `*`"


def _keys(path: str, workload: Workload) -> Found:
    if workload.jwks_uri and workload.keys_file:
        yield path, "has both `jwks_uri` and `keys_file`: keep one"
    if workload.keys_file:
        return  # then the issuer is but a name, as that of a SPIFFE trust domain is
    where = "jwks_uri" if workload.jwks_uri else "issuer"
    address = web_address(workload.jwks_uri or workload.issuer)
    if address is None:
        yield (
            f"{path}.{where}",
            "is no web address; name `keys_file` if none is to be asked",
        )
    elif address.scheme != "https" and not is_loopback(address.hostname or ""):
        yield f"{path}.{where}", "must be https: keys that came in the clear prove nothing"
