"""What a server's definitions say to models: read where it lists them to anybody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bascule.scan.finding import Finding
from bascule.scan.judge.legs import Verdict, named
from bascule.scan.probed import Identity
from bascule.scan.text.findings import findings
from bascule.scan.text.judge import judge
from bascule.scan.wire import Wire

_LISTS = {
    "tools/list": "name",
    "prompts/list": "name",
    "resources/templates/list": "uriTemplate",
}


async def judge_definitions(_: Wire, identity: Identity) -> Verdict:
    """Judge the texts of all that a server listed; nothing is sent for it."""
    return [
        finding
        for what, definition in _definitions(identity)
        for finding in _findings(identity, what, definition)
    ]


def _definitions(identity: Identity) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if identity.instructions:
        yield "instructions", {"name": "", "instructions": identity.instructions}
    for method, key in _LISTS.items():
        for definition in identity.lists.get(method, ()):
            yield str(definition.get(key, "")), definition


def _findings(
    identity: Identity, what: str, definition: Mapping[str, Any]
) -> Iterator[Finding]:
    siblings = [str(it.get("name", "")) for it in identity.lists.get("tools/list", ())]
    yield from findings(judge(definition, siblings), named(identity), what)
