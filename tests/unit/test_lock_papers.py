"""Bills of materials and what was found about advisories, checked by others' schemas."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from msgspec.structs import replace

from bascule.clock import UnixTime
from bascule.lock.model import (
    Access,
    Artifact,
    Build,
    Entry,
    Finding,
    Launch,
    LockError,
    Package,
    Runtime,
    Source,
    Tree,
)
from bascule.lock.openvex import JUSTIFICATIONS, openvex
from bascule.lock.sbom import sbom

NOW = UnixTime(1_790_000_000)
ROOT = Package(
    "pkg:npm/%40scope/name@1.2.3",
    Artifact("name-1.2.3.tgz", sha512="ab" * 64),
    license="MIT OR Apache-2.0",
    published_at="2026-01-01T00:00:00Z",
)
NEEDED = Package(
    "pkg:npm/other@1.0.0",
    Artifact("other-1.0.0.tgz", sha512="cd" * 64),
    license="see LICENSE",
    parents=(ROOT.purl,),
    native=True,
)
NODE = Runtime("node", "20.1.0", "ef" * 32)
FILES = Entry(
    Source("npm", "@scope/name"),
    Launch("stdio"),
    Access("platform-team"),
    root=ROOT.purl,
    packages=(ROOT, NEEDED),
    builds={
        "linux-x86_64-glibc": Build(
            Runtime("node", "20.1.0", "ef" * 32), Tree("12" * 32, 3, 9)
        )
    },
)
URL = "https://remote.example/mcp"
REMOTE = Entry(Source("http", URL), Launch("http", url=URL), Access(credential="static"))


def written(**entries: Entry) -> dict[str, Any]:
    """Write a bill of materials that the format's own schema accepts."""
    text = sbom(entries, version="1.0", now=NOW)
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert problem is None, problem
    document: dict[str, Any] = json.loads(text)
    return document


def needs(document: dict[str, Any]) -> dict[str, list[str]]:
    """Give what needs what, without the digests in the references."""
    return {
        it["ref"].partition("#")[0]: [
            name.partition("#")[0] for name in it.get("dependsOn", [])
        ]
        for it in document["dependencies"]
    }


def test_every_package_stands_in_it_with_its_hash_and_what_needs_it() -> None:
    document = written(files=FILES)
    hashes = {it["name"]: it["hashes"][0]["content"] for it in document["components"]}
    assert hashes["name"] == "ab" * 64
    assert hashes["other"] == "cd" * 64
    assert hashes["node"] == "ef" * 32
    runtime = f"runtime:node@20.1.0:{'ef' * 6}"
    assert needs(document)["connector:files"] == [ROOT.purl, runtime]
    assert needs(document)[ROOT.purl] == [NEEDED.purl]


def test_connectors_share_what_is_the_same_and_nothing_else() -> None:
    patched = replace(NEEDED, artifact=Artifact("other-1.0.0.tgz", sha512="ee" * 64))
    changed = replace(FILES, packages=(ROOT, patched))
    document = written(files=FILES, again=FILES, changed=changed, remote=REMOTE)
    names = [it["name"] for it in document["components"]]
    assert names.count("name") == 1
    assert names.count("other") == 2
    assert {it["name"] for it in document["services"]} == {"remote"}


def test_a_remote_server_is_a_service_beyond_our_boundary() -> None:
    (service,) = written(remote=REMOTE)["services"]
    assert service["endpoints"] == [URL]
    assert service["authenticated"] is True
    assert service["x-trust-boundary"] is True


def test_the_same_entries_give_the_same_document() -> None:
    once, again = written(files=FILES), written(files=FILES)
    assert once == again
    assert once["serialNumber"] != written(remote=REMOTE)["serialNumber"]


def test_what_is_needed_and_not_locked_is_refused() -> None:
    torn = replace(FILES, packages=(NEEDED,))
    with pytest.raises(LockError, match="not locked"):
        sbom({"files": torn}, version="1.0", now=NOW)


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (
            Finding("CVE-1", "not_affected", "component_not_present"),
            {"justification": "component_not_present"},
        ),
        (
            Finding("CVE-1", "not_affected", "we never call it", "2026-12-31"),
            {
                "impact_statement": "we never call it",
                "status_notes": "we never call it; until 2026-12-31",
            },
        ),
        (Finding("CVE-1", "affected"), {"action_statement": "no action is known yet"}),
        (Finding("CVE-1", "under_investigation"), {}),
    ],
)
def test_a_finding_is_told_in_the_words_of_openvex(
    finding: Finding, expected: dict[str, str]
) -> None:
    entry = replace(FILES, findings=(finding,))
    document = json.loads(openvex({"files": entry}, author="platform-team", now=NOW))
    (statement,) = document["statements"]
    assert statement["vulnerability"] == {"name": "CVE-1"}
    said = {"vulnerability", "products", "status"}
    assert {k: v for k, v in statement.items() if k not in said} == expected
    assert "component_not_present" in JUSTIFICATIONS
