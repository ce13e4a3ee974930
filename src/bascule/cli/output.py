"""How commands print: results on stdout, JSON for programs, text for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import click
import msgspec


def emit(value: Mapping[str, object], *, text: str, as_json: bool) -> None:
    """Print one result."""
    click.echo(msgspec.json.encode(value).decode() if as_json else text)


def emit_rows(
    rows: Iterable[Mapping[str, object]], *, columns: Sequence[str], as_json: bool
) -> None:
    """Print a list: one JSON object on a line, or a table of `columns`."""
    if as_json:
        for row in rows:
            click.echo(msgspec.json.encode(row).decode())
        return
    table = [list(columns), *([_cell(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(columns))]
    for number, line in enumerate(table):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.secho("  ".join(cells).rstrip(), bold=number == 0)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return " ".join(str(item) for item in value) or "-"
    return "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value)
    )
