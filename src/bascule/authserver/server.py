"""What the endpoints of the authorization server work with."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from bascule.authserver.documents import Documents
from bascule.authserver.provider_exchange import ProviderExchange
from bascule.clock import Clock, Entropy
from bascule.config.model import Config
from bascule.credentials.vault import Vault
from bascule.identity.keys import KeySet
from bascule.identity.nonces import Nonces
from bascule.oauthclient.workload_keys import WorkloadKeys
from bascule.storage.store import Store, Work
from bascule.web.records import Records

T = TypeVar("T")

SECRET_BYTES = 32
CODE_PREFIX = "bsc_ac_"
REFRESH_PREFIX = "bsc_rt_"
CLIENT_SECRET_PREFIX = "bsc_ck_"  # noqa: S105 - how a secret begins, no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationServer:
    """One process's authorization server; all that must last is in the database."""

    issuer: str
    """`server.public_url`, letter by letter what clients compare (RFC 8414 §3.3)."""
    store: Store
    records: Records
    config: Callable[[], Config]
    """Gives the configuration in force."""
    keys: Callable[[], KeySet]
    """Gives the keys that access tokens are signed with, as this process knows them."""
    documents: Documents
    exchange: ProviderExchange
    """Asks identity providers."""
    note_change: Callable[[], None]
    """Remembers that users, agents or revocations have changed; may write files."""
    heard: Callable[[int], Awaitable[None]]
    """Waits until all processes can know of a generation of the directory."""
    nonces: Nonces
    """Of DPoP proofs."""
    origins: frozenset[str]
    """Origins whose scripts may use the endpoints that clients call."""
    workload_keys: WorkloadKeys
    """Gives keys of platforms that vouch for workloads."""
    vault: Vault
    """Where secrets of users at other servers lie."""
    clock: Clock
    entropy: Entropy
    asking: dict[str, asyncio.Task[None]] = field(default_factory=dict, repr=False)
    """Users about whom a provider is being asked, by name."""

    async def change(self, work: Work[T]) -> T:
        """Do a transaction that may change agents or revocations."""
        found = await self.store.transact(work)
        await self.changed()
        return found

    async def changed(self) -> None:
        """Remember that agents or revocations have changed, after a transaction."""
        await asyncio.to_thread(self.note_change)

    def new_secret(self, prefix: str) -> str:
        """Draw 256 random bits as text that is recognised when it leaks."""
        return prefix + self.entropy(SECRET_BYTES).hex()


def digest_of(secret: str) -> bytes:
    """Give what is kept of a code, token or client secret: it has 256 bits, so no salt."""
    return hashlib.sha256(secret.encode()).digest()
