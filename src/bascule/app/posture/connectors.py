"""Connectors: approved, as they were locked, enclosed, and where they stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from bascule.app.posture.control import Control, Subject
from bascule.app.verifying import Verified
from bascule.config.addresses import host_and_port, is_loopback
from bascule.config.model import Config
from bascule.config.rules import is_exposed
from bascule.decision.gate import Gate
from bascule.lock.model import Entry

ENFORCED = Subject(
    "approved",
    "enforced",
    "each connector is approved as it is locked, and nothing else is served",
    "lock and ledger",
    "`bascule verify --all` says what is missing",
)
BYTES = Subject(
    "approved",
    "bytes",
    "every file of each connector is what was locked",
    "every file was hashed, as `bascule verify --all` does",
    "`bascule verify NAME` says which; install again, or lock and approve what it is now",
)
TRANSPORT = Subject(
    "bounded",
    "transport",
    "nothing crosses a network in cleartext",
    "configuration",
    "set `server.tls` or `server.behind_proxy`, and https URLs; drop `unsafe_cleartext`",
)
BINDING = Subject(
    "bounded",
    "binding",
    "each listener is bound to loopback, or to one address that was named",
    "configuration",
    "name one address of this host in `server.listen`, and loopback in `admin_listen`",
)
DECLARED = Subject(
    "bounded",
    "declared",
    "each connector says who may reach it, and what it may reach",
    "configuration",
    "set `boundary.reachable_from`; for a remote server `boundary.may_reach` too",
)
SANDBOX = Subject(
    "bounded",
    "sandbox",
    "each stdio server runs in a sandbox that was tried",
    "lock: the sandbox in which its definitions were captured",
    "allow sandboxes (docs/how-to/allow-sandboxes.md), lock again, and enforce",
)

_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - what must not be there


def approved_controls(
    gates: Mapping[str, Gate | None], verified: Sequence[Verified]
) -> Iterator[Control]:
    """Judge what is served."""
    yield ENFORCED.judged_of(gates, _unapproved(gates))
    yield BYTES.judged_of(gates, _drifted(gates, verified))


def _drifted(names: Iterable[str], verified: Sequence[Verified]) -> Iterator[str]:
    found = {it.connector: it for it in verified}
    for name in names:
        if name not in found:
            yield f"`{name}` is not locked"
        elif found[name].drift:
            yield f"`{name}`: {_drift(found[name])}"


def _drift(found: Verified) -> str:
    parts = sorted({it.part for it in found.drift})
    return f"not as it was locked: {', '.join(parts)}"


def _unapproved(gates: Mapping[str, Gate | None]) -> Iterator[str]:
    for name, gate in gates.items():
        if gate is None or not gate.enforces:
            yield f"`{name}` is served without enforcement of its approval"
        elif gate.missing is not None:
            yield f"`{name}` {gate.problem or 'is not approved'}"


def placed_controls(config: Config, entries: Mapping[str, Entry]) -> Iterator[Control]:
    """Judge where listeners and servers stand."""
    yield TRANSPORT.judged(_cleartext(config))
    yield BINDING.judged(_wide(config))
    yield DECLARED.judged_of(config.connectors, _undeclared(config))
    yield SANDBOX.judged_of(config.connectors, _unenclosed(config, entries))


def _cleartext(config: Config) -> Iterator[str]:
    """Find it; `up` serves such a listener with `--unsafe-cleartext` alone."""
    server = config.server
    if is_exposed(server.listen) and server.tls is None and not server.behind_proxy:
        yield f"`server.listen` = `{server.listen}` has neither TLS nor a proxy in front"
    for name, connector in config.connectors.items():
        if connector.url is not None and _is_clear(connector.url):
            yield f"`connectors.{name}.url` is http beyond loopback"


def _is_clear(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def _wide(config: Config) -> Iterator[str]:
    server = config.server
    for key, listen in (("listen", server.listen), ("admin_listen", server.admin_listen)):
        place = host_and_port(listen)
        if place is None or place[0] in _EVERYWHERE:
            yield f"`server.{key}` = `{listen}` is every interface of this host"
        elif key == "admin_listen" and not is_loopback(place[0]):
            yield f"`server.{key}` = `{listen}` is beyond loopback"


def _undeclared(config: Config) -> Iterator[str]:
    for name, connector in config.connectors.items():
        if not connector.boundary.reachable_from:
            yield f"`connectors.{name}.boundary` says nothing of who may use it"
        if connector.url is not None and not connector.boundary.may_reach:
            yield f"`connectors.{name}.boundary` says nothing of what it may reach"


def _unenclosed(config: Config, entries: Mapping[str, Entry]) -> Iterator[str]:
    for name, connector in config.connectors.items():
        if connector.command is None:
            continue
        surface = entries[name].surface if name in entries else None
        if surface is None:
            yield f"`{name}` was never asked in a sandbox"
        elif surface.seen_by in {"", "none"}:
            yield f"`{name}` was asked without a sandbox"
        elif connector.mode in {"observe", "warn"}:
            yield f"`{name}` is in mode `{connector.mode}`, which goes on without a sandbox"
