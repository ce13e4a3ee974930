"""The reference of clients' files as a page, made from the table: `make docs` writes it."""

from __future__ import annotations

from collections.abc import Iterator

from bascule.scan.clients import Location, Table, table

INTRODUCTION = """\
# Files of MCP clients

`bascule scan configs` looks in all of these places. It reads, and starts nothing.

- `~` is the home: yours; as root those of all people, by `/etc/passwd`; below WSL those of
  Windows too; with `--home DIR` any other, whose layout says which system it is of.
- `*` stands for any name, `**` for any number of folders.
- A variable that moves a place moves it here as well, and the usual place is read all the
  same: a client that was started elsewhere may not have had the variable.
- Places of a project are looked for in every folder below the home, and in each folder that
  a client's file names as opened. Folders of tools (`node_modules`, caches, environments of
  Python) and file systems on the network are left out; after 20,000 folders the search
  ends. What was left out is in the report, under `not_assessed`.
- A link within the home is followed. One that leads out of it is told, and not followed;
  name the file on the command line to have it read.
- All JSON may have comments, trailing commas and a byte order mark. A file may be 8 MiB of
  JSON, 1 MiB of YAML, or 256 KiB of TOML.
- Where a file holds its servers under the key of another client, they are found too.

Places marked *unverified* are general knowledge; all others were read in the source or the
documentation of a client or of a scanner.
"""
_SYSTEMS = {"any": "all", "linux": "Linux", "mac": "macOS", "windows": "Windows"}
_READS = {
    "projects": "one map for each project, below `projects`",
    "extension": "one server, in `server.mcp_config`",
    "single": "one server, at the top",
    "settings": "no servers: what is let in without a question",
    "workspace": "no servers: the folder that was opened",
    "registry": "names of servers that are switched on",
    "catalog": "no servers: what those names stand for",
    "values": "no servers: settings, perhaps secrets",
    "compose": "services that speak MCP, in `services`",
}


def clients_page() -> str:
    """Write the page in Markdown."""
    known = table()
    return "\n".join(
        [
            INTRODUCTION,
            "## Places",
            "",
            *_places(known),
            "",
            "## Variables",
            "",
            *_variables(known),
            "",
            "## Sources",
            "",
            f"Read on {known.read}:",
            "",
            *(f"- {source}" for source in known.sources),
            "",
        ]
    )


def _places(known: Table) -> Iterator[str]:
    yield "| client | system | scope | file | format | where the servers are |"
    yield "|---|---|---|---|---|---|"
    for it in known.locations:
        cells = (
            it.client,
            _SYSTEMS[it.os],
            it.scope,
            f"`{it.path}`" + (" (unverified)" if it.confidence == "background" else ""),
            it.format,
            _where(it),
        )
        yield f"| {' | '.join(cells)} |"


def _where(location: Location) -> str:
    return _READS.get(location.reads, f"`{location.key}`")


def _variables(known: Table) -> Iterator[str]:
    yield "| variable | moves | to |"
    yield "|---|---|---|"
    for it in known.moved:
        kind = "the folder it names" if it.to == "directory" else "the file it names"
        yield f"| `{it.variable}` | `{it.prefix}` | {kind} |"


if __name__ == "__main__":
    print(clients_page(), end="")
