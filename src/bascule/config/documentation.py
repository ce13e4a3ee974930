"""What the model's source says of each table and setting, for people and JSON Schema."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping

from bascule.config import (
    credentials,
    introspection,
    model,
    possession,
    providers,
    vault,
    workloads,
)

_MODULES = (
    model,
    credentials,
    introspection,
    possession,
    providers,
    vault,
    workloads,
)
"""Where tables are."""


def descriptions() -> Mapping[str, Mapping[str, str]]:
    """Give the docstrings of each table's fields, by class and field.

    Read from the model's source, since Python drops a string that follows a field.
    """
    trees = (ast.parse(inspect.getsource(module)) for module in _MODULES)
    return {
        node.name: dict(_described_fields(node))
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


def _described_fields(table: ast.ClassDef) -> list[tuple[str, str]]:
    following = zip(table.body, table.body[1:], strict=False)
    return [
        (field.target.id, inspect.cleandoc(text.value.value).replace("\n", " "))
        for field, text in following
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    ]
