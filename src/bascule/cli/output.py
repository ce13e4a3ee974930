"""How commands print: results on stdout, JSON for programs, text for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import click
import msgspec


def emit(value: Mapping[str, object], *, text: str, as_json: bool) -> None:
    """Print one result."""
    click.echo(msgspec.json.encode(value).decode() if as_json else text)


def emit_json(value: object) -> None:
    """Print one JSON object on a line."""
    click.echo(msgspec.json.encode(value).decode())


def emit_rows(
    rows: Iterable[Mapping[str, object]], *, columns: Sequence[str], as_json: bool
) -> None:
    """Print a list: one JSON object on a line, or a table of `columns`."""
    if as_json:
        for row in rows:
            emit_json(row)
        return
    table = [list(columns), *([cell(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(columns))]
    for number, line in enumerate(table):
        cells = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        click.secho("  ".join(cells).rstrip(), bold=number == 0)


def cell(value: object) -> str:
    """Write a value for people, on one line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return " ".join(map(cell, value)) or "-"
    return printable(str(value)).replace("\n", "\\n")


def printable(text: str) -> str:
    """Keep line ends; write out other characters that a terminal would obey."""
    return "".join(
        char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text
    )
