"""Names that look like a well-known package's."""

from __future__ import annotations

import pytest

from bascule.lock.names import Ecosystem, well_known


@pytest.mark.parametrize(
    ("ecosystem", "name", "known", "how"),
    [
        ("pypi", "mcp-sever-time", "mcp-server-time", "slip"),
        ("pypi", "mcp-server-tme", "mcp-server-time", "slip"),
        ("pypi", "requestss", "requests", "slip"),
        ("pypi", "reqeusts", "requests", "slip"),
        ("pypi", "mcp-time", "mcp-server-time", "words"),
        ("pypi", "atlassian-mcp", "mcp-atlassian", "words"),
        ("pypi", "rnarkitdown-mcp", "markitdown-mcp", "looks like"),
        ("pypi", "fastrncp", "fastmcp", "looks like"),
        (
            "npm",
            "@modelcontextprotoco1/server-memory",
            "@modelcontextprotocol/server-memory",
            "looks",
        ),
        (
            "npm",
            "@modelcontextprotocal/server-memory",
            "@modelcontextprotocol/server-memory",
            "slip",
        ),
        ("npm", "server-filesystem", "@modelcontextprotocol/server-filesystem", "scope"),
        (
            "npm",
            "@acme/server-filesystem",
            "@modelcontextprotocol/server-filesystem",
            "scope",
        ),
        (
            "npm",
            "mcp-server-filesystem",
            "@modelcontextprotocol/server-filesystem",
            "words",
        ),
        ("npm", "mcp-server-time", "mcp-server-time", "well known on pypi"),
        ("pypi", "tavily-mcp", "tavily-mcp", "well known on npm"),
        ("npm", "mcp_remote", "mcp-remote", "looks like"),
    ],
)
def test_a_name_that_resembles_a_well_known_one_is_told(
    ecosystem: Ecosystem, name: str, known: str, how: str
) -> None:
    told = well_known().warnings(ecosystem, name)
    assert any(f"`{known}`" in each and how in each for each in told)


@pytest.mark.parametrize(
    ("ecosystem", "name"),
    [
        ("pypi", "acme-tickets-mcp"),
        ("pypi", "mcp-server-weather"),
        ("npm", "@acme/mcp"),
        ("npm", "@acme/mcp-server"),
        ("npm", "@acme/tickets-mcp"),
        ("npm", "x"),
        ("pypi", ""),
    ],
)
def test_nothing_is_said_of_a_name_of_its_own(ecosystem: Ecosystem, name: str) -> None:
    assert well_known().warnings(ecosystem, name) == ()


def test_nothing_is_said_of_the_well_known_themselves() -> None:
    known = well_known()
    alarms = [
        each
        for ecosystem, names in known.names.items()
        for name in names
        for each in known.warnings(ecosystem, name)
    ]
    assert alarms == []


def test_the_list_is_large_and_in_the_spelling_of_the_registries() -> None:
    names = well_known().names
    assert len(names["pypi"]) > 200
    assert len(names["npm"]) > 200
    assert all(name == name.lower().replace("_", "-") for name in names["pypi"])
