"""What is known of the arguments of a tool beside what policies ask of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from bascule.decision.argument_forms import Form
from bascule.decision.argument_samples import Part, Samples, examples
from bascule.decision.atoms import Kind, Literal, Path
from bascule.decision.domains import BOOLEANS, Limits

_MOST_EXAMPLES = 64
_KINDS: Mapping[str, Kind] = {
    "string": "string",
    "integer": "long",
    "number": "decimal",
    "boolean": "bool",
    "array": "set",
}


@dataclass(frozen=True)
class Known:
    """What is known of arguments beside what policies ask of them."""

    samples: Samples | None
    """Of the approved definition."""
    is_binding: bool
    """Calls whose arguments do not fit it are refused."""
    forms: tuple[Form, ...] = ()
    """How some of them are spelt before policies see them."""

    def form(self, path: Path) -> Form | None:
        """Give how the argument at a path is spelt; None for as it comes."""
        return next((it for it in self.forms if ("args", *it.place) == path), None)

    def requires(self, path: Path) -> bool:
        """Tell whether an argument must be there when what it belongs to is."""
        root, *inner = path
        if root != "args" or not inner or not self._binding:
            return False
        return self._binding.requires(inner)

    def limits(self, path: Path) -> Limits:
        """Give what the schema says of the values at a path."""
        limits = Limits()
        if self.samples is None or path[0] != "args":
            return limits
        parts = self.samples.at(path[1:])
        named = islice((it for part in parts for it in examples(part)), _MOST_EXAMPLES)
        limits.suggested = [it for it in map(_literal, named) if it is not None]
        limits.shortest = max((_bound(part, "minLength", 0) for part in parts), default=0)
        said = (part.get("type") for part in parts)
        limits.kind = next(
            (_KINDS[it] for it in said if isinstance(it, str) and it in _KINDS), None
        )
        if self._binding:
            limits.kind_is_sure = limits.kind is not None
            is_integer = any(part.get("type") == "integer" for part in parts)
            for part in parts:
                _narrow(limits, part, is_integer=is_integer)
        return limits

    @property
    def _binding(self) -> Samples | None:
        """The schema, where what it says excludes calls."""
        samples = self.samples
        return samples if self.is_binding and samples and samples.is_plain else None


def _narrow(limits: Limits, part: Part, *, is_integer: bool) -> None:
    """Take over what a schema says of a value; what policies see fits it too."""
    allowed = _allowed(part, is_integer=is_integer)
    if allowed is not None:
        limits.allowed = allowed if limits.allowed is None else limits.allowed & allowed
    limits.least = max(limits.least, _bound(part, "minimum", limits.least))
    limits.least = max(limits.least, _bound(part, "exclusiveMinimum", limits.least - 1) + 1)
    limits.most = min(limits.most, _bound(part, "maximum", limits.most))
    limits.most = min(limits.most, _bound(part, "exclusiveMaximum", limits.most + 1) - 1)


def _allowed(part: Part, *, is_integer: bool) -> frozenset[Literal] | None:
    """Give the only values there are; other numbers than integers have two spellings."""
    if part.get("type") == "boolean":
        return BOOLEANS
    named = part["enum"] if "enum" in part else [part["const"]] if "const" in part else None
    if not isinstance(named, list) or len(named) > _MOST_EXAMPLES:
        return None
    found = [_literal(it) for it in named]
    if any(it is None or (it.kind == "long" and not is_integer) for it in found):
        return None
    return frozenset(it for it in found if it is not None)


def _bound(part: Part, key: str, otherwise: int) -> int:
    value = part.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _literal(value: object) -> Literal | None:
    match value:
        case bool():
            return Literal("bool", value)
        case int():
            return Literal("long", value)
        case str():
            return Literal("string", value)
        case _:
            return None
