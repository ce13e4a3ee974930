"""The suite through other ways of running: two workers, and servers on standard streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from conformance.gateway import at_port, endpoint, guarding, on_stdio
from conformance.rig import fixture_server
from conformance.suite import FROZEN, REVISIONS, exceptions, required, run
from patience import until
from postgres import PostgresServer
from system.replicas import in_database
from system.server import Installation

VARIANTS = ("two workers, PostgreSQL", "two workers", "stdio, per user", "stdio, shared")


@dataclass(frozen=True, slots=True)
class Variant:
    """Bascule, run in some way."""

    name: str
    own: Installation


@pytest.fixture(scope="module")
def variant(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    migrated_template: str,
) -> Iterator[Variant]:
    folder = tmp_path_factory.mktemp("variant")
    if request.param.startswith("two workers"):
        on_postgres = request.param.endswith("PostgreSQL")
        url = postgres_server.url(postgres_server.create(template=migrated_template))
        server = in_database(folder, url) if on_postgres else ""
        with (
            fixture_server() as port,
            guarding(folder, at_port(port), "--workers", "2", server=server) as own,
        ):
            yield Variant(request.param, own)
        return
    per_user = request.param == "stdio, per user"
    with guarding(folder, on_stdio(per_user=per_user)) as own:
        yield Variant(request.param, own)


@pytest.mark.parametrize(
    ("variant", "revision"),
    [
        # Every variant with one revision; with the other in the long loops.
        pytest.param(it, revision, marks=() if (place + which) % 2 else pytest.mark.soak)
        for place, it in enumerate(VARIANTS)
        for which, revision in enumerate(sorted(FROZEN))
    ],
    indirect=["variant"],
)
def test_what_fails_is_known(
    revision: str, variant: Variant, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own, folder = variant.own, tmp_path_factory.mktemp("results")
    token = own.token("alice", "desk", "--agent", "suite")
    report = run(endpoint(own), revision, folder, token=token)
    expected = {*exceptions(revision), *exceptions(revision, variant.name)}
    assert report.failing == expected
    assert len(required(revision)) == REVISIONS[revision]
    until(lambda: own.ask("audit", "verify")["pending"] == 0)
    assert own.ask("audit", "verify")["ok"] is True
