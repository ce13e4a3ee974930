"""The suite's client scenarios, through a whole gateway that runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.client_suite import required, run
from conformance.outward import listening
from conformance.suite import outward_exceptions

CLIENT = Path(__file__).parent / "gateway_client.py"
EXTENSIONS = {
    f"auth/{name}"
    for name in (
        "client-credentials-jwt",
        "client-credentials-basic",
        "enterprise-managed-authorization",
        "dpop",
        "dpop-nonce",
        "wif-jwt-bearer",
    )
}
BEFORE_METADATA = {
    "auth/2025-03-26-oauth-metadata-backcompat",
    "auth/2025-03-26-oauth-endpoint-fallback",
}


@pytest.fixture(scope="module")
def outward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with listening(tmp_path_factory.mktemp("outward")) as address:
        yield address


def passing(outward: str, folder: Path, *options: str) -> set[str]:
    """Give what passes; whatever else there is must be listed with its reason."""
    report = run(CLIENT, list(options), folder, OUTWARD=outward)
    listed = outward_exceptions() & set(report.checks)
    assert report.failing == listed
    return report.passing | listed


def test_what_both_revisions_ask_of_a_gateway(outward: str, tmp_path: Path) -> None:
    found = passing(outward, tmp_path, "--suite", "auth", "--spec-version", "2026-07-28")
    assert len(found) >= 14


@pytest.mark.soak
@pytest.mark.parametrize(("revision", "count"), [("2025-11-25", 18), ("2026-07-28", 32)])
def test_what_a_revision_requires_of_a_gateway(
    outward: str, revision: str, count: int, tmp_path: Path
) -> None:
    wanted = required(revision)
    assert len(wanted) == count
    assert wanted | EXTENSIONS <= passing(outward, tmp_path, "--requirements", revision)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("suite", "wanted"), [("extensions", EXTENSIONS), ("backcompat", BEFORE_METADATA)]
)
def test_what_is_asked_of_a_gateway_beside_them(
    outward: str, suite: str, wanted: set[str], tmp_path: Path
) -> None:
    assert wanted <= passing(outward, tmp_path, "--suite", suite)
