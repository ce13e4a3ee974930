"""Attestations of PyPI: real documents about real files, without a network."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from bascule.lock.model import Artifact, Provenance
from bascule.lock.pypi_provenance import DOCUMENT_BYTES, same_identity, verify_pypi

SDIST = "pypi_attestations-0.0.19.tar.gz"
REPOSITORY = "github.com/trailofbits/pypi-attestations"
OF_CIRCLECI = "circleci_sign_publish_example-0.0.1.dev137-py3-none-any.whl"
OF_GOOGLE = "gcb_attestation_test-0.0.0.tar.gz"


def artifact(assets: Path, name: str = SDIST) -> Artifact:
    """Give a file's facts."""
    digest = hashlib.sha256((assets / name).read_bytes()).hexdigest()
    return Artifact(name, sha256=digest)


def document(assets: Path, name: str = SDIST) -> bytes:
    """Give what a registry says of a file."""
    return (assets / f"{name}.provenance").read_bytes()


def test_a_real_document_says_where_the_file_was_built(assets: Path) -> None:
    found = verify_pypi(document(assets), artifact(assets))
    assert found.status == "verified"
    assert found.issuer == "https://token.actions.githubusercontent.com"
    assert found.repository == REPOSITORY
    assert found.workflow.endswith("/.github/workflows/release.yml@refs/tags/v0.0.19")
    assert found.ref == "refs/tags/v0.0.19"
    assert found.commit == "08802efe1f8e5fec4ad842d6b8ce97656092ee72"
    assert found.bundle_sha256 == hashlib.sha256(document(assets)).hexdigest()


@pytest.mark.parametrize("name", [OF_CIRCLECI, OF_GOOGLE])
def test_other_builders_are_known(assets: Path, name: str) -> None:
    found = verify_pypi(document(assets, name), artifact(assets, name))
    assert found.status == "verified"
    assert found.issuer.startswith("https://")
    assert found.workflow


def test_another_file_is_not_what_was_attested(assets: Path) -> None:
    real = artifact(assets)
    for other in (
        replace(real, sha256=hashlib.sha256(b"another").hexdigest()),
        replace(real, filename="pypi_attestations-0.0.20.tar.gz"),
        artifact(assets, OF_GOOGLE),
    ):
        assert verify_pypi(document(assets), other).status == "invalid"


def test_a_publisher_that_did_not_sign_is_not_believed(assets: Path) -> None:
    said = json.loads(document(assets))
    said["attestation_bundles"][0]["publisher"]["repository"] = "somebody/else"
    assert verify_pypi(json.dumps(said).encode(), artifact(assets)).status == "invalid"


def test_one_attestation_that_does_not_verify_spoils_the_document(assets: Path) -> None:
    said = json.loads(document(assets))
    said["attestation_bundles"] += json.loads(document(assets, OF_GOOGLE))[
        "attestation_bundles"
    ]
    assert verify_pypi(json.dumps(said).encode(), artifact(assets)).status == "invalid"


def test_a_changed_signature_is_noticed(assets: Path) -> None:
    said = json.loads(document(assets))
    envelope = said["attestation_bundles"][0]["attestations"][0]["envelope"]
    envelope["signature"] = envelope["signature"].replace("A", "B", 1)
    assert verify_pypi(json.dumps(said).encode(), artifact(assets)).status == "invalid"


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b'{"attestation_bundles": 1}', b"\xff", b"[" * 9999]
)
def test_what_is_no_document_is_invalid(text: bytes) -> None:
    assert verify_pypi(text, Artifact("file", sha256="00" * 32)).status == "invalid"


def test_a_document_of_any_size_is_not_read(assets: Path) -> None:
    padded = document(assets) + b" " * DOCUMENT_BYTES
    assert verify_pypi(padded, artifact(assets)).status == "invalid"


def test_no_attestation_at_all_is_absent() -> None:
    text = b'{"version": 1, "attestation_bundles": []}'
    assert verify_pypi(text, Artifact("a-1.tar.gz", sha256="00" * 32)).status == "absent"


def test_an_identity_is_the_workflow_whatever_the_release() -> None:
    workflow = "https://github.com/a/b/.github/workflows/release.yml@refs/tags/v1"
    before = Provenance("verified", "https://issuer", "github.com/a/b", workflow, "v1")
    after = replace(before, workflow=workflow.replace("v1", "v2"), ref="v2", commit="abc")
    assert same_identity(before, after)
    for changed in (
        replace(after, repository="github.com/a/c"),
        replace(after, issuer="https://other"),
        replace(after, workflow=workflow.replace("release", "ci")),
    ):
        assert not same_identity(before, changed)
