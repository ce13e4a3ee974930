"""Rules about what a server answers to whom it does not know."""

from __future__ import annotations

from bascule.scan.rule import Rule

OPEN_SERVER = Rule(
    id="open-server",
    severity="critical",
    promise="known",
    title="The MCP server answers without a token",
    why=(
        "Whoever reaches it lists its tools and may call them, with all that the server "
        "may do, and nothing tells who it was. On loopback that is each program and each "
        "user of the machine; beyond, it is the network."
    ),
    fix=(
        "Put it behind Bascule (`bascule add NAME URL`), let it listen where Bascule alone "
        "reaches it (127.0.0.1, a Unix socket, a network of its own), and make it ask for "
        "a token."
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T1",),
    cwe=(306,),
)

DISCOVERY_OPEN = Rule(
    id="discovery-open",
    severity="medium",
    promise="known",
    title="The MCP server says what it is without a token",
    why=(
        "Its lists are closed, but strangers learn its name, version, revisions, "
        "capabilities and instructions: what an attack on it needs first."
    ),
    fix=(
        "Ask for a token on every request, `initialize` and `server/discover` included: "
        "answer 401 with `WWW-Authenticate` before the body is looked at."
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1604", "SAFE-T1605"),
    cosai=("MCP-T1",),
    cwe=(306,),
)

TLS_NOT_TRUSTED = Rule(
    id="tls-not-trusted",
    severity="medium",
    promise="known",
    title="The certificate is not trusted for that name",
    why=(
        "A client that insists on a good certificate cannot use the server; one that does "
        "not insist cannot tell the server from somebody in between, who then reads the "
        "tokens."
    ),
    fix=(
        "Serve a certificate for the name that clients use, from an authority that they "
        "trust; for one of your own, give it to the clients and to the scan "
        "(`SSL_CERT_FILE`)."
    ),
    owasp=("MCP07",),
    agentic=("ASI07",),
    safe_mcp=("SAFE-T1004",),
    cosai=("MCP-T7",),
    cwe=(295,),
)

REDIRECTS_INWARD = Rule(
    id="redirects-inward",
    severity="high",
    promise="bounded",
    title="The server sends its callers to an inner address",
    why=(
        "A client or gateway that follows it asks, from where it stands, a metadata "
        "service or a host of its own network, perhaps with the token that was meant for "
        "the server."
    ),
    fix=(
        "Find out why it answers so: that is how a server under foreign control attacks "
        "its callers. Do not follow redirects of MCP servers."
    ),
    owasp=("MCP05",),
    agentic=("ASI02",),
    safe_mcp=("SAFE-T1704",),
    cosai=("MCP-T8",),
    cwe=(918,),
)

ENDPOINT_ELSEWHERE = Rule(
    id="endpoint-elsewhere",
    severity="high",
    promise="bounded",
    title="The stream sends messages to another origin",
    why=(
        "A client of HTTP+SSE posts what it has to say where the `endpoint` event tells "
        "it to. This one tells it another host, which then gets messages and tokens."
    ),
    fix=(
        "Name a path of the same origin in the `endpoint` event, and use clients that "
        "refuse another; better, move to streamable HTTP."
    ),
    owasp=("MCP07",),
    agentic=("ASI07",),
    safe_mcp=("SAFE-T1407",),
    cosai=("MCP-T7",),
    cwe=(601,),
)

RULES: tuple[Rule, ...] = (
    OPEN_SERVER,
    DISCOVERY_OPEN,
    TLS_NOT_TRUSTED,
    REDIRECTS_INWARD,
    ENDPOINT_ELSEWHERE,
)
