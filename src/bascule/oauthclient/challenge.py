"""What a server that wants a token says about it (`WWW-Authenticate`, RFC 9110 §11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

MAX_CHARACTERS = 8 << 10
"""Of all field lines of an answer; the line that goes beyond is not read, nor others."""
MAX_LINES = 8
SCHEMES = ("bearer", "dpop")
INSUFFICIENT_SCOPE = "insufficient_scope"

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a grammar
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PIECE = re.compile(
    rf"(?P<name>{_TOKEN})[ \t]*=[ \t]*(?P<value>{_QUOTED}|{_TOKEN})(?=[ \t]*(?:,|$))"
    rf"|(?P<scheme>{_TOKEN})(?:[ \t]+(?P<opaque>[A-Za-z0-9._~+/-]+=*)(?=[ \t]*(?:,|$)))?"
    r"(?=[ \t,]|$)",
    re.DOTALL,
)
_BETWEEN = re.compile(r"[ \t,]*")
_SCOPE = re.compile(r"[!#-\[\]-~]+")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge."""

    scheme: str
    """In lower case."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case; of one that stands twice the first."""

    @property
    def error(self) -> str | None:
        """Why the token that was shown is not enough (RFC 6750 §3.1)."""
        return self.parameters.get("error")

    @property
    def resource_metadata(self) -> str | None:
        """Where the resource describes itself (RFC 9728 §5.1); the server chose it."""
        return self.parameters.get("resource_metadata")

    @property
    def scopes(self) -> tuple[str, ...]:
        """All scopes that it asks for, in its order; empty when it names none."""
        found = _SCOPE.findall(self.parameters.get("scope", ""))
        return tuple(dict.fromkeys(found))


def parse_challenges(lines: Iterable[str]) -> tuple[Challenge, ...]:
    """Read the challenges of an answer, one or several on each line, in their order.

    For any text: where a line does not follow the grammar, what stood before counts, and
    what stands behind does not.
    """
    found: list[Challenge] = []
    left = MAX_CHARACTERS
    for line in islice(lines, MAX_LINES):
        left -= len(line)
        if left < 0:
            break
        found += _parse_line(line)
    return tuple(found)


def token_challenge(lines: Iterable[str]) -> Challenge | None:
    """Give the challenge that asks for an OAuth token.

    Of several the first that says where the resource describes itself, else the first.
    """
    wanted = [it for it in parse_challenges(lines) if it.scheme in SCHEMES]
    described = (it for it in wanted if it.resource_metadata is not None)
    return next(described, wanted[0] if wanted else None)


def scope_challenge(lines: Iterable[str]) -> Challenge | None:
    """Give the challenge that says that the token's scopes do not suffice (RFC 6750 §3.1).

    None where none says so: then the refusal is about something else.
    """
    wanted = (it for it in parse_challenges(lines) if it.scheme in SCHEMES)
    return next((it for it in wanted if it.error == INSUFFICIENT_SCOPE), None)


def _parse_line(line: str) -> list[Challenge]:
    found: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(line):
        gap = _BETWEEN.match(line, position)
        position = position if gap is None else gap.end()
        piece = _PIECE.match(line, position)
        if piece is None:
            break
        position = piece.end()
        scheme, name = piece["scheme"], piece["name"]
        if scheme is not None:
            found.append((scheme.lower(), {}))
        elif found:
            found[-1][1].setdefault(name.lower(), _unquoted(piece["value"]))
        else:
            break
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
