"""Whether a policy that reads arguments fits those of one tool."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from bascule.decision import cedar
from bascule.decision.argument_forms import Form
from bascule.decision.argument_reads import Place, Read
from bascule.decision.argument_shapes import Shape
from bascule.decision.argument_types import ESCAPES, cedar_type, is_readable
from bascule.decision.canonical import AmbiguousError
from bascule.decision.policy import Policy

_uneven = re.compile(r"(?<!:)//|/\.{1,2}/")
"""What canonical paths and URLs do not have."""


def complaints(
    policy: Policy, found: Sequence[Read], shape: Shape, forms: Iterable[Form]
) -> Iterator[str]:
    """Say why a policy cannot decide on calls of a tool; nothing when it can.

    `found`: what it reads; `shape` and `forms` are the tool's.
    """
    unreadable = {it.place for it in found if _is_unreadable(shape, it.place)}
    if unreadable:
        yield (
            f"no policy can read {listed(unreadable)}: the input schema lets it be of "
            "several kinds, of any, or contain itself"
        )
        return
    yield from cedar.violations_with(policy.est, cedar_type(shape, policy.arguments))
    for form in forms:
        for read in found:
            if read.place != form.place:
                continue
            yield from _never_like(read) if read.likes else _never_equal(read, form)


def may_be(shape: Shape, place: Place) -> bool:
    """Tell whether there may be something at a place."""
    for depth, name in enumerate(place):
        if name not in shape.names:
            return shape.is_open or (depth > 0 and not shape.names)
        shape = shape.member(name)[0]
    return True


def listed(places: Iterable[Place]) -> str:
    """Write places as a message names them."""
    return ", ".join(f"`{'.'.join(place)}`" for place in sorted(places))


def _is_unreadable(shape: Shape, place: Place) -> bool:
    """Tell whether the schema has something at a place, but nothing that has a type."""
    for name in place:
        if name in ESCAPES:
            return True
        if name not in shape.names:
            return False
        shape = shape.member(name)[0]
    return not is_readable(shape)


def _never_equal(read: Read, form: Form) -> Iterator[str]:
    name = ".".join(read.place)
    for text in read.literals:
        try:
            spelt = form.canonical(text)
        except AmbiguousError as exc:
            yield f"`{name}` is never `{text}`, which {exc}"
            continue
        if spelt != text:
            yield f"`{name}` is never `{text}`: it is compared as `{spelt}`"


def _never_like(read: Read) -> Iterator[str]:
    for text in read.literals:
        if _uneven.search(text):
            name = ".".join(read.place)
            yield f"`{name}` never begins with `{text}`: its path has one spelling"
