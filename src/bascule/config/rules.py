"""What a configuration must keep to beside its types: rules across fields and tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import SplitResult

from bascule.config.addresses import (
    host_and_port,
    is_comparable_network,
    is_literal,
    is_loopback,
    is_network,
    web_address,
)
from bascule.config.approval_rules import broken_approval_rules
from bascule.config.call_approval_rules import broken_call_approval_rules
from bascule.config.credential_rules import broken_credential_rules
from bascule.config.flow_rules import broken_flow_rules
from bascule.config.members import members_of
from bascule.config.model import Config, Connector, SandboxTable
from bascule.config.paths import below, quoted
from bascule.config.provider_rules import broken_provider_rules
from bascule.config.workload_rules import broken_workload_rules

Found = Iterator[tuple[str, str]]
"""Path and sentence of each problem."""

_CONNECTOR = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@*\s]+")
_DOMAIN = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_OWN_NAME = re.compile(r"(?=.*[a-zA-Z0-9])(@[\w.*~-]+/)?[\w.*~-]+", re.ASCII)
_NO_PATH = "must be an absolute path, without `.`, `..` or a `/` at its end"


def is_connector_name(text: str) -> bool:
    """Tell whether a text may name a connector."""
    return _CONNECTOR.fullmatch(text) is not None


def broken_rules(config: Config) -> Found:
    """Give every broken rule."""
    yield from _server(config)
    for name, connector in config.connectors.items():
        yield from _connector(below("connectors", name), name, connector)
    yield from _shared_credentials(config)
    yield from _vouched_credentials(config)
    yield from _toolsets(config)
    yield from _roles(config)
    yield from _issuers(config)
    yield from _certificates(config)
    yield from broken_provider_rules(config)
    yield from broken_workload_rules(config)
    for name, vantage in config.boundary.vantages.items():
        place = host_and_port(vantage.address)
        if place is None or not is_literal(place[0]):
            path = f"{below('boundary.vantages', name)}.address"
            yield path, "must be ADDRESS:PORT, with an IP address"
    yield from broken_approval_rules(config.approvals)
    yield from broken_call_approval_rules(config.call_approvals)
    yield from broken_flow_rules(config)
    yield from _each(
        "audit.copies",
        config.audit.copies,
        lambda it: it.startswith("file:/"),
        "must be `file:` and an absolute directory",
    )
    yield from _each(
        "clients.cimd_domains",
        config.clients.cimd_domains or (),
        lambda it: _DOMAIN.fullmatch(it) is not None,
        "must be HOST or *.DOMAIN in lower case",
    )
    yield from _each(
        "locking.own_names",
        config.locking.own_names,
        lambda it: _OWN_NAME.fullmatch(it) is not None,
        "must be the name of a package, in which `*` stands for any characters",
    )
    yield from _each(
        "network.private",
        config.network.private,
        lambda it: host_and_port(it) is not None,
        "must be HOST:PORT",
    )


def _server(config: Config) -> Found:
    server = config.server
    url = web_address(server.public_url)
    if url is None or _origin(url) != server.public_url or _has_default_port(url):
        yield (
            "server.public_url",
            "must be scheme, host and port alone, in lower case, without a path or a "
            "default port",
        )
    elif url.scheme == "http" and not is_loopback(url.hostname or ""):
        yield "server.public_url", "must be https unless its host is loopback"
    for key, value in (("listen", server.listen), ("admin_listen", server.admin_listen)):
        if host_and_port(value) is None:
            yield f"server.{key}", f"{quoted(value)} must be HOST:PORT"
    if server.database != "sqlite" and not server.database.startswith(("file:", "env:")):
        yield "server.database", "must be `sqlite` or a reference to a postgresql:// URL"
    if server.database == "sqlite" and server.key_encryption is not None:
        yield "server.key_encryption", "is of no use with SQLite, where keys are files"
    if server.tls is not None:
        files = {"cert": server.tls.cert, "key": server.tls.key}
        if server.tls.client_ca is not None:
            files["client_ca"] = server.tls.client_ca
        for key, value in files.items():
            if not value.startswith("file:"):
                yield f"server.tls.{key}", "must be `file:PATH`"
    yield from _each(
        "server.behind_proxy", server.behind_proxy, is_network, "is no network (CIDR)"
    )
    yield from _each(
        "server.behind_proxy",
        server.behind_proxy,
        lambda it: not it.endswith("/0"),
        "is everybody: name the networks of your proxies",
    )
    yield from _each(
        "server.allowed_hosts", server.allowed_hosts, _is_host, "must be HOST or HOST:PORT"
    )
    yield from _each(
        "server.allowed_origins",
        server.allowed_origins,
        lambda it: _ORIGIN.fullmatch(it) is not None,
        "must be SCHEME://HOST or SCHEME://HOST:PORT",
    )


def _origin(url: SplitResult) -> str:
    """Give scheme, host and port, as a `public_url` must write them."""
    return f"{url.scheme}://{url.netloc.rpartition('@')[2].lower()}"


def _has_default_port(url: SplitResult) -> bool:
    """Tell whether clients would leave the port out, and so ask for another host."""
    return (url.scheme, url.port) in {("http", 80), ("https", 443)}


def _is_host(text: str) -> bool:
    url = web_address(f"http://{text}")
    return url is not None and url.netloc == text and url.username is None


def _certificates(config: Config) -> Found:
    """Certificates are seen where TLS ends here, and authorities for them are named."""
    tls = config.server.tls
    if tls is not None and tls.client_ca is not None:
        return
    for name in config.agents.certificates:
        where = below("agents.certificates", name)
        yield where, "needs `server.tls.client_ca`, or nobody can show a certificate"
    connectors = {name: it.require for name, it in config.connectors.items()}
    for where, demanded in (
        *((f"{below('connectors', name)}.require", it) for name, it in connectors.items()),
        *(
            (below("agents.require", name), it)
            for name, it in config.agents.require.items()
        ),
    ):
        if demanded == "mtls":
            yield where, "needs `server.tls.client_ca`, or nobody can show a certificate"


def _connector(path: str, name: str, connector: Connector) -> Found:
    if not is_connector_name(name):
        yield path, "is no name of a connector"  # the type's pattern lets a line end pass
    if (connector.url is None) == (connector.command is None):
        yield path, "needs exactly one of `url` and `command`"
    if connector.url is not None:
        yield from _url(f"{path}.url", connector)
    if connector.command is not None and not _is_command(connector.command):
        yield f"{path}.command", "must name a program, and no word may hold a zero byte"
    for variable, value in connector.env.items():
        if _ENVIRONMENT.fullmatch(variable) is None or "\0" in value:
            yield below(f"{path}.env", variable), "cannot be an environment variable"
    if connector.env and connector.url is not None:
        yield f"{path}.env", "is for connectors with a `command`"
    yield from broken_credential_rules(
        f"{path}.credential", connector.credential, hosted=connector.command is not None
    )
    boundary = connector.boundary
    yield from _each(
        f"{path}.boundary.reachable_from",
        boundary.reachable_from,
        is_network,
        "is no network (CIDR)",
    )
    yield from _each(
        f"{path}.boundary.reachable_from",
        boundary.reachable_from,
        lambda it: not is_network(it) or is_comparable_network(it),
        "holds no client: write a network of IPv4 as such, and none with a zone",
    )
    yield from _each(
        f"{path}.boundary.may_reach",
        boundary.may_reach,
        lambda it: host_and_port(it) is not None,
        "must be HOST:PORT",
    )
    for key in ("read", "write"):
        paths = getattr(connector.sandbox, key)
        yield from _each(f"{path}.sandbox.{key}", paths, _is_plain_path, _NO_PATH)
    if connector.sandbox != SandboxTable() and connector.url is not None:
        yield f"{path}.sandbox", "is for connectors with a `command`"


def _is_plain_path(text: str) -> bool:
    """Tell whether a path means the same from everywhere; the root would be everything."""
    parts = text.split("/")
    return (
        len(parts) > 1
        and parts[0] == ""
        and not {"", ".", ".."} & set(parts[1:])
        and "\0" not in text
    )


def _is_command(words: tuple[str, ...]) -> bool:
    return bool(words and words[0]) and not any("\0" in word for word in words)


def _url(path: str, connector: Connector) -> Found:
    url = web_address(connector.url or "")
    if url is None:
        yield path, "must be an http or https URL, in ASCII and with its escapes"
        return
    if url.username is not None or url.password is not None or url.fragment:
        yield path, "must have neither user nor fragment; use `credential` for secrets"
    cleartext = url.scheme == "http" and not is_loopback(url.hostname or "")
    if cleartext and not connector.unsafe_cleartext:
        yield path, "must be https, or http to loopback; else set `unsafe_cleartext = true`"


def _shared_credentials(config: Config) -> Found:
    """Find credentials that would make several users one person upstream, unsaid."""
    for name, connector in config.connectors.items():
        credential = connector.credential
        if not credential.is_one_for_all or credential.shared:
            continue
        found = set(holders(config, name))
        if len(found) > 1 or any(it.startswith("group:") for it in found):
            path = f"{below('connectors', name)}.credential.shared"
            yield path, "must be true: several users have rights under this credential"


def _vouched_credentials(config: Config) -> Found:
    """Find credentials of users whom nobody could vouch for."""
    for name, connector in config.connectors.items():
        if connector.credential.kind == "id_jag" and not config.providers:
            path = f"{below('connectors', name)}.credential.kind"
            yield path, "is for users who sign in by a provider: `[providers]` has none"


def holders(config: Config, connector: str) -> Iterator[str]:
    """Give the users and groups that some role gives something of a connector."""
    for role in config.roles.values():
        if any(it.startswith((f"{connector}/", f"{connector}:")) for it in role.allow):
            members = (it.who for it in members_of(role))
            yield from (it for it in members if not it.startswith("agent:"))


def _toolsets(config: Config) -> Found:
    for name in config.toolsets:
        connector, _, short = name.partition(":")
        if not short or connector not in config.connectors:
            yield below("toolsets", name), "must be CONNECTOR:NAME with a known connector"


def _roles(config: Config) -> Found:
    for name, role in config.roles.items():
        yield from _each(
            f"{below('roles', name)}.members",
            tuple(it.who for it in members_of(role)),
            lambda it: it.startswith(("user:", "group:", "agent:")) and it[-1] != ":",
            "must begin with `user:`, `group:` or `agent:`",
        )


def _issuers(config: Config) -> Found:
    seen: dict[str, str] = {config.server.public_url: "Bascule itself"}
    asked: dict[str, str] = {}
    for name, issuer in config.issuers.items():
        path = below("issuers", name)
        for connector, audience in issuer.audiences.items():
            if connector not in config.connectors:
                yield below(f"{path}.audiences", connector), "is no known connector"
            if list(issuer.audiences.values()).count(audience) > 1 or not audience:
                yield (
                    below(f"{path}.audiences", connector),
                    "must be another for each connector: a token for one must not open all",
                )
        yield from _issuer_url(f"{path}.issuer", issuer.issuer)
        if issuer.jwks_uri is not None:
            yield from _issuer_url(f"{path}.jwks_uri", issuer.jwks_uri)
        if "|" in issuer.issuer:
            yield (
                f"{path}.issuer",
                "must have no `|`: it ends the issuer in names of users",
            )
        if not issuer.groups.claim:
            yield f"{path}.groups.claim", "must name a claim"
        if issuer.introspection is not None:
            where = f"{path}.introspection"
            yield from _issuer_url(f"{where}.endpoint", issuer.introspection.endpoint)
            for connector in asked.keys() & issuer.audiences.keys():
                yield (
                    where,
                    f"tokens for `{connector}` are shown to `{asked[connector]}` already: "
                    "nobody else may see them",
                )
            asked |= dict.fromkeys(issuer.audiences, name)
        if issuer.issuer in seen:
            yield f"{path}.issuer", f"is the issuer of {seen[issuer.issuer]} already"
        seen[issuer.issuer] = f"`{path}`"


def _issuer_url(path: str, text: str) -> Found:
    url = web_address(text)
    if url is None or url.username is not None or url.fragment:
        yield path, "must be a URL without user and fragment"
    elif path.endswith(".issuer") and url.query:
        yield path, "must be a URL without query"
    elif url.scheme != "https" and not is_loopback(url.hostname or ""):
        yield path, "must be https unless its host is loopback"


def _each(
    path: str, values: tuple[str, ...], good: Callable[[str], bool], sentence: str
) -> Found:
    for place, value in enumerate(values):
        if not good(value):
            yield f"{path}[{place}]", f"{quoted(value)} {sentence}"


def exposure_problems(config: Config) -> list[str]:
    """Say why this configuration would expose the server by accident; empty if not.

    Beyond loopback a listener needs TLS, or proxies in front that have it.
    """
    server = config.server
    if server.tls is not None or server.behind_proxy:
        return []
    listeners = {"listen": server.listen, "admin_listen": server.admin_listen}
    return [
        f"`server.{key}` = `{value}` is reachable from other machines: set `server.tls` "
        "or `server.behind_proxy` (--behind-proxy CIDR), or use localhost"
        for key, value in listeners.items()
        if is_exposed(value)
    ]


def is_exposed(listen: str) -> bool:
    """Tell whether HOST:PORT can be reached from other machines."""
    place = host_and_port(listen)
    return place is not None and not is_loopback(place[0])
