"""Rules about how a server serves, whoever asks."""

from __future__ import annotations

from bascule.scan.rule import Rule

CLEARTEXT = Rule(
    id="cleartext",
    severity="high",
    promise="known",
    title="The server speaks without TLS",
    why=(
        "Who is on the way between client and server reads tokens, arguments and results, "
        "and can change them."
    ),
    fix=(
        "Serve https, or let the server listen on loopback alone and put Bascule, with "
        "TLS, in front."
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T7", "MCP-T5"),
    cwe=(319,),
)

WEAK_SESSIONS = Rule(
    id="weak-session-ids",
    severity="medium",
    promise="known",
    title="Session ids can be guessed",
    why=(
        "Who guesses the id of somebody else's session can put messages into it and take "
        "its answers (as in CVE-2025-6515), the more so where the id is all that is asked."
    ),
    fix=(
        "Draw session ids from the operating system's random numbers, 128 bits each, and "
        "accept each from its own user alone."
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T7",),
    cwe=(330, 384),
)

VERSION_DISCLOSED = Rule(
    id="version-disclosed",
    severity="info",
    promise="bounded",
    title="Headers name the software and its version",
    why="Who looks for servers with a known hole finds this one by its version.",
    fix="Leave `Server` and `X-Powered-By` out, or the version in them.",
    owasp=("MCP07",),
    agentic=("ASI04",),
    cosai=("MCP-T8",),
    cwe=(200,),
)

MISMATCH_TOLERATED = Rule(
    id="header-mismatch-tolerated",
    severity="medium",
    promise="entitled",
    title="The server does what the body says when the headers say another thing",
    why=(
        "Proxies and gateways that decide by `Mcp-Method` let a call pass under the name "
        "of a harmless one."
    ),
    fix=(
        "Compare `MCP-Protocol-Version`, `Mcp-Method` and `Mcp-Name` with the body, and "
        "answer 400 with -32020 where they differ (MCP 2026-07-28, streamable HTTP)."
    ),
    owasp=("MCP07",),
    agentic=("ASI02",),
    cosai=("MCP-T9", "MCP-T2"),
    cwe=(436,),
)

KNOWN_VULNERABLE = Rule(
    id="known-vulnerable-product",
    severity="medium",
    promise="approved",
    title="The server says that it is a version with a known hole",
    why="The way to attack it has been published.",
    fix="Update it to the version that is named, or switch it off.",
    owasp=("MCP04",),
    agentic=("ASI04",),
    safe_mcp=("SAFE-T1002",),
    cosai=("MCP-T11",),
    cwe=(1395,),
)

INSPECTOR_OPEN = Rule(
    id="inspector-open",
    severity="critical",
    promise="known",
    title="MCP Inspector's proxy asks for no token",
    why=(
        "It starts whatever command it is told to, with the rights of whoever runs it. Any "
        "web page that is open in a browser on that network can tell it (CVE-2025-49596)."
    ),
    fix=(
        "Stop it, update `@modelcontextprotocol/inspector` to 0.14.1 or newer, and never "
        "set `DANGEROUSLY_OMIT_AUTH`."
    ),
    owasp=("MCP07", "MCP05"),
    agentic=("ASI05",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T1", "MCP-T8"),
    cwe=(306,),
)

RULES: tuple[Rule, ...] = (
    CLEARTEXT,
    WEAK_SESSIONS,
    VERSION_DISCLOSED,
    MISMATCH_TOLERATED,
    KNOWN_VULNERABLE,
    INSPECTOR_OPEN,
)
