"""Two entries: all that differs is told, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bascule.lock.diff import EntryDiff, Side, compare_entries
from bascule.lock.model import (
    Access,
    Artifact,
    Build,
    Entry,
    Finding,
    Launch,
    NativeLock,
    Package,
    Provenance,
    Runtime,
    Sandbox,
    Source,
    Tree,
    entry_digest,
)
from bascule.lock.package_changes import PackageChange, compare_packages
from bascule.lock.surface import FORMAT, Context, Document, pins

TOOL: dict[str, Any] = {
    "name": "read",
    "description": "Read.",
    "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}},
}
DOCUMENT = Document(
    format=FORMAT,
    context=Context(environment={"TZ": "UTC"}, revisions=("2025-11-25",)),
    server=({"serverInfo": {"name": "s", "version": "1"}, "capabilities": {}},),
    instructions=("Be kind.",),
    tools={"read": (TOOL,)},
)
ROOT = Package("pkg:pypi/server@1.0", Artifact("server-1.0.whl", "aa"))
SIGNED = Provenance("verified", repository="https://code.example/anyio", workflow="ci")
ANYIO = Package(
    "pkg:pypi/anyio@4.0",
    Artifact("anyio-4.0.whl", "bb"),
    published_at="2026-01-01T00:00:00Z",
    parents=(ROOT.purl,),
    provenance=SIGNED,
)
ENTRY = Entry(
    source=Source("pypi", "server"),
    launch=Launch("stdio", ("uvx", "server"), ("{python}", "{tree}"), {"TOKEN": "env:T"}),
    access=Access(owner="platform", toolsets={"x:read": ("read",)}),
    root=ROOT.purl,
    packages=(ROOT, ANYIO),
    native_lock=NativeLock("requirements", "cc"),
    builds={"linux": Build(Runtime("python", "3.11", "dd"), Tree("ee", 1, 2))},
    surface=pins(DOCUMENT, seen_by="bubblewrap"),
    sandbox=Sandbox(may_reach=("a.example:443",)),
    findings=(Finding("CVE-1", "not_affected"),),
)


def with_document(document: Document, seen_by: str = "bubblewrap") -> Side:
    return Side(replace(ENTRY, surface=pins(document, seen_by=seen_by)), document)


def changed(document: Document = DOCUMENT, **changes: Any) -> EntryDiff:
    entry = replace(ENTRY, **changes)
    return compare_entries(Side(ENTRY, DOCUMENT), Side(entry, document))


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "source": ({"source": replace(ENTRY.source, requested="==1")}, "launch"),
    "kind": ({"kind": "bridge"}, "launch"),
    "argv": ({"launch": replace(ENTRY.launch, argv=("{python}", "-v"))}, "launch"),
    "secret": ({"launch": replace(ENTRY.launch, env={"TOKEN": "env:U"})}, "launch"),
    "egress": ({"sandbox": Sandbox(may_reach=("b.example:443",))}, "launch"),
    "scripts": ({"scripts_allowed": (ANYIO.purl,)}, "launch"),
    "root": ({"root": "pkg:pypi/other@1"}, "code"),
    "package": ({"packages": (ROOT,)}, "packages"),
    "order": ({"packages": (ANYIO, ROOT)}, "code"),
    "commit": (
        {"packages": (ROOT, replace(ANYIO, provenance=replace(SIGNED, commit="f")))},
        "packages",
    ),
    "version of root": (
        {
            "root": "pkg:pypi/server@1.1",
            "packages": (replace(ROOT, purl="pkg:pypi/server@1.1"), ANYIO),
        },
        "root",
    ),
    "native lock": ({"native_lock": None}, "code"),
    "tree": (
        {"builds": {"linux": Build(Runtime("python", "3.11", "dd"), Tree("ff", 1, 2))}},
        "code",
    ),
    "platform": ({"builds": {}}, "code"),
    "owner": ({"access": Access(owner="others")}, "access"),
    "finding": ({"findings": ()}, "access"),
    "no surface": ({"surface": None}, "removed"),
    "backend": ({"surface": pins(DOCUMENT, seen_by="landlock")}, "surface"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_whatever_differs_is_told_in_its_section(name: str) -> None:
    changes, section = OTHERS[name]
    diff = changed(**changes)
    assert section in diff.classes
    assert diff.classes[0] == section


@pytest.mark.parametrize(
    ("document", "section"),
    [
        (replace(DOCUMENT, instructions=()), "surface"),
        (replace(DOCUMENT, context=Context()), "surface"),
        (replace(DOCUMENT, server=()), "surface"),
        (replace(DOCUMENT, server=({**DOCUMENT.server[0], "x": 1},)), "surface"),
        (replace(DOCUMENT, refused={"tools/x": "is served twice"}), "surface"),
        (replace(DOCUMENT, tools={}), "removed"),
        (replace(DOCUMENT, tools={"read": ({**TOOL, "x": 1},)}), "capability"),
        (replace(DOCUMENT, prompts={"p": ({"name": "p"},)}), "added"),
        (
            replace(DOCUMENT, resource_templates={"u:{x}": ({"uriTemplate": "u:{x}"},)}),
            "added",
        ),
    ],
)
def test_whatever_differs_in_the_surface_is_told(document: Document, section: str) -> None:
    diff = compare_entries(Side(ENTRY, DOCUMENT), with_document(document))
    assert diff.classes == [section]


def test_the_same_entry_has_no_differences() -> None:
    assert changed().classes == []
    assert Side(ENTRY).digest == entry_digest(ENTRY)


def test_true_is_not_one() -> None:
    sides = [
        with_document(replace(DOCUMENT, server=({"capabilities": {"x": value}},)))
        for value in (True, 1)
    ]
    assert [it.what for it in compare_entries(*sides).surface] == ["server"]


def test_against_nothing_all_is_new() -> None:
    diff = compare_entries(Side(None), Side(ENTRY, DOCUMENT))
    assert [it.name for it in diff.definitions] == ["read"]
    assert {it.change for it in diff.definitions} == {"added"}
    assert diff.root is not None
    assert [it.name for it in diff.packages] == ["pkg:pypi/anyio"]
    assert {"launch.argv", "launch.env.TOKEN", "sandbox.may_reach"} <= {
        it.what for it in diff.launch
    }


def test_without_the_old_definitions_their_digests_are_compared() -> None:
    other = replace(DOCUMENT, tools={"read": ({**TOOL, "x": 1},)})
    diff = compare_entries(Side(ENTRY), with_document(other))
    assert diff.definitions == []
    assert "surface.tools.read" in {it.what for it in diff.surface}


def note(before: Package, after: Package) -> PackageChange:
    (change,) = compare_packages([before], [after])
    return change


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"install_scripts": ("postinstall",)}, "would run scripts at installation"),
        ({"auto_exec": ("x.pth",)}, "is run unasked"),
        ({"native": True}, "brings machine code"),
        ({"yanked": "broken"}, "was yanked: broken"),
        ({"deprecated": "use y"}, "is deprecated: use y"),
        ({"license": "MIT"}, "licence: none before, MIT now"),
        (
            {"provenance": Provenance("absent")},
            "provenance: verified .* before, absent now",
        ),
        (
            {"provenance": replace(SIGNED, repository="https://code.example/fork")},
            "code.example/anyio before, .*code.example/fork now",
        ),
    ],
)
@pytest.mark.parametrize("version", ["4.0", "4.1"])
def test_what_a_package_brings_is_noted(
    changes: dict[str, Any], told: str, version: str
) -> None:
    after = replace(ANYIO, purl=f"pkg:pypi/anyio@{version}", **changes)
    change = note(ANYIO, after)
    assert change.after == (version,)
    (said,) = change.notes
    assert pytest.RaisesExc(ValueError, match=told).matches(ValueError(said))


def test_the_same_version_with_other_bytes_is_an_alarm() -> None:
    other = replace(ANYIO, artifact=Artifact("anyio-4.0.whl", "cc"))
    assert note(ANYIO, other).notes == ("the same version with other bytes",)


def test_a_new_version_that_brings_nothing_else_has_no_notes() -> None:
    signed = replace(SIGNED, commit="other", ref="v5")
    newer = Package("pkg:pypi/anyio@5.0", Artifact("a", "cc"), provenance=signed)
    change = note(ANYIO, newer)
    assert (change.change, change.before, change.after) == ("changed", ("4.0",), ("5.0",))
    assert change.notes == ()


def test_versions_side_by_side_are_one_change() -> None:
    both = [replace(ANYIO, purl=f"pkg:npm/x@{version}") for version in "123"]
    (change,) = compare_packages(both[:2], both[1:])
    assert (change.before, change.after) == (("1", "2"), ("2", "3"))
