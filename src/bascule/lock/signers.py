"""`allowed_signers`: who signs with which key, in OpenSSH's format.

    alice@example.com namespaces="mcp-approval" ssh-ed25519 AAAA… comment

Stricter than OpenSSH, where leniency would blur who decided: one principal on a line, a
person's name and no pattern; Ed25519 keys alone, in hardware or not; no certificates;
times in UTC. One key has one owner, so that nobody counts twice.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bascule.clock import UnixTime
from bascule.lock.model import LockError
from bascule.lock.sshsig import HARDWARE, NAMESPACE, PLAIN, PublicKey, parse_public_key

MAX_SIGNERS_BYTES = 32 << 10
_PRINCIPAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_LINE = re.compile(
    r"(?P<principal>\S+)"
    r'(?:[ \t]+(?P<options>[a-z-]+(?:="[^"]*")?(?:,[a-z-]+(?:="[^"]*")?)*))?'
    r"[ \t]+(?P<type>(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+)"
    r"[ \t]+(?P<key>[A-Za-z0-9+/=]+)(?:[ \t].*)?"
)
_OPTION = re.compile(r'([a-z-]+)(?:="([^"]*)")?')
_PLAIN, _HARDWARE = PLAIN.decode(), HARDWARE.decode()
_TIMES = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


class SignersError(LockError):
    """`allowed_signers` cannot be used; the message names the line."""


@dataclass(frozen=True, slots=True)
class Signer:
    """One key and whose it is."""

    principal: str
    key: PublicKey
    after: UnixTime | None
    before: UnixTime | None
    namespaces: tuple[str, ...]
    """Patterns; empty for all."""

    def problem(self, *times: UnixTime) -> str | None:
        """Say why this key must not sign approvals at one of these times, if so."""
        if self.namespaces and not any(map(_fits, self.namespaces)):
            return f"the key of {self.principal} is not listed for `{NAMESPACE}`"
        for time in times:
            if self.after is not None and time < self.after:
                return f"the key of {self.principal} is not valid yet"
            if self.before is not None and time >= self.before:
                return f"the key of {self.principal} is no longer valid"
        return None

    def line(self) -> str:
        """Write it in one form for all that mean the same."""
        options = []
        if self.namespaces:
            options.append(f'namespaces="{",".join(sorted(set(self.namespaces)))}"')
        for name, time in (("valid-after", self.after), ("valid-before", self.before)):
            if time is not None:
                stamp = datetime.fromtimestamp(time, UTC).strftime("%Y%m%d%H%M%SZ")
                options.append(f'{name}="{stamp}"')
        kind = _PLAIN if self.key.application is None else _HARDWARE
        blob = base64.b64encode(self.key.blob).decode("ascii")
        return " ".join(
            (self.principal, *([",".join(options)] if options else []), kind, blob)
        )


class Signers:
    """All keys that may sign, by themselves."""

    __slots__ = ("_by_key",)

    def __init__(self, signers: Iterable[Signer]) -> None:
        self._by_key: Mapping[bytes, Signer] = {it.key.blob: it for it in signers}

    def find(self, key: PublicKey) -> Signer | None:
        """Give the line of a key."""
        return self._by_key.get(key.blob)

    @property
    def principals(self) -> frozenset[str]:
        """All that have a key."""
        return frozenset(it.principal for it in self._by_key.values())

    def text(self) -> str:
        """Write them in one form for all files that mean the same."""
        return "".join(
            f"{line}\n" for line in sorted(it.line() for it in self._by_key.values())
        )


def parse_signers(text: str) -> Signers:
    """Read `allowed_signers`. Raises `SignersError`, and nothing else for any text."""
    if len(text.encode(errors="surrogatepass")) > MAX_SIGNERS_BYTES:
        raise SignersError(f"`allowed_signers` is larger than {MAX_SIGNERS_BYTES} bytes")
    found: dict[bytes, Signer] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip(" \t\r")
        if not line or line.startswith("#"):
            continue
        try:
            signer = _parse_line(line)
            if signer.key.blob in found:
                raise SignersError("the key stands on an earlier line already")
        except LockError as exc:
            raise SignersError(f"`allowed_signers`, line {number}: {exc}") from exc
        found[signer.key.blob] = signer
    return Signers(found.values())


def _parse_line(line: str) -> Signer:
    match = _LINE.fullmatch(line)
    if match is None:
        raise SignersError("must be PRINCIPAL [OPTIONS] ssh-ed25519 KEY")
    principal = match["principal"]
    if _PRINCIPAL.fullmatch(principal) is None:
        raise SignersError("name one person, without patterns, commas and quotes")
    try:
        key = parse_public_key(base64.b64decode(match["key"], validate=True))
    except (binascii.Error, ValueError) as exc:
        raise SignersError("the key is not Base64") from exc
    kind = _PLAIN if key.application is None else _HARDWARE
    if match["type"] != kind:
        raise SignersError(f"says `{match['type']}`, but its key is `{kind}`")
    options = _options(match["options"] or "")
    return Signer(
        principal=principal,
        key=key,
        after=_time(options.get("valid-after")),
        before=_time(options.get("valid-before")),
        namespaces=tuple(filter(None, options.get("namespaces", "").split(","))),
    )


def _options(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in _OPTION.findall(text):
        if name not in {"namespaces", "valid-after", "valid-before"} or not value:
            raise SignersError(
                f"option `{name}` is not accepted: only `namespaces`, `valid-after` and "
                "`valid-before`, each with a value"
            )
        if name in found:
            raise SignersError(f"option `{name}` stands there twice")
        if "!" in value:
            raise SignersError(f"option `{name}` must have no negated pattern")
        found[name] = value
    return found


def _time(text: str | None) -> UnixTime | None:
    if text is None:
        return None
    digits = text.removesuffix("Z")
    try:
        parsed = datetime.strptime(digits, _TIMES[len(digits)]).replace(tzinfo=UTC)
    except (KeyError, ValueError) as exc:
        raise SignersError("a time must be YYYYMMDDZ or YYYYMMDDHHMM[SS]Z") from exc
    if digits == text:
        raise SignersError(f'write "{text}Z": without Z it is another time on each machine')
    return UnixTime(int(parsed.timestamp()))


def _fits(pattern: str) -> bool:
    """Match a namespace pattern of OpenSSH: `*` and `?`."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, NAMESPACE) is not None
