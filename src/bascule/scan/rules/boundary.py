"""Rules about who reaches a connector, and what it reaches."""

from __future__ import annotations

from bascule.scan.rule import Rule

BYPASS = Rule(
    id="boundary-bypass",
    severity="critical",
    promise="bounded",
    title="The server answers without Bascule",
    why=(
        "Whoever reaches that address uses every tool of the server: no identity, no "
        "right, no approval and no record stands in between."
    ),
    fix=(
        "Have the server demand a credential that Bascule alone has (`credential` of the "
        "connector), and bind it to loopback or to a network where Bascule alone is."
    ),
    owasp=("MCP07", "MCP09"),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T2", "MCP-T8"),
    cwe=(306, 1327),
)
LISTENS = Rule(
    id="boundary-listens",
    severity="high",
    promise="bounded",
    title="A process of a stdio server takes connections",
    why=(
        "A stdio server is spoken to by its pipe, where Bascule stands. A socket is "
        "another way in, which nobody declared and nobody guards."
    ),
    fix=(
        "Lock the connector, so that it runs in a network of its own (`bascule lock "
        "NAME`), or give its command the option that switches the listener off."
    ),
    owasp=("MCP09",),
    agentic=("ASI02",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T8",),
    cwe=(668,),
)
REFUSED = Rule(
    id="boundary-reach-refused",
    severity="medium",
    promise="bounded",
    title="The server wanted to reach what it may not",
    why=(
        "The sandbox refused it. A server that tries another host than it was approved "
        "for sends data somewhere else, fetches code, or was not described in full."
    ),
    fix=(
        "Find out what it wanted there; add HOST:PORT to `boundary.may_reach` and have "
        "that approved, or stop using the server."
    ),
    owasp=("MCP04",),
    agentic=("ASI04",),
    safe_mcp=("SAFE-T1911",),
    cosai=("MCP-T9",),
    cwe=(923,),
)
NAMES_HOST = Rule(
    id="boundary-names-host",
    severity="low",
    promise="bounded",
    title="A tool names a host that the server may not reach",
    why=(
        "What its definitions say it touches and what was declared differ: the tool does "
        "not work, or the declaration is not the whole truth."
    ),
    fix=(
        "Add HOST:PORT to `boundary.may_reach` if the tool needs it, or take the tool out "
        "of the toolsets."
    ),
    owasp=("MCP02",),
    agentic=("ASI02",),
    safe_mcp=("SAFE-T1104",),
    cosai=("MCP-T9",),
    cwe=(923,),
)

RULES: tuple[Rule, ...] = (BYPASS, LISTENS, REFUSED, NAMES_HOST)
