"""What a server's definitions say to models: read where it lists them to anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from bascule.scan.judge.legs import Verdict, named
from bascule.scan.probed import Identity
from bascule.scan.report import Gap
from bascule.scan.text.findings import findings
from bascule.scan.text.served import Kind, Served, judged, of_identity

BUDGET = 512 << 10
"""Characters that are read of one server; some seconds' work."""
_LISTS: dict[str, tuple[Kind, str]] = {
    "tools/list": ("tools", "name"),
    "prompts/list": ("prompts", "name"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate"),
    "resources/list": ("resources", "uri"),
}


async def judge_definitions(_: object, identity: Identity) -> Verdict:
    """Judge the texts of all that a server listed; nothing is sent for it."""
    # In a thread: others are asked meanwhile, and their answers have their time.
    found = await asyncio.to_thread(judged, tuple(_served(identity)), budget=BUDGET)
    said: Verdict = []
    unread = 0
    for it in found:
        if it.verdict is None:
            unread += 1
        else:
            said += findings(it.verdict, named(identity), it.label)
    if unread:
        why = f"it says more than the {BUDGET} characters that are read of one server"
        said.append(Gap(target=named(identity), what=f"{unread} definitions", why=why))
    return said


def _served(identity: Identity) -> Iterator[Served]:
    if identity.instructions:
        yield Served("instructions", "", {"instructions": identity.instructions})
    yield from of_identity({"name": identity.name})
    for method, (kind, key) in _LISTS.items():
        for definition in identity.lists.get(method, ()):
            yield Served(kind, _text(definition, key), definition)


def _text(definition: dict[str, Any], key: str) -> str:
    value = definition.get(key)
    return value if isinstance(value, str) else ""
