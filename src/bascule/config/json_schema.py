"""The JSON Schema of `bascule.toml`, which editors take to check and complete it."""

from __future__ import annotations

from typing import Any

import msgspec

from bascule.config.documentation import descriptions
from bascule.config.model import Config

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Give the schema, with a description of every setting."""
    schema = msgspec.json.schema(Config)
    texts = descriptions()
    for name, table in schema["$defs"].items():
        table["properties"] = {
            key: {**_without_null(setting), "description": texts[name].get(key, "")}
            for key, setting in table["properties"].items()
        }
    return {"$schema": DIALECT, "title": "bascule.toml", **schema}


def _without_null(setting: dict[str, Any]) -> dict[str, Any]:
    """Give a setting that may be absent its one type: TOML has no null."""
    if "anyOf" not in setting:
        return setting
    (some,) = (kind for kind in setting["anyOf"] if kind != {"type": "null"})
    return dict(some)
