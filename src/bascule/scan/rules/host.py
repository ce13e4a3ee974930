"""Rules about what runs and listens on a host."""

from __future__ import annotations

from bascule.scan.rule import Rule

SHADOW_SERVER = Rule(
    id="shadow-server",
    severity="medium",
    promise="approved",
    title="An MCP server listens that nobody has named",
    why=(
        "No client's file and no connector of Bascule names it: nobody has approved what "
        "it runs, nobody sees who calls it, and no revocation reaches it. It may be left "
        "over from a trial, or put there by a package that another server brought along."
    ),
    fix=(
        "Find out who started it (the evidence has the process). Stop it, or have it "
        "approved: `bascule add NAME URL`, and let it listen for Bascule alone."
    ),
    owasp=("MCP09", "MCP08"),
    agentic=("ASI10",),
    safe_mcp=("SAFE-T1003",),
    cosai=("MCP-T11", "MCP-T12"),
    cwe=(1059,),
)

SHADOW_PROCESS = Rule(
    id="shadow-process",
    severity="low",
    promise="approved",
    title="An MCP server runs that nobody has named",
    why=(
        "A program speaks MCP over its standard input and output, and no client's file and "
        "no connector of Bascule says to start it: whatever uses it does so around every "
        "approval and every record."
    ),
    fix=(
        "Find out what started it (the evidence has the process and its parent). Stop it, "
        "or have it approved: `bascule add NAME -- COMMAND…`."
    ),
    owasp=("MCP09", "MCP04"),
    agentic=("ASI10", "ASI04"),
    safe_mcp=("SAFE-T1003",),
    cosai=("MCP-T11", "MCP-T12"),
    cwe=(1059,),
)

EXPOSED_SERVER = Rule(
    id="exposed-server",
    severity="medium",
    promise="bounded",
    title="The MCP server can be reached from other machines",
    why=(
        "It answers on an address of this host that others can connect to. Whatever keeps "
        "them out is its own login alone, and each flaw in that is open to the whole "
        "network."
    ),
    fix=(
        "Let it listen on 127.0.0.1 (and ::1) and put Bascule in front, or allow its port "
        "in the firewall to those networks only that the connector's boundary lists."
    ),
    owasp=("MCP07", "MCP09"),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T7", "MCP-T8"),
    cwe=(668, 1327),
)

RULES = (SHADOW_SERVER, SHADOW_PROCESS, EXPOSED_SERVER)
