"""SCIM as a provider speaks it, to the endpoint itself: real routes, a real database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from starlette.applications import Starlette
from starlette.testclient import TestClient

from bascule.authserver.provisioned import vouch
from bascule.clock import UnixTime
from bascule.config.load import load
from bascule.config.model import Config
from bascule.errors import BasculeError
from bascule.provisioning.scim.endpoint import scim_route
from bascule.provisioning.scim.frame import Scim
from bascule.storage import directory
from bascule.storage.federated_users import FederatedUser
from bascule.storage.store import Store
from oauth_state import NOW

URL = "https://mcp.corp.example"
CORP = "https://login.corp.example"
ENTRA = "https://login.microsoftonline.com/8c1f0000-1111-2222-3333-444455556666/v2.0"
TOKENS = {"corp": "corp-" * 8, "azure": "azure-" * 8, "plain": "plain-" * 8}
CONFIG = f"""
[server]
public_url = "{URL}"
behind_proxy = ["10.0.0.1/32"]

[providers.corp]
issuer = "{CORP}"
client_id = "bascule"
client_secret = "env:NONE"
scim.token = "env:corp"
admit.everybody = true

[providers.azure]
kind = "entra"
issuer = "{ENTRA}"
client_id = "bascule"
client_secret = "env:NONE"
scim.token = "env:azure"
groups.names = {{ "Engineers" = "engineers", "On Call" = "oncall" }}

[providers.plain]
issuer = "https://login.plain.example"
client_id = "bascule"
client_secret = "env:NONE"
scim = {{ token = "env:plain", groups = false }}

[providers.silent]
issuer = "https://login.silent.example"
client_id = "bascule"
client_secret = "env:NONE"
"""
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@dataclass
class Kept:
    """Records that a test reads."""

    events: list[tuple[str, str | None, dict[str, str]]] = field(default_factory=list)
    failures: int = 0

    async def event(
        self,
        type: str,
        *,
        peer: str | None,
        user: str | None = None,
        agent: str | None = None,
        agent_verified: bool = False,
        connector: str | None = None,
        admin: Mapping[str, str] | None = None,
    ) -> None:
        self.events.append((type, user, dict(admin or {})))

    def failed(self, reason: str, *, peer: str, user: str | None = None) -> bool:
        self.failures += 1
        return self.failures > 5

    def of(self, type: str) -> list[tuple[str | None, dict[str, str]]]:
        return [(user, admin) for kind, user, admin in self.events if kind == type]


class Rig:
    """A service, and providers that use it."""

    def __init__(self, store: Store, config: str = CONFIG) -> None:
        self.store = store
        self.records = Kept()
        self.config: Config = load(config, source="test")
        self.tokens = dict(TOKENS)
        self.time = NOW
        ids = count(1)
        scim = Scim(
            url=URL,
            store=store,
            records=self.records,
            config=lambda: self.config,
            secret=self._secret,
            changed=self._changed,
            clock=lambda: self.time,
            entropy=lambda size: next(ids).to_bytes(size),
        )
        self.client = TestClient(Starlette(routes=[scim_route(scim)]), URL)

    def _secret(self, reference: str) -> str:
        found = self.tokens.get(reference.removeprefix("env:"))
        if found is None:
            raise BasculeError("the variable is not set")
        return found

    async def _changed(self) -> None:
        """Nobody follows."""

    def ask(self, verb: str, path: str, body: Any = None, **how: Any) -> Any:
        """Ask as a provider; gives the response."""
        name = how.pop("name", "corp")
        token = how.pop("token") if "token" in how else self.tokens[name]
        headers = {"Authorization": f"Bearer {token}", **how.pop("headers", {})}
        if body is not None:
            how["json"] = body
        return self.client.request(verb, f"/scim/{name}/v2{path}", headers=headers, **how)

    def done(self, verb: str, path: str, body: Any = None, **how: Any) -> Any:
        """Ask for what is done; gives the document."""
        answer = self.ask(verb, path, body, **how)
        assert answer.status_code in {200, 201, 204}, (answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def refused(
        self, verb: str, path: str, body: Any = None, **how: Any
    ) -> tuple[int, str]:
        """Ask for what is not; gives status and kind of the error."""
        answer = self.ask(verb, path, body, **how)
        found = answer.json()
        assert found["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
        assert found["status"] == str(answer.status_code)
        assert found["detail"]
        return answer.status_code, found.get("scimType", "")

    def user(self, external_id: str, name: str = "corp", **more: Any) -> str:
        """Provision a user; gives its id."""
        body = {"userName": f"{external_id}@corp.example", "externalId": external_id}
        found = self.done("POST", "/Users", {**body, **more}, name=name)
        return str(found["id"])

    def group(self, display_name: str, *members: str, name: str = "corp") -> str:
        """Provision a group; gives its id."""
        body = {
            "displayName": display_name,
            "members": [{"value": it} for it in members],
        }
        return str(self.done("POST", "/Groups", body, name=name)["id"])

    def patch(self, path: str, *operations: dict[str, Any], **how: Any) -> Any:
        body = {"schemas": [PATCH], "Operations": list(operations)}
        return self.done("PATCH", path, body, **how)

    def signs_in(self, subject: str, external_id: str = "", name: str = "corp") -> bool:
        """Take up what a claim says of somebody, as the login does.

        Tells whether they come in.
        """
        issuer = self.config.providers[name].iss
        who = FederatedUser(issuer, subject, name, external_id=external_id or subject)
        claimed = frozenset({"of the claim"})
        return self.store.run(
            partial(vouch, config=self.config, who=who, claimed=claimed, now=UnixTime(NOW))
        )

    def groups_of(self, subject: str, name: str = "corp") -> frozenset[str] | None:
        """Give the groups of somebody who may come in, without their issuer."""
        issuer = self.config.providers[name].iss
        found = self.store.read(directory.load).groups.get(f"user:{issuer}|{subject}")
        return found and frozenset(it.removeprefix(f"group:{issuer}|") for it in found)
