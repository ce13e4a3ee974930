"""As which client Bascule is registered at others, its proofs read."""

from __future__ import annotations

from bascule.app.secrets import ReadSecret
from bascule.config.credentials import Credential
from bascule.oauthclient.client import Client, read_assertion_key


def client_of(credential: Credential, read_secret: ReadSecret) -> Client | None:
    """Give the client that a credential names; None when it names none.

    Raises `BasculeError` when what proves it cannot be read.
    """
    if credential.client_id is None:
        return None
    secret, key = credential.client_secret, credential.client_key
    return Client(
        client_id=credential.client_id,
        issuer=credential.issuer,
        secret=None if secret is None else read_secret(secret),
        key=None if key is None else read_assertion_key(read_secret(key)),
    )
