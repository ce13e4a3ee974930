"""Where a file of PyPI was built, verified from a document alone (PEP 740).

No network is asked: certificates and log entries are verified against the trust root that
comes with `sigstore`. A document proves where something was built, not that it is good, and
not that there is no newer one.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bascule.lock.model import Artifact, Provenance

if TYPE_CHECKING:  # an extra, and slow to import
    from pypi_attestations import Attestation, Publisher

DOCUMENT_BYTES = 1 << 20

_ISSUER = "1.3.6.1.4.1.57264.1.8"
_REPOSITORY = "1.3.6.1.4.1.57264.1.12"
_COMMIT = "1.3.6.1.4.1.57264.1.13"
_REF = "1.3.6.1.4.1.57264.1.14"
_WORKFLOW = "1.3.6.1.4.1.57264.1.18"
"""Extensions of certificates by Fulcio, `docs/oid-info.md` there."""


def verify_pypi(document: bytes, artifact: Artifact) -> Provenance:
    """Verify the attestations of one file, by its name and SHA-256.

    `unsupported` without the extra `provenance`. All attestations must verify and name one
    identity, else it is `invalid`: one that does not may be there to be overlooked.
    """
    try:
        from pydantic import ValidationError
        from pypi_attestations import AttestationError, Distribution
        from pypi_attestations import Provenance as Document
    except ImportError:
        return Provenance("unsupported")
    if len(document) > DOCUMENT_BYTES:
        return Provenance("invalid")
    try:
        digest = hashlib.sha256(document).hexdigest()
        bundles = Document.model_validate_json(document).attestation_bundles
        file = Distribution(name=artifact.filename, digest=artifact.sha256)
        found = set()
        for bundle in bundles:
            for attestation in bundle.attestations:
                attestation.verify(bundle.publisher, file, offline=True)
                found.add(_signed_by(attestation, bundle.publisher, digest))
    except (AttestationError, ValidationError, ValueError):
        return Provenance("invalid")
    if not found:
        return Provenance("absent")
    return found.pop() if len(found) == 1 else Provenance("invalid")


def _signed_by(
    attestation: Attestation, publisher: Publisher, document_digest: str
) -> Provenance:
    """Give what the certificate says, whose word it is; not what the document says."""
    claims = attestation.certificate_claims
    return Provenance(
        "verified",
        issuer=claims.get(_ISSUER, ""),
        repository=claims.get(_REPOSITORY, "").removeprefix("https://"),
        # Google's certificates name an account, which the policy has compared.
        workflow=claims.get(_WORKFLOW) or str(getattr(publisher, "email", "")),
        ref=claims.get(_REF, ""),
        commit=claims.get(_COMMIT, ""),
        bundle_sha256=document_digest,
    )


def same_identity(before: Provenance, after: Provenance) -> bool:
    """Tell whether two releases were built by the same workflow of the same repository."""
    return _who(before) == _who(after)


def _who(provenance: Provenance) -> tuple[str, str, str]:
    workflow = provenance.workflow.partition("@")[0]
    # A build's own number, where the certificate names no file.
    named = "" if workflow.startswith("https://circleci.com/") else workflow
    return (provenance.issuer, provenance.repository, named)
