"""JSON with comments, TOML and YAML into plain values, whatever the bytes are."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import msgspec

from bascule.errors import BasculeError
from bascule.scan.clients import Format

DEEPEST = 64
"""Levels of a value."""
MOST_NODES = 200_000
"""Of a YAML document, each alias counted as what it stands for."""

_DOTTED = re.compile(r"(?<![\w\"'-])(?:[\"']?[\w-]++[\"']?\s*+\.\s*+){16}")
"""A key of so many parts costs their square."""
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


class UnparsableError(BasculeError):
    """The bytes are not of the format; nothing of them is in the message."""


def parse(data: bytes, format: Format) -> tuple[str, object]:
    """Give the text and its value; None for a text of nothing but space.

    Raises `UnparsableError`, and nothing else, for any bytes.
    """
    text = _text(data)
    if not text.strip():
        return text, None
    if "\0" in text:
        raise UnparsableError("it holds null characters, and is no text")
    try:
        return text, _PARSERS[format](text)
    except RecursionError as exc:
        raise UnparsableError("it is nested too deep") from exc


def _text(data: bytes) -> str:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as exc:
        raise UnparsableError("it is no text in UTF-8") from exc


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        pass
    try:
        return json.loads(text)  # as clients do: halves of characters are let through
    except ValueError:
        return _json_for_people(text)


def _json_for_people(text: str) -> object:
    """Read JSON with comments and trailing commas."""
    import pyjson5  # here: few files need it

    try:
        return pyjson5.decode(text, maxdepth=DEEPEST)
    except pyjson5.Json5NestingTooDeep as exc:
        raise UnparsableError("it is nested too deep") from exc
    except pyjson5.Json5EOF as exc:
        raise UnparsableError("it is no JSON: it ends in the middle") from exc
    except (pyjson5.Json5Exception, ValueError, OverflowError) as exc:
        raise UnparsableError("it is no JSON") from exc


def _toml(text: str) -> object:
    if _DOTTED.search(text):
        raise UnparsableError("it is nested too deep")
    try:
        return tomllib.loads(text)
    except ValueError as exc:
        raise UnparsableError("it is no TOML") from exc


def _yaml(text: str) -> object:
    import yaml  # here: few files need it

    loader = yaml.CSafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _weigh(node, {}, 0)
        return loader.construct_document(node)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f", in line {mark.line + 1}" if mark is not None else ""
        raise UnparsableError(f"it is no YAML that holds data alone{where}") from exc
    except (ValueError, TypeError, OverflowError, AttributeError) as exc:
        # Times and numbers that are none; keys that cannot be keys.
        raise UnparsableError("it is no YAML that holds data alone") from exc
    finally:
        loader.dispose()


def _weigh(node: Any, known: dict[int, int | None], depth: int) -> int:
    """Count nodes as if each alias were written out, before anything is made of them.

    Merged keys are copied when values are made, so that a few lines could make billions.
    """
    weight = known.get(id(node), 0)
    if weight is None:
        raise UnparsableError("it has an anchor within itself")
    if weight:
        return weight
    if depth > DEEPEST:
        raise UnparsableError("it is nested too deep")
    known[id(node)] = None
    weight = 1
    for child in node.value if isinstance(node.value, list) else ():
        for each in child if isinstance(child, tuple) else (child,):
            weight += _weigh(each, known, depth + 1)
    if weight > MOST_NODES:
        raise UnparsableError("its aliases stand for too much")
    known[id(node)] = weight
    return weight


_PARSERS = {"json": _json, "jsonc": _json, "toml": _toml, "yaml": _yaml}
