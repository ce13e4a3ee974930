"""Joining what several clients saw of one server into one document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bascule.lock.definition import (
    Kind,
    UnpinnableError,
    canonical_digest,
    listed_name,
    name_of,
    parse_definition,
)
from bascule.lock.invisible import visible
from bascule.lock.surface import FORMAT, Context, Definitions, Document, identity_of
from bascule.lock.view import CaptureError, View

_Found = dict[str, dict[str, dict[str, Any]]]
"""Definition by name and digest."""


def join(views: Sequence[View], environment: Mapping[str, str]) -> Document:
    """Join views of one server; each different definition of a name is kept.

    What has no digest, and what one client saw twice under one name, is left out and told
    in `refused`. Raises `CaptureError` for definitions without a name.
    """
    openings = [_opening(view) for view in views]
    refused: dict[str, str] = {}
    context = Context(
        environment=dict(environment),
        revisions=tuple(sorted({view.revision for view in views})),
        capabilities=_distinct([dict(view.capabilities) for view in views]),
    )
    return Document(
        format=FORMAT,
        context=context,
        server=_distinct([identity_of(opening) for opening in openings]),
        instructions=_instructions(openings, refused),
        tools=_definitions(views, "tools", refused),
        prompts=_definitions(views, "prompts", refused),
        resource_templates=_definitions(views, "resourceTemplates", refused),
        refused=refused,
    )


def _opening(view: View) -> dict[str, Any]:
    try:
        opening = parse_definition(bytes(view.opening))
        canonical_digest(identity_of(opening))
    except UnpinnableError as exc:
        raise CaptureError(f"what the server says of itself {exc}") from exc
    return opening


def _instructions(
    openings: Sequence[Mapping[str, Any]], refused: dict[str, str]
) -> tuple[str, ...]:
    found = []
    for opening in openings:
        text = opening.get("instructions")
        try:
            if isinstance(text, str):
                canonical_digest(text)
                found.append(text)
        except UnpinnableError as exc:
            refused["instructions"] = str(exc)
    return tuple(sorted(set(found)))


def _definitions(views: Sequence[View], kind: Kind, refused: dict[str, str]) -> Definitions:
    found: _Found = {}
    for view in views:
        names: set[str] = set()
        for raw in view.listed.get(kind, []):
            name = listed_name(bytes(raw), kind)
            if name in names:
                refused[f"{kind}/{visible(name)}"] = "is served twice"
            names.add(name)
            try:
                definition = parse_definition(bytes(raw))
                name_of(definition, kind)
                found.setdefault(name, {})[canonical_digest(definition)] = definition
            except UnpinnableError as exc:
                refused[f"{kind}/{visible(name)}"] = str(exc)
    return {
        name: tuple(definition for _, definition in sorted(each.items()))
        for name, each in sorted(found.items())
        if f"{kind}/{visible(name)}" not in refused
    }


def _distinct(values: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple(
        it for _, it in sorted({canonical_digest(it): it for it in values}.items())
    )
