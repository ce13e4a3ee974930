"""How long an answer may be kept (RFC 9111)."""

from __future__ import annotations

import re

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SECONDS = re.compile(r"[0-9]{1,10}")


def freshness(cache_control: str, age: str) -> int | None:
    """Give for how many more seconds an answer is fresh; None when it does not say.

    `no-store` and `no-cache` are zero. So is a `max-age` that cannot be read (RFC 9111
    §4.2.1), and of several the least counts. `s-maxage` is for shared caches, not for us.
    """
    plain = _QUOTED.sub(lambda match: match.group(1).replace(",", ";"), cache_control)
    found: list[int] = []
    for directive in plain.split(","):
        name, _, value = directive.partition("=")
        match name.strip().lower():
            case "no-store" | "no-cache":
                return 0
            case "max-age":
                found.append(_seconds(value.strip()))
            case _:
                pass
    return max(0, min(found) - _seconds(age.strip())) if found else None


def _seconds(text: str) -> int:
    return int(text) if _SECONDS.fullmatch(text) is not None else 0
