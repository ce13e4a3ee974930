"""The conditions of a policy, taken apart: what of them holds, and what they look at."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bascule.decision import cedar
from bascule.decision.policy import Est

_literal = re.compile(r'"(?:\\.|[^"\\])*"')
# Parentheses around a name or around the call of a function: Cedar's writer puts them.
_needless = re.compile(r"(?<![\w\0])\(([\w.\0]+(?:\([\w.\0]*\))*)\)")


def conjuncts(conditions: list[Est]) -> Iterator[Est]:
    """Give the expressions that must all hold, in their order."""
    for condition in conditions:
        body = condition["body"]
        if condition["kind"] == "unless":
            yield {"!": {"arg": body}}
        else:
            yield from _split(body)


def _split(body: Est) -> Iterator[Est]:
    operands = body.get("&&")
    if isinstance(operands, dict):
        yield from _split(operands["left"])
        yield from _split(operands["right"])
    else:
        yield body


def text_of(expression: Est) -> str:
    """Write an expression as a person would, nearly: with fewer parentheses than Cedar."""
    text = cedar.condition_text(expression)
    literals = _literal.findall(text)
    text = _literal.sub("\0", text)
    before = ""
    while before != text:
        before, text = text, _needless.sub(r"\1", text)
    pieces = iter(literals)
    return re.sub("\0", lambda _: next(pieces), text)


def paths(node: object) -> Iterator[tuple[str, ...]]:
    """Give what an expression looks at: `("context", "args", "path")`, …."""
    if isinstance(node, list):
        for child in node:
            yield from paths(child)
    elif isinstance(node, dict):
        path = _path(node)
        if path is not None:
            yield path
        else:
            for child in node.values():
                yield from paths(child)


def _path(node: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Give the path of a variable, of an attribute, or of the attribute asked for."""
    variable = node.get("Var")
    if isinstance(variable, str):
        return (variable,)
    inner = node.get(".") or node.get("has")
    if not isinstance(inner, dict) or not isinstance(inner.get("attr"), str):
        return None
    left = inner.get("left")
    path = _path(left) if isinstance(left, dict) else None
    return None if path is None else (*path, inner["attr"])
