"""What an operator configures for each scenario of the suite, and who has signed in."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import requests
from joserfc.jwk import import_key

from bascule.app.place import Place
from bascule.authserver.kept_logins import keep
from bascule.authserver.provider_exchange import Kept, SignedIn
from bascule.clock import system_clock
from bascule.config.load import load
from bascule.identity.provider_claims import Person
from bascule.storage import federated_users
from bascule.storage.federated_users import FederatedUser
from bascule.storage.store import Transaction
from patience import PATIENCE
from system.server import Installation

DOCUMENT = "https://conformance-test.local/client-metadata.json"
"""The one address of a client's document that the suite knows; Bascule's own is another."""
PROVIDER = """
[providers.{name}]
issuer = "{issuer}"
client_id = "{client}"
client_secret = "{secret}"
admit.everybody = true
"""


@dataclass(frozen=True, slots=True)
class Order:
    """One scenario."""

    url: str
    scenario: str
    revision: str
    context: Mapping[str, str]


def credential_of(order: Order, folder: Path) -> str:
    """Give how an operator configures what the server is shown."""
    scenario, context, url = order.scenario, order.context, order.url
    kind = KINDS.get(scenario, "per_user")
    if not scenario.startswith("auth/"):
        return 'kind = "none"'
    lines = [f'kind = "{kind}"']
    for setting, secret in secrets_of(context).items():
        lines.append(f'{setting} = "{secret_file(order, setting, secret, folder)}"')
    client = DOCUMENT if scenario == "auth/basic-cimd" else context.get("client_id")
    if client is not None and kind != "workload":
        lines.append(f'client_id = "{client}"')
    if len(lines) > 1:
        lines.append(f'issuer = "{issuer_of(url)}"')
    if kind in {"client_credentials", "workload"}:
        lines.append("shared = true")
    if scenario.startswith("auth/dpop"):
        lines.append("dpop = true")
    if "/2025-03-26" in scenario:
        lines.append("legacy = true")
    return "\n".join(lines)


KINDS = {
    "auth/client-credentials-jwt": "client_credentials",
    "auth/client-credentials-basic": "client_credentials",
    "auth/wif-jwt-bearer": "workload",
    "auth/enterprise-managed-authorization": "id_jag",
}
"""Of credentials; accounts of users elsewhere."""


def secrets_of(context: Mapping[str, str]) -> Mapping[str, str]:
    """Give what proves the client, by the setting that names its file."""
    if "private_key_pem" in context:
        algorithm = context["signing_algorithm"]
        kind = "EC" if algorithm.startswith("ES") else "RSA"
        key = import_key(context["private_key_pem"], kind).as_dict(private=True)
        return {"client_key": json.dumps({**key, "alg": algorithm})}
    named = {"client_secret": "client_secret", "assertion": "valid_jwt"}
    return {setting: context[it] for setting, it in named.items() if it in context}


def issuer_of(url: str) -> str:
    """Give the issuer that the suite tells nobody, and every operator knows."""
    place = urljoin(url, "/.well-known/oauth-protected-resource/mcp")
    found = requests.get(place, timeout=PATIENCE).json()
    return str(found["authorization_servers"][0])


def secret_file(order: Order, setting: str, secret: str, folder: Path) -> str:
    """Put a secret into a file of its own; gives the reference to it."""
    path = folder / hashlib.sha256(f"{order.url} {setting}".encode()).hexdigest()
    path.touch(0o600)
    path.write_text(secret)
    return f"file:{path}"


def provider_of(name: str, order: Order, folder: Path) -> str:
    """Give the configuration of the suite's identity provider, which wants no secret."""
    return PROVIDER.format(
        name=name,
        issuer=order.context["idp_issuer"],
        client=order.context["idp_client_id"],
        secret=secret_file(order, "provider", "unused there", folder),
    )


def sign_in_by(name: str, order: Order, made: Installation) -> str:
    """Leave what a login by that provider leaves, which signs nobody in; gives the user."""
    token = order.context["idp_id_token"]
    issuer = order.context["idp_issuer"]
    who = FederatedUser(issuer, subject_of(token), name)
    found = SignedIn(who, Person(frozenset()), "", Kept(id_token=token))
    config = load(made.config.read_text(), source="the gateway")
    with contextlib.closing(Place(made.data, config.server)) as place:
        vault = place.vault(config.vault)

        def login(conn: Transaction) -> None:
            assert federated_users.vouch(conn, who, (), now=system_clock())
            keep(vault, conn, found)

        place.open_state().run(login)
    return f"user:{who.name}"


def subject_of(token: str) -> str:
    """Give whom a JWT is about."""
    payload = token.split(".")[1]
    found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return str(found["sub"])
