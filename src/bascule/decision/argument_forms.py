"""How an argument is to be spelt: as a path, a URL, a host, a name, or just as it came.

Who configures a connector can say it. Else the schema's `format` does, or what policies
compare the argument with, or its name. Only arguments that policies read have a form at
all; others go as they came.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bascule.config.model import ArgumentForm
from bascule.decision.argument_reads import Place, Read
from bascule.decision.argument_shapes import Shape
from bascule.decision.canonical import (
    AmbiguousError,
    canonical_caseless,
    canonical_host,
    canonical_name,
    canonical_path,
    canonical_url,
)

_BY_FORMAT: Mapping[str, ArgumentForm] = {
    "uri": "url",
    "iri": "url",
    "hostname": "host",
    "idn-hostname": "host",
    "ipv4": "host",
    "ipv6": "host",
}
_BY_WORD: Mapping[str, ArgumentForm] = {
    **dict.fromkeys(
        ("path", "paths", "file", "files", "filename", "filepath", "dir", "directory"),
        "path",
    ),
    **dict.fromkeys(("folder", "cwd"), "path"),
    **dict.fromkeys(("url", "urls", "uri", "uris", "href"), "url"),
    **dict.fromkeys(("host", "hosts", "hostname", "domain", "domains"), "host"),
}
_PATHS: Mapping[bool | None, Callable[[str], str]] = {
    absolute: partial(canonical_path, absolute=absolute) for absolute in (None, True, False)
}
"""One for all tools, so that forms which are the same are equal."""
_words = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_url_like = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class Form:
    """How the text at one place is spelt."""

    place: Place
    canonical: Callable[[str], str]
    """Raises `AmbiguousError`."""
    kind: ArgumentForm


def forms(
    reads: Iterable[Read],
    declared: Mapping[str, ArgumentForm],
    tool: str,
    shape: Shape | None,
) -> tuple[Form, ...]:
    """Give the form of each argument of a tool that policies compare.

    `declared`: by `TOOL/ARGUMENT` or `ARGUMENT`; members of objects with dots between.
    """
    by_place: dict[Place, list[Read]] = {}
    for it in reads:
        by_place.setdefault(it.place, []).append(it)
    found = []
    for place, uses in sorted(by_place.items()):
        name = ".".join(place)
        kind = declared.get(f"{tool}/{name}") or declared.get(name)
        kind = kind or _by_format(_at(shape, place)) or _guessed(place, uses)
        if kind != "text":
            found.append(Form(place, _canonical(kind, uses), kind))
    return tuple(found)


def _by_format(shape: Shape | None) -> ArgumentForm | None:
    if shape is None:
        return None
    said = shape.formats | (shape.item[0].formats if "array" in shape.kinds else set())
    return next((_BY_FORMAT[it] for it in sorted(said) if it in _BY_FORMAT), None)


def _at(shape: Shape | None, place: Place) -> Shape | None:
    for name in place:
        if shape is None or name not in shape.names:
            return None
        shape = shape.member(name)[0]
    return shape


def _guessed(place: Place, uses: list[Read]) -> ArgumentForm:
    literals = [text for use in uses for text in use.literals]
    if any(_url_like.match(text) for text in literals):
        return "url"
    if any(text.startswith("/") for text in literals):
        return "path"
    for word in reversed(_words.findall(place[-1])):
        if word.lower() in _BY_WORD:
            return _BY_WORD[word.lower()]
    return "text" if not literals or any(use.likes for use in uses) else "name"


def _canonical(kind: ArgumentForm, uses: list[Read]) -> Callable[[str], str]:
    match kind:
        case "path":
            heads = {text.startswith("/") for use in uses for text in use.literals if text}
            # Policies that speak of absolute paths say nothing of relative ones.
            absolute = next(iter(heads)) if len(heads) == 1 else None
            return _PATHS[absolute]
        case "url":
            return canonical_url
        case "host":
            return canonical_host
        case "nocase":
            return canonical_caseless
        case "name":
            return canonical_name
        case "text":
            return str


def rewritten(arguments: Mapping[str, Any], wanted: Iterable[Form]) -> Mapping[str, Any]:
    """Give arguments in their forms: the very same object when they are so already.

    Raises `AmbiguousError`, with the place.
    """
    for form in wanted:
        try:
            arguments = _rewritten(arguments, form.place, form.canonical)
        except AmbiguousError as exc:
            message = f"`{'.'.join(form.place)[:100]}` {exc}"
            raise AmbiguousError(message) from exc
    return arguments


def _rewritten(value: Any, place: Place, canonical: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        items = [_rewritten(it, place, canonical) for it in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else items
    if not place:
        if not isinstance(value, str):
            return value
        found = canonical(value)
        return value if found == value else found
    if not isinstance(value, dict) or place[0] not in value:
        return value
    inner = _rewritten(value[place[0]], place[1:], canonical)
    return value if inner is value[place[0]] else {**value, place[0]: inner}
