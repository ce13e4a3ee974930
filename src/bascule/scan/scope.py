"""What may be probed: this machine, and what its owner has said to own.

The gate of every connection of a scan. Loopback and the machine's own addresses are free.
All else needs the operator's word that it is theirs (`--i-own-this`) and to be named; and
addresses of the public internet need to stand in a scope file, where somebody looked twice.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bascule.config.addresses import host_and_port, web_address
from bascule.errors import BasculeError
from bascule.net.addresses import Address, is_public, literal, unmapped
from bascule.scan.interfaces import OwnAddress, is_own, plain
from bascule.scan.target import shown

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_SCOPE_BYTES = 1 << 20
WIDEST_PUBLIC = {4: 20, 6: 48}
"""The shortest prefix that a line may have which reaches into the public internet."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""All of IPv4, behind a translator (RFC 6052)."""
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.169.254/32",
        "169.254.170.0/24",
        "168.63.129.16/32",
        "100.100.100.200/32",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "fd00:ec2::254/128",
        "ff00::/8",
    )
)
"""Nobody's servers: metadata services of clouds, multicast, broadcast, no address."""


class ScopeError(BasculeError):
    """A scope that cannot be used; says which line, and why."""


class OutOfScopeError(BasculeError):
    """An address that must not be asked; says what would allow it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that is in scope."""

    named: str
    """As it was written, but for what may be a secret in a URL."""
    network: Network | None = None
    host: str = ""
    """A name, in lower case, whatever its addresses are."""
    port: int | None = None
    """The only port of it; None for all."""

    def holds(self, address: Address, host: str, port: int) -> bool:
        """Tell whether a connection is to this."""
        if self.port is not None and self.port != port:
            return False
        if self.network is None:
            return self.host == host
        return address.version == self.network.version and address in self.network


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The gate."""

    own: tuple[OwnAddress, ...] = ()
    named: tuple[Entry, ...] = ()
    """What the command line names."""
    listed: tuple[Entry, ...] | None = None
    """What the scope file lists; where there is one, nothing else is in scope."""
    owned: bool = False
    """The operator says that it is theirs (`--i-own-this`)."""

    def is_free(self, address: str) -> bool:
        """Tell whether this literal is the machine itself: neither word nor pace needed."""
        return is_own(address, self.own)

    def check_name(self, host: str) -> None:
        """Raise `OutOfScopeError` unless a name may be looked up.

        Who answers for a name learns that somebody asks. So names of other machines are
        looked up only with their owner's word, and only those that a person has written:
        not the ones that a server names.
        """
        if host in {"localhost", socket.gethostname().lower()} or literal(host):
            return
        if not self.owned:
            raise OutOfScopeError(
                f"`{host}` may be another machine, and is not even looked up: add "
                "--i-own-this if it is yours to probe"
            )
        if host not in {it.host for it in (*self.named, *(self.listed or ()))}:
            raise OutOfScopeError(
                f"`{host}` was not named, and is not even looked up: list it in a scope "
                "file (--scope FILE)"
            )

    def check(self, address: str, host: str, port: int) -> None:
        """Raise `OutOfScopeError` unless a literal may be asked for a host and port."""
        target = plain(address)
        if _is_never(target) or _is_never(unmapped(target)):
            raise OutOfScopeError(
                f"{target} is never probed: it is no server of yours, whoever's scope it is"
            )
        if self.is_free(address):
            return
        if not self.owned:
            raise OutOfScopeError(
                f"{target} is another machine: add --i-own-this if it is yours to probe"
            )
        if self.listed is not None:
            if not _any_holds(self.listed, target, host, port):
                raise OutOfScopeError(f"{target} port {port} is not in the scope file")
        elif is_public(str(target)):
            raise OutOfScopeError(
                f"{target} is on the public internet: list it in a scope file "
                "(--scope FILE)"
            )
        elif not _any_holds(self.named, target, host, port):
            raise OutOfScopeError(
                f"{target} port {port} is not what was named: name it, or list it in a "
                "scope file (--scope FILE)"
            )

    def described(self) -> tuple[str, ...]:
        """Say in a report what might be probed."""
        more = self.named if self.listed is None else self.listed
        return ("this machine", *(it.named for it in more if self.owned))


def read_scope(path: Path) -> tuple[Entry, ...]:
    """Read a scope file: one CIDR, address, host, HOST:PORT or URL on each line.

    `#` begins a comment. Raises `ScopeError`, which names the line.
    """
    try:
        data = path.read_bytes()[: MAX_SCOPE_BYTES + 1]
        text = data.decode()
    except OSError as exc:
        raise ScopeError(f"scope file `{path}` cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ScopeError(f"scope file `{path}` is no text in UTF-8") from exc
    if len(data) > MAX_SCOPE_BYTES:
        raise ScopeError(f"scope file `{path}` is larger than {MAX_SCOPE_BYTES} bytes")
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        named = line.partition("#")[0].strip()
        if named:
            try:
                entries.append(entry(named))
            except ScopeError as exc:
                raise ScopeError(f"scope file `{path}`, line {number}: {exc}") from exc
    if not entries:
        raise ScopeError(f"scope file `{path}` lists nothing: one CIDR, host or URL a line")
    return tuple(entries)


def entry(named: str) -> Entry:
    """Read one thing that is to be in scope. Raises `ScopeError`."""
    network = _network(named)
    if network is not None:
        _check_width(named, network)
        return Entry(named, network)
    host, port = _place(named)
    literal = _network(host)
    name = _shown(named)
    if literal is not None:
        return Entry(name, literal, port=port)
    return Entry(name, host=host.lower().rstrip("."), port=port)


def entries(named: Iterable[str]) -> tuple[Entry, ...]:
    """Read what the command line names. Raises `ScopeError`."""
    return tuple(entry(it) for it in named)


def _is_never(address: Address) -> bool:
    return any(address.version == it.version and address in it for it in _NEVER)


def _any_holds(found: Iterable[Entry], address: Address, host: str, port: int) -> bool:
    return any(it.holds(address, host, port) for it in found)


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError as exc:
        if "host bits set" in str(exc):
            suggestion = ipaddress.ip_network(text, strict=False)
            raise ScopeError(
                f"`{text}` is an address inside of a network: write {suggestion} for the "
                "network"
            ) from exc
        return None


def _check_width(named: str, network: Network) -> None:
    widest = WIDEST_PUBLIC[network.version]
    if network.overlaps(_NAT64):
        widest = _NAT64.prefixlen + WIDEST_PUBLIC[4]
    if network.prefixlen < widest and _reaches_public(network):
        raise ScopeError(
            f"`{named}` reaches into the public internet and is wider than /{widest}: "
            "nobody owns all of that; list what is yours"
        )


def _reaches_public(network: Network) -> bool:
    """Tell whether an address of it may be public."""
    private = (it for it in _PRIVATE if it.version == network.version)
    return not any(network.subnet_of(it) for it in private)  # type: ignore[arg-type]


_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "fc00::/7",
        "fe80::/10",
    )
)


def _shown(named: str) -> str:
    return shown(named) if "://" in named else named


def _place(named: str) -> tuple[str, int | None]:
    parts = web_address(named)
    if parts is not None and parts.hostname is not None:
        return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    pair = host_and_port(named)
    if pair is not None:
        return pair
    if "/" not in named and host_and_port(f"{named}:1") is not None:
        return named, None
    raise ScopeError(f"`{_shown(named)}` is no CIDR, address, host, HOST:PORT or URL")
