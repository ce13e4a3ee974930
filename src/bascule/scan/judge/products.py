"""Products with published holes, known by their own word or by what they answer."""

from __future__ import annotations

from bascule.scan import eras, incidents
from bascule.scan.exchange import WireError
from bascule.scan.finding import Finding, found
from bascule.scan.judge.documents import clipped
from bascule.scan.judge.legs import Verdict, named
from bascule.scan.place import Place
from bascule.scan.probed import Identity
from bascule.scan.rules import serving as rules
from bascule.scan.target import shown
from bascule.scan.wire import Wire

_PACKAGES = {"Playwright": "@playwright/mcp"}
"""Package at npm by `serverInfo.name`, where that is not the package's name.

The SDK for Python gives its own version where a server has none, so that names of PyPI say
too little."""


async def judge_product(_: Wire, identity: Identity) -> Verdict:
    """Hold the name and version that a server gives against known incidents."""
    package = _PACKAGES.get(identity.name, identity.name)
    return [
        found(
            rules.KNOWN_VULNERABLE,
            named(identity),
            f"it says it is {clipped(identity.name)} {clipped(identity.version)}, which "
            f"has {it.id} ({it.cause})",
            key=it.id,
            fix=f"Update it to {it.fixed or 'a version without it'}, or switch it off.",
        )
        for it in incidents.about("npm", package)
        if it.layer == "server"
        and incidents.affects(it, "npm", package, identity.version) is True
    ]


async def inspector(wire: Wire, place: Place) -> list[Finding]:
    """Find the proxy of MCP Inspector that asks for no token (CVE-2025-49596).

    It speaks no MCP by itself, and starts what it is told to. It is known by its settings;
    these hold environment variables, and nothing of them is kept.
    """
    try:
        answered = await wire.ask(place, "GET", "/config", {"Accept": "application/json"})
    except WireError:
        return []
    settings = eras.read_object(answered.body) or {}
    is_it = isinstance(settings.get("defaultEnvironment"), dict)
    if answered.status != 200 or not is_it or "defaultArgs" not in settings:
        return []
    seen = "`GET /config` gives the settings of MCP Inspector's proxy without a token"
    return [found(rules.INSPECTOR_OPEN, shown(f"{place.origin}/"), seen)]
