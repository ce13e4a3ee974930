"""Definitions in a file, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bascule.errors import BasculeError

LARGEST_LINE = 4 << 20
"""Bytes; one definition that is larger is no definition."""


class RowError(BasculeError):
    """A line of the file is no definition; says which, and why."""


def rows(lines: Iterator[bytes], source: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Give the definitions with the numbers of their lines; empty lines are left out.

    Raises `RowError` for the first line that is none.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, _row(line, f"{source}:{number}")


def _row(line: bytes, where: str) -> Mapping[str, Any]:
    if len(line) > LARGEST_LINE:
        raise RowError(f"{where}: is larger than {LARGEST_LINE} bytes")
    try:
        value = json.loads(line)
    except UnicodeDecodeError as exc:
        raise RowError(f"{where}: is not UTF-8") from exc
    except RecursionError as exc:
        raise RowError(f"{where}: is nested too deeply") from exc
    except json.JSONDecodeError as exc:
        raise RowError(f"{where}: is no JSON: {exc.msg} at column {exc.colno}") from exc
    except ValueError as exc:
        raise RowError(f"{where}: is no JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise RowError(f"{where}: is no JSON object")
    if not isinstance(value.get("name"), str):
        raise RowError(f"{where}: has no `name` that is a text")
    if not isinstance(value.get("description", ""), str | None):
        raise RowError(f"{where}: has a `description` that is no text")
    return value
