"""Who may show a token, and what beside it: also for tokens of foreign issuers."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from bascule.clock import UnixTime, system_clock
from bascule.config.model import Issuer
from bascule.config.possession import Possession
from bascule.gateway.callers import Caller, Callers, UnauthenticatedError
from bascule.gateway.issuers import Issuers
from bascule.gateway.possession import Demands, UnprovenError, prove
from bascule.identity.client_certificate import ClientCertificate
from bascule.identity.issuer_documents import read_keys
from bascule.identity.keys import KeySet
from bascule.identity.nonces import Nonces
from bascule.identity.revocation import Revocations
from bascule.storage.directory import Directory
from foreign import jwks, signer
from proofs import Prover

ISSUER, HERE = "https://corp.example", "https://us.example/c/desk/mcp"
KEY, PROVER = signer("first", "ES256"), Prover()
CERTIFICATE = "c" * 43
NOW = system_clock()
NONCES = Nonces(bytes(32))


def token(cnf: dict[str, str] | None) -> str:
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": "api://desk",
        "sub": "ann",
        "client_id": "app",
        "jti": "1",
        "iat": NOW,
        "exp": NOW + 600,
    }
    return KEY.sign(claims if cnf is None else {**claims, "cnf": cnf}).decode()


def admitted(shown: str, scheme: str) -> Caller:
    rules = Issuer(issuer=ISSUER, audiences={"desk": "api://desk"})
    callers = Callers(
        KeySet([]), "https://us.example", Directory(1, {}, {}, Revocations([])), Issuers()
    )
    callers.issuers.configure({"corp": rules})
    for issuer in callers.issuers.every():
        issuer.keys = read_keys(jwks(KEY))
    return callers.authenticate(f"{scheme} {shown}".encode(), "desk", HERE, NOW)


def proven(
    cnf: dict[str, str] | None,
    scheme: str,
    *,
    by: Prover | None = None,
    certificate: str | None = None,
    demanded: Possession | None = None,
    agents: Mapping[str, Possession] | None = None,
) -> bool:
    """Show a token as a request does; tells whether it came with a proof."""
    shown = token(cnf)
    headers = {b"authorization": f"{scheme} {shown}".encode()}
    if by is not None:
        headers[b"dpop"] = by.proof(HERE, now=NOW, token=shown)
    exchange: Any = SimpleNamespace(
        header=headers.get,
        method="POST",
        certificate=certificate and ClientCertificate(certificate, frozenset()),
    )
    demands = Demands(NONCES, agents=agents or {})
    caller = admitted(shown, scheme)
    proof = prove(exchange, caller, HERE, UnixTime(NOW), demands=demands, demanded=demanded)
    return proof is not None


BY_KEY = {"jkt": PROVER.thumbprint}
BY_CERTIFICATE = {"x5t#S256": CERTIFICATE}


def test_a_bound_token_of_another_issuer_counts_with_its_proof() -> None:
    assert proven(BY_KEY, "DPoP", by=PROVER)
    assert proven(BY_KEY, "dpop", by=PROVER, demanded="dpop")
    assert not proven(None, "Bearer")
    assert not proven(BY_CERTIFICATE, "Bearer", certificate=CERTIFICATE, demanded="mtls")


def test_what_names_both_wants_both() -> None:
    both = {**BY_KEY, **BY_CERTIFICATE}
    assert proven(both, "DPoP", by=PROVER, certificate=CERTIFICATE, demanded="mtls")
    for shown in ({"by": PROVER}, {"certificate": CERTIFICATE}):
        with pytest.raises(UnprovenError):
            proven(both, "DPoP", **shown)  # type: ignore[arg-type]


@pytest.mark.parametrize(("cnf", "scheme"), [(BY_KEY, "Bearer"), (None, "DPoP")])
def test_a_token_is_shown_as_what_it_is(cnf: dict[str, str] | None, scheme: str) -> None:
    with pytest.raises(UnauthenticatedError):
        proven(cnf, scheme, by=PROVER)


@pytest.mark.parametrize(
    ("cnf", "scheme", "more"),
    [
        (BY_KEY, "DPoP", {}),
        (BY_KEY, "DPoP", {"by": Prover()}),
        (BY_KEY, "DPoP", {"by": PROVER, "demanded": "mtls"}),
        (BY_CERTIFICATE, "Bearer", {}),
        (BY_CERTIFICATE, "Bearer", {"certificate": "d" * 43}),
        (BY_CERTIFICATE, "Bearer", {"certificate": CERTIFICATE, "demanded": "dpop"}),
        (None, "Bearer", {"certificate": CERTIFICATE, "demanded": "mtls"}),
        (None, "Bearer", {"by": PROVER, "demanded": "dpop"}),
        (None, "Bearer", {"agents": {f"{ISSUER}|app": "dpop"}}),
    ],
)
def test_less_than_is_wanted_is_refused(
    cnf: dict[str, str] | None, scheme: str, more: dict[str, Any]
) -> None:
    with pytest.raises(UnprovenError):
        proven(cnf, scheme, **more)
