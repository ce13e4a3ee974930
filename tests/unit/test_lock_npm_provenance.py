"""Attestations of npm: real bundles of the format, without a network.

What npm's registry attests cannot be had here; the signed statements are real ones about
files of PyPI, in bundles of the same format.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pypi_attestations import Attestation

from bascule.lock import npm_provenance
from bascule.lock.model import Artifact, Package, Provenance
from bascule.lock.npm_attested import with_npm_provenance
from bascule.lock.npm_provenance import utf8_string, verify_npm
from registry import Registry, registry

BUILT = "https://slsa.dev/provenance/v1"
PUBLISHED = "https://github.com/npm/attestation/tree/main/specs/publish/v0.1"
PURL = "pkg:npm/%40scope/name@1.0.0"
SHA512 = "ab" * 64
ANY = "pypi_attestations-0.0.19.tar.gz"


@pytest.fixture(scope="module")
def bundle(assets: Path) -> dict[str, Any]:
    """Give a real bundle: a statement of how something was built, signed."""
    text = (assets / f"{ANY}.slsa.attestation").read_text()
    found: dict[str, Any] = json.loads(
        Attestation.model_validate_json(text).to_bundle().to_json()
    )
    return found


def document(*bundles: dict[str, Any], type: str = BUILT) -> bytes:
    """Write what a registry answers."""
    attestations = [{"predicateType": type, "bundle": it} for it in bundles]
    return json.dumps({"attestations": attestations}).encode()


@pytest.fixture
def about_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a statement be about our package, as the real one is about another."""
    monkeypatch.setattr(npm_provenance, "_is_about", lambda *_: True)


def changed(bundle: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> bytes:
    """Give a document with something changed in its bundle."""
    copy = json.loads(json.dumps(bundle))
    change(copy)
    return document(copy)


@pytest.mark.usefixtures("about_anything")
def test_a_bundle_says_where_a_package_was_built(bundle: dict[str, Any]) -> None:
    found = verify_npm(document(bundle), PURL, SHA512)
    assert found.status == "verified"
    assert found.issuer == "https://token.actions.githubusercontent.com"
    assert found.repository == "github.com/trailofbits/pypi-attestations"
    assert found.workflow.endswith("/release.yml@refs/tags/v0.0.19")
    assert found.commit == "08802efe1f8e5fec4ad842d6b8ce97656092ee72"
    assert len(found.bundle_sha256) == 64


def test_a_statement_about_something_else_is_invalid(bundle: dict[str, Any]) -> None:
    assert verify_npm(document(bundle), PURL, SHA512).status == "invalid"


def _sign_otherwise(bundle: dict[str, Any]) -> None:
    signature = bundle["dsseEnvelope"]["signatures"][0]
    signature["sig"] = signature["sig"].replace("A", "B", 1)


def _say_otherwise(bundle: dict[str, Any]) -> None:
    payload = bundle["dsseEnvelope"]["payload"]
    bundle["dsseEnvelope"]["payload"] = payload[:40] + "AAAA" + payload[44:]


@pytest.mark.usefixtures("about_anything")
@pytest.mark.parametrize("change", [_sign_otherwise, _say_otherwise])
def test_what_was_changed_does_not_verify(
    bundle: dict[str, Any], change: Callable[[dict[str, Any]], None]
) -> None:
    assert verify_npm(changed(bundle, change), PURL, SHA512).status == "invalid"


@pytest.mark.usefixtures("about_anything")
def test_one_that_does_not_verify_spoils_the_others(bundle: dict[str, Any]) -> None:
    other = json.loads(changed(bundle, _sign_otherwise))["attestations"][0]["bundle"]
    assert verify_npm(document(bundle, other), PURL, SHA512).status == "invalid"
    assert verify_npm(document(bundle, bundle), PURL, SHA512).status == "verified"


def test_bundles_of_the_first_format_are_not_supported(bundle: dict[str, Any]) -> None:
    def first_format(it: dict[str, Any]) -> None:
        it["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1"
        del it["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]

    found = verify_npm(changed(bundle, first_format), PURL, SHA512)
    assert found.status == "unsupported"


def test_that_npm_published_it_says_nothing_of_how_it_was_built(
    bundle: dict[str, Any],
) -> None:
    assert verify_npm(document(bundle, type=PUBLISHED), PURL, SHA512).status == "absent"
    assert verify_npm(document(), PURL, SHA512).status == "absent"


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"attestations": 1}', b"\xff"])
def test_what_is_no_document_is_invalid(text: bytes) -> None:
    assert verify_npm(text, PURL, SHA512).status == "invalid"


def statement(**changes: Any) -> dict[str, Any]:
    """Make a statement about our package."""
    subject = {"name": "pkg:npm/@scope/name@1.0.0", "digest": {"sha512": SHA512}}
    return {"predicateType": BUILT, "subject": [subject], **changes}


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (statement(), True),
        (statement(subject=[]), False),
        (statement(subject=statement()["subject"] * 2), False),
        (statement(subject=[{"name": PURL, "digest": {"sha512": "cd" * 64}}]), False),
        (statement(subject=[{"name": PURL, "digest": {"sha256": SHA512}}]), False),
        (
            statement(subject=[{"name": f"{PURL}1", "digest": {"sha512": SHA512}}]),
            False,
        ),
        (statement(predicateType=PUBLISHED), False),
        (statement(subject=None), False),
        ([], False),
        (None, False),
    ],
    ids=range(10),
)
def test_a_statement_is_about_these_bytes_under_this_name(said: Any, meant: bool) -> None:
    assert npm_provenance._is_about(said, PURL, SHA512) is meant


def test_a_package_without_a_digest_was_not_attested() -> None:
    empty = statement(subject=[{"name": PURL, "digest": {"sha512": ""}}])
    assert not npm_provenance._is_about(empty, PURL, "")


def test_texts_of_certificates() -> None:
    for length in (0, 1, 127, 128, 255, 256, 4000):
        text = "x" * length
        head = (
            bytes([length])
            if length < 128
            else b"\x81" + bytes([length])
            if length < 256
            else b"\x82" + length.to_bytes(2, "big")
        )
        assert utf8_string(b"\x0c" + head + text.encode()) == text


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x0c",
        b"\x04\x01x",
        b"\x0c\x02x",
        b"\x0c\x01xy",
        b"\x0c\x80x",
        b"\x0c\x01\xff",
    ],
)
def test_other_values_of_certificates_are_no_texts(der: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        utf8_string(der)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry(tmp_path_factory.mktemp("npm")) as found:
        yield found


def looked_up(served: Registry, body: bytes | None) -> str:
    """Give what is known of a package that the registry says is attested."""
    place = "/-/npm/v1/attestations/@scope/name@1.0.0"
    served.answers.pop(place, None)
    if body is not None:
        served.answers[place] = ("application/json", body)
    attested = Package(
        PURL, Artifact("name.tgz", sha512=SHA512), provenance=Provenance("unsupported")
    )
    silent = Package("pkg:npm/other@1.0.0", Artifact("other.tgz"))
    found = with_npm_provenance(
        [attested, silent], lambda _: f"{served.url}/", "https://public.example/"
    )
    assert found[1] == silent
    return found[0].provenance.status


@pytest.mark.usefixtures("about_anything")
def test_the_registry_of_a_package_is_asked_for_its_document(
    served: Registry, bundle: dict[str, Any]
) -> None:
    assert looked_up(served, document(bundle)) == "verified"
    assert looked_up(served, b"{}") == "invalid"
    assert looked_up(served, None) == "unavailable"
