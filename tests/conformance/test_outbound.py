"""The suite's client scenarios about authorization, against Bascule's OAuth client."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.client_suite import required, run

CLIENT = Path(__file__).parent / "outbound_client.py"
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


def authorizing(names: frozenset[str]) -> set[str]:
    return {name for name in names if name.startswith("auth/")}


@pytest.mark.soak
def test_what_both_revisions_ask(tmp_path: Path) -> None:
    report = run(CLIENT, ["--suite", "auth", "--spec-version", "2026-07-28"], tmp_path)
    assert len(report.passing) >= 14
    assert report.failing == set()


@pytest.mark.soak
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_what_a_revision_requires(revision: str, tmp_path: Path) -> None:
    wanted = authorizing(required(revision))
    assert len(wanted) >= 14
    report = run(CLIENT, ["--requirements", revision], tmp_path)
    assert wanted | EXTENSIONS <= report.passing, sorted(report.failing)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("suite", "wanted"), [("extensions", EXTENSIONS), ("backcompat", BEFORE_METADATA)]
)
def test_what_is_asked_beside_them(suite: str, wanted: set[str], tmp_path: Path) -> None:
    report = run(CLIENT, ["--suite", suite], tmp_path)
    assert wanted <= report.passing, sorted(report.failing)
