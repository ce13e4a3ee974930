"""Where files of an index were built: verified, absent, unavailable or invalid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.clock import UnixTime
from bascule.lock.cooldown import NO_COOLDOWN
from bascule.lock.launcher import parse_command
from bascule.lock.model import Artifact, Package
from bascule.lock.pypi_attested import with_provenance
from bascule.lock.resolve import Resolution, resolve
from registry import Registry, registry

DOCUMENT = "application/vnd.pypi.integrity.v1+json"
ATTESTED = "circleci_sign_publish_example-0.0.1.dev137-py3-none-any.whl"
NAME = "circleci-sign-publish-example"


@pytest.fixture(scope="module")
def index(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Give an index with a real file, and the real document about it."""
    with registry(tmp_path_factory.mktemp("registry")) as served:
        document = (assets / f"{ATTESTED}.provenance").read_bytes()
        served.answers["/integrity/real"] = (DOCUMENT, document)
        served.add_file(NAME, ATTESTED, (assets / ATTESTED).read_bytes())
        served.add_wheel("plain", "1.0")
        yield served


def built(index: Registry, provenance: object) -> Package:
    """Give the real package as it is locked when the page says that about it."""
    index.change_file(NAME, ATTESTED, provenance=provenance)
    index.change_file("plain", "plain-1.0-py3-none-any.whl", provenance=None)
    real = Artifact(ATTESTED, sha256=index.sha256(ATTESTED))
    packages = [
        Package(f"pkg:pypi/{NAME}@0.0.1.dev137", real),
        Package("pkg:pypi/plain@1.0", Artifact("plain-1.0-py3-none-any.whl")),
    ]
    url = f"{index.url}/simple/"
    found = with_provenance(packages, packages[1].purl, url, is_public=False)
    assert found[1].provenance.status == "absent"
    return found[0]


def test_a_real_file_is_locked_with_where_it_was_built(index: Registry) -> None:
    index.change_file(NAME, ATTESTED, provenance=f"{index.url}/integrity/real")
    locked: Resolution = resolve(
        parse_command(["uvx", f"{NAME}==0.0.1.dev137"]),
        folder=Path(),
        now=UnixTime(1_800_000_000),
        cooldown=NO_COOLDOWN,
        environment=index.environment(),
    )
    (package,) = locked.packages
    assert package.provenance.status == "verified"
    assert package.provenance.issuer == "https://oidc.circleci.com"


def test_a_file_without_a_document_has_none(index: Registry) -> None:
    assert built(index, None).provenance.status == "absent"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/integrity/nowhere", "unavailable"),
        ("/integrity/other", "invalid"),
        ("/files/plain-1.0-py3-none-any.whl", "unavailable"),
    ],
)
def test_a_document_that_proves_nothing_is_not_verified(
    index: Registry, path: str, status: str
) -> None:
    index.answers["/integrity/other"] = (DOCUMENT, b'{"attestation_bundles": 1}')
    assert built(index, f"{index.url}{path}").provenance.status == status


@pytest.mark.parametrize(
    "host", ["https://elsewhere.example", "http://127.0.0.1:1", "file://"]
)
def test_no_other_host_is_asked_for_a_document(index: Registry, host: str) -> None:
    assert built(index, f"{host}/integrity/real").provenance.status == "unavailable"


def test_an_index_that_says_nothing_about_any_file_is_no_witness(
    index: Registry, tmp_path: Path
) -> None:
    with registry(tmp_path) as silent:
        silent.add_wheel("plain", "1.0")
        package = Package("pkg:pypi/plain@1.0", Artifact("plain-1.0-py3-none-any.whl"))
        for url in (f"{silent.url}/simple", f"{silent.url}/no-index", "nonsense", ""):
            found = with_provenance([package], package.purl, url, is_public=False)
            assert found == (package,)
        silent.answers["/simple/plain/"] = (DOCUMENT, b"{")
        url = f"{silent.url}/simple"
        assert with_provenance([package], package.purl, url, is_public=False) == (package,)


def test_the_public_registry_is_never_looked_for_at_a_private_address(
    index: Registry,
) -> None:
    index.change_file(NAME, ATTESTED, provenance=None)
    package = Package(f"pkg:pypi/{NAME}@0.0.1.dev137", Artifact(ATTESTED))
    url = f"{index.url}/simple/"
    assert with_provenance([package], package.purl, url, is_public=True) == (package,)
