"""Rules about web pages that use a visitor's browser to reach a server."""

from __future__ import annotations

from bascule.scan.rule import Rule

HOST_NOT_CHECKED = Rule(
    id="host-not-checked",
    severity="high",
    promise="bounded",
    title="The server answers under any host name",
    why=(
        "Any web page can let its own name point to this address, and then the browser of "
        "whoever opens the page calls the server's tools for it and reads the answers (DNS "
        "rebinding). Listening on loopback or behind a firewall does not help."
    ),
    fix=(
        "Refuse each request whose Host is not on a list of the server's own names, with "
        "421 or 403 and before anything else. SDKs do from: npm "
        "`@modelcontextprotocol/sdk` 1.24.0 (by `createMcpExpressApp`), PyPI `mcp` 1.23.0; "
        "or put Bascule in front."
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T7", "MCP-T8"),
    cwe=(350, 346),
)

ORIGIN_NOT_CHECKED = Rule(
    id="origin-not-checked",
    severity="medium",
    promise="bounded",
    title="The server answers web pages of any origin",
    why=(
        "What a page may send or read then depends on the browser alone. Together with an "
        "unchecked Host, CORS or a lax content type, any page that is open calls the tools."
    ),
    fix=(
        "Answer 403 to each request that has an `Origin` other than those listed, "
        "`null` too, on every path and method of the transport (MCP transports, security)."
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T7",),
    cwe=(346, 1385),
)

CORS_ANY_ORIGIN = Rule(
    id="cors-any-origin",
    severity="high",
    promise="bounded",
    title="Web pages of any origin may call the tools and read the answers",
    why=(
        "The server asks for no token and allows every origin: any page that somebody "
        "behind the same firewall opens can use it through their browser, without any "
        "trick."
    ),
    fix=(
        "Send no `Access-Control-Allow-Origin`, or only those origins that you know, and "
        "ask for a token."
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T7",),
    cwe=(942,),
)

CORS_CREDENTIALS = Rule(
    id="cors-credentials",
    severity="medium",
    promise="bounded",
    title="Web pages of any origin may use the visitor's cookies here",
    why=(
        "The server repeats whatever origin asks and allows credentials: where a login by "
        "cookie or by certificate exists, any page acts with it."
    ),
    fix=(
        "Never send `Access-Control-Allow-Credentials` with an origin that is not on a "
        "list."
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T7",),
    cwe=(942,),
)

NO_PREFLIGHT_NEEDED = Rule(
    id="no-preflight-needed",
    severity="high",
    promise="bounded",
    title="A web page can call tools without asking the browser first",
    why=(
        "The server takes JSON that is sent as plain text, which a browser sends to any "
        "host for any page, without asking the host before (cross-site request forgery). "
        "The page cannot read the answer, and the call is made all the same."
    ),
    fix=(
        "Answer 415 to everything but `Content-Type: application/json`, and 403 to an "
        "`Origin` that is not listed."
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T7",),
    cwe=(352,),
)

RUNS_GET = Rule(
    id="runs-get",
    severity="high",
    promise="bounded",
    title="A link is enough to call a method",
    why=(
        "The server does what the query of a GET says. Every page, mail or image can carry "
        "such a link, and browsers, previews and crawlers follow it."
    ),
    fix="Take messages by POST alone; answer a GET with an event stream or with 405.",
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T7",),
    cwe=(352, 650),
)

RULES: tuple[Rule, ...] = (
    HOST_NOT_CHECKED,
    ORIGIN_NOT_CHECKED,
    CORS_ANY_ORIGIN,
    CORS_CREDENTIALS,
    NO_PREFLIGHT_NEEDED,
    RUNS_GET,
)
