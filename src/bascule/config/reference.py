"""The reference page of `bascule.toml`, written from the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bascule.config.json_schema import json_schema

_HEAD = """\
# Configuration

<!-- Written by `make docs` from src/bascule/config/model.py: change the text there. -->

Bascule reads one TOML file: `--config FILE`, else `$BASCULE_CONFIG`, else
`./bascule.toml`. A missing `./bascule.toml` is an empty one; a file that was named must
exist. No other variable of the environment changes a setting. A key that is not on this
page is refused, with its place.

`bascule config check` says all that is wrong with a file; `bascule config schema`
prints its JSON Schema. Secrets never stand in the file: `file:PATH` names a file that
only the server's user may read, `env:NAME` a variable of its environment. What
`toolsets`, `roles`, `agents` and `scopes` mean is on the page [Policies](policies.md).
"""


def reference_page() -> str:
    """Give the page as Markdown: a section for each table, a row for each setting."""
    tables = dict(json_schema()["$defs"])
    del tables["Config"]  # its keys are the sections
    return "\n".join((_HEAD, *(_section(table) for table in tables.values())))


def _section(table: dict[str, Any]) -> str:
    place, _, purpose = table["description"].partition(": ")
    rows = "\n".join(_rows(table))
    return (
        f"## {place}\n\n{purpose[:1].upper()}{purpose[1:]}\n\n"
        f"| key | type | default | |\n|---|---|---|---|\n{rows}\n"
    )


def _rows(table: dict[str, Any]) -> Iterator[str]:
    for key, setting in table["properties"].items():
        default = "required" if key in table["required"] else _default(setting)
        cells = (f"`{key}`", _type(setting), default, setting["description"])
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(setting: dict[str, Any]) -> str:
    return f"`{json.dumps(setting['default'])}`" if "default" in setting else "absent"


def _type(setting: dict[str, Any]) -> str:
    """Say a setting's type in a few words, with its bounds."""
    if "$ref" in setting:
        return "table"
    if "anyOf" in setting:
        return " or ".join(map(_type, setting["anyOf"]))
    if "enum" in setting:
        return " or ".join(f"`{value}`" for value in setting["enum"])
    if str(setting.get("pattern", "")).startswith("^(file"):
        return "reference"
    kind = str(setting["type"])
    if kind == "array":
        return f"list of {_type(setting['items'])}"
    if kind == "object":
        return f"table of {_type(setting['additionalProperties'])}"
    if "minimum" in setting:
        most = f" to {setting['maximum']}" if "maximum" in setting else " or more"
        return f"{kind}, {setting['minimum']}{most}"
    return kind
