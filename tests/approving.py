"""Entries, keys and statements for tests of approvals."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.config.model import Approvals
from bascule.lock import sshsig
from bascule.lock.admission import Admission, Circumstances, admit
from bascule.lock.approvals import Verdict, judge
from bascule.lock.dsse import Envelope, pae, write_envelope
from bascule.lock.ledger import Ledger
from bascule.lock.model import Access, Entry, Launch, Source, Surface, entry_digest
from bascule.lock.rules import DAY, Trusted
from bascule.lock.signers import parse_signers
from bascule.lock.statement import Approval, statement, write_statement

NAME = "time"
NOW = UnixTime(1_800_000_000)
SURFACE_SET = hashlib.sha256(b"surface").hexdigest()
ENTRY = Entry(
    source=Source("pypi", "mcp-server-time"),
    launch=Launch("stdio", command=("uvx", "mcp-server-time")),
    access=Access(owner="platform"),
    surface=Surface(set=SURFACE_SET, context=SURFACE_SET),
)
OTHER = replace(ENTRY, launch=Launch("stdio", command=("uvx", "mcp-server-time", "-v")))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a key, the same each time."""

    name: str
    seed: bytes = b""

    @property
    def private(self) -> Ed25519PrivateKey:
        seed = hashlib.sha256(self.name.encode() + self.seed).digest()
        return Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public(self) -> sshsig.PublicKey:
        return sshsig.public_key_of(self.private)

    def line(self, options: str = "") -> str:
        blob = base64.b64encode(self.public.blob).decode()
        return " ".join(filter(None, (self.name, options, "ssh-ed25519", blob))) + "\n"

    def sign(self, payload: bytes, namespace: str = sshsig.NAMESPACE) -> tuple[str, bytes]:
        signature = sshsig.sign(pae(payload), self.private, namespace=namespace)
        return self.public.fingerprint, signature


ALICE, BOB, MALLORY = (
    Person("alice@example.com"),
    Person("bob@example.com"),
    Person("mallory"),
)


def trusted(*people: Person, **rules: Any) -> Trusted:
    """Make a set of approvers."""
    lines = "".join(person.line() for person in people or (ALICE, BOB))
    return Trusted(parse_signers(lines), Approvals(**rules))


def envelope(payload: bytes, *signers: Person) -> bytes:
    """Sign a payload."""
    return write_envelope(Envelope(payload, tuple(it.sign(payload) for it in signers)))


@dataclass(slots=True)
class Chain:
    """A ledger that grows; statements follow it unless something else is said."""

    by: Trusted = field(default_factory=trusted)
    ledger: Ledger = field(default_factory=Ledger)
    now: UnixTime = NOW

    def payload(self, who: Person, entry: Entry = ENTRY, **changes: Any) -> bytes:
        """Write the statement that comes next."""
        head = self.ledger.head
        values: dict[str, Any] = {
            "decision": "approve",
            "approver": who.name,
            "reason": "read it",
            "sequence": 1 if head is None else head.sequence + 1,
            "predecessor": "" if head is None else head.digest,
            "issued": self.now,
            "expires": self.now + 90 * DAY,
        }
        approval = Approval(**{**values, **changes})
        return write_statement(statement(NAME, entry_digest(entry), approval))

    def offer(self, *contents: bytes, owner: str = "platform") -> Admission:
        """Find files; what is let in stays."""
        found = {f"file {number}": content for number, content in enumerate(contents)}
        by = Circumstances(NAME, self.by, lambda digest: owner, self.now)
        result = admit(found, self.ledger, by)
        self.ledger = result.ledger
        return result

    def add(self, who: Person, entry: Entry = ENTRY, **changes: Any) -> Admission:
        """Record somebody's next statement."""
        return self.offer(envelope(self.payload(who, entry, **changes), who))

    def verdict(self, entry: Entry = ENTRY, admission: Admission | None = None) -> Verdict:
        """Judge an entry."""
        refused = () if admission is None else admission.refused
        return judge(NAME, entry, refused, self.by, self.ledger, now=self.now)

    def later(self, seconds: int) -> None:
        """Let time pass."""
        self.now = UnixTime(self.now + seconds)


def states(refused: Iterable[Any]) -> list[str]:
    """Give why statements were refused."""
    return [it.state for it in refused]
