"""Rules about sets of servers that one client shows to one model."""

from __future__ import annotations

from bascule.scan.rule import Rule

COLLISION = Rule(
    id="set-name-collision",
    severity="low",
    promise="approved",
    title="Tools of several servers have one name",
    why="The model calls one of them where the user means the other: whoever can add a"
    " server takes over calls, arguments and results.",
    fix="Remove one of the servers, or serve them through Bascule's /mcp, which puts the"
    " connector's name before each tool.",
    owasp=("MCP03", "MCP09"),
    agentic=("ASI02",),
    safe_mcp=("SAFE-T1008",),
    cosai=("MCP-T4",),
    cwe=(694,),
)
LOOKS_ALIKE = Rule(
    id="set-look-alike-names",
    severity="low",
    promise="approved",
    title="Tools of several servers have names that look alike",
    why="Neither people nor models tell them apart; a copy waits to be taken for the"
    " other.",
    fix="Find out which of the servers is the one that you mean, and remove the other.",
    owasp=("MCP03",),
    agentic=("ASI02",),
    safe_mcp=("SAFE-T1004", "SAFE-T1008"),
    cosai=("MCP-T4",),
    cwe=(1007,),
)
NAMES_ANOTHER = Rule(
    id="set-names-another-server",
    severity="low",
    promise="approved",
    title="A definition speaks of another server's tool by its name",
    why="A server that says how another one's tools are to be used governs calls that never"
    " reach it. It is high where the definition is suspicious besides.",
    fix="Read the sentence; do not use the servers together unless it is harmless.",
    owasp=("MCP03", "MCP06"),
    agentic=("ASI01", "ASI02"),
    safe_mcp=("SAFE-T1008",),
    cosai=("MCP-T4",),
    cwe=(1427,),
)
TOXIC = Rule(
    id="set-toxic-combination",
    severity="info",
    promise="entitled",
    title="One agent can read private data and strangers' words, and send things out",
    why="Whoever wrote what the agent reads can tell it to send your data out; no single"
    " tool is wrong, and no filter on texts stops it.",
    fix="Give the three to different agents, or close the path between them with a flow"
    " (docs/explanation/flows.md).",
    owasp=("MCP06", "MCP10"),
    agentic=("ASI01", "ASI02"),
    safe_mcp=("SAFE-T1703", "SAFE-T1911"),
    cosai=("MCP-T3",),
    cwe=(200,),
)

RULES: tuple[Rule, ...] = (COLLISION, LOOKS_ALIKE, NAMES_ANOTHER, TOXIC)
