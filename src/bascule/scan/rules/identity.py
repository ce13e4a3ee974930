"""Rules about how a server knows who asks."""

from __future__ import annotations

from bascule.scan.rule import Rule

GARBAGE_BEARER = Rule(
    id="garbage-bearer-accepted",
    severity="critical",
    promise="known",
    title="The server takes any bearer token",
    why=(
        "It asks for a token and then does not look at it: whoever reaches it and sends a "
        "word in the right header is let in as if known, and nothing says who that was."
    ),
    fix=(
        "Verify each token before anything else is done with a request: signature, issuer, "
        "expiry and audience; or let the server be reached through Bascule alone, which "
        "does."
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T1",),
    cwe=(287,),
)

UNVERIFIED_TOKEN = Rule(
    id="unverified-token-accepted",
    severity="critical",
    promise="known",
    title="The server takes a token that no issuer of its own has signed",
    why=(
        "It reads what a token says and does not check who signed it: anyone can write one "
        "with the user and the rights they like."
    ),
    fix=(
        "Verify the signature with the keys of the one issuer that you trust, from a list "
        "of asymmetric algorithms without `none`, and refuse a token whose `aud` is not "
        "exactly this server's resource identifier (RFC 8707, RFC 9068 §4)."
    ),
    owasp=("MCP07", "MCP01"),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T1",),
    cwe=(347,),
)

TOKEN_IN_URL = Rule(
    id="token-in-url",
    severity="medium",
    promise="known",
    title="The token stands in the URL",
    why=(
        "URLs are kept where secrets are not: in logs of servers and proxies, in "
        "histories, in error reports. Who reads one of those has the token."
    ),
    fix=(
        "Send the token in the header `Authorization: Bearer …` alone, take it from "
        "nowhere else (MCP authorization; RFC 9700 §2.1), and replace the token that stood "
        "there."
    ),
    owasp=("MCP01",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T1", "MCP-T5"),
    cwe=(598,),
)

NO_RESOURCE_METADATA = Rule(
    id="no-resource-metadata",
    severity="low",
    promise="known",
    title="The server asks for a token, and does not say who issues it",
    why=(
        "Clients cannot log their user in: what remains are long-lived keys that are "
        "copied into files, shared, and belong to nobody in particular."
    ),
    fix=(
        "Serve OAuth protected resource metadata (RFC 9728) at the well-known address of "
        "this URL with at least one of `authorization_servers`, and name it in "
        '`WWW-Authenticate: Bearer resource_metadata="…"`; Bascule does both.'
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    cosai=("MCP-T1",),
    cwe=(1390,),
)

RESOURCE_MISMATCH = Rule(
    id="resource-mismatch",
    severity="medium",
    promise="known",
    title="The metadata are those of another resource",
    why=(
        "Clients that check refuse to log in; those that do not get a token for another "
        "resource and bring it here, so that this server can use it there (RFC 9728 §7.3)."
    ),
    fix=(
        "Make `resource` the very URL that clients connect to, from configuration and "
        "never from the Host header."
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1009",),
    cosai=("MCP-T1",),
    cwe=(346,),
)

ISSUER_MISMATCH = Rule(
    id="issuer-mismatch",
    severity="medium",
    promise="known",
    title="The authorization server says it is another one",
    why=(
        "`issuer` is what tells one authorization server from another. Where it differs "
        "from the address that was asked, answers of a hostile one pass as those of an "
        "honest one."
    ),
    fix=(
        "Serve metadata whose `issuer` is character by character what the resource names "
        "in `authorization_servers` (RFC 8414 §3.3)."
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1009",),
    cosai=("MCP-T1",),
    cwe=(346,),
)

METADATA_POINTS_INWARD = Rule(
    id="metadata-points-inward",
    severity="high",
    promise="bounded",
    title="The metadata send clients to an internal address",
    why=(
        "Clients fetch what the metadata name. A server that names an address of the "
        "cloud's metadata service, of loopback or of a private network uses them to reach "
        "what it cannot reach itself (server-side request forgery)."
    ),
    fix=(
        "Name public https addresses in the metadata of a public server. If you do not run "
        "this server, do not connect clients to it."
    ),
    owasp=("MCP07", "MCP09"),
    agentic=("ASI04",),
    safe_mcp=("SAFE-T1007",),
    cosai=("MCP-T9",),
    cwe=(918,),
)

METADATA_NOT_WEB = Rule(
    id="metadata-not-a-web-address",
    severity="high",
    promise="bounded",
    title="The metadata name something that is no web address",
    why=(
        "Clients open what the metadata name in a browser, some by way of a shell: a "
        "script or a command in its place runs on the user's machine (as in "
        "CVE-2025-6514)."
    ),
    fix=(
        "Name https URLs and nothing else. If you do not run this server, do not connect "
        "clients to it."
    ),
    owasp=("MCP05",),
    agentic=("ASI05",),
    safe_mcp=("SAFE-T1007",),
    cosai=("MCP-T3",),
    cwe=(78,),
)

METADATA_CLEARTEXT = Rule(
    id="metadata-cleartext",
    severity="high",
    promise="known",
    title="Tokens are asked for without TLS",
    why=(
        "Who is on the way reads codes and tokens at the authorization server's endpoints, "
        "or puts endpoints of their own in their place."
    ),
    fix="Serve the authorization server, its metadata and all of its endpoints by https.",
    owasp=("MCP07",),
    agentic=("ASI03",),
    cosai=("MCP-T7",),
    cwe=(319,),
)

NO_PKCE = Rule(
    id="no-pkce",
    severity="medium",
    promise="known",
    title="The authorization server does not offer PKCE with S256",
    why=(
        "A code that leaks on its way back (a log, another program's redirect, a history) "
        "is enough to get the user's token. MCP clients must refuse to go on."
    ),
    fix=(
        "Require PKCE, and say so: `code_challenge_methods_supported` with `S256` and "
        "without `plain` (OAuth 2.1 §7.5)."
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1007",),
    cosai=("MCP-T1",),
    cwe=(345,),
)

OPEN_REGISTRATION = Rule(
    id="open-registration",
    severity="low",
    promise="known",
    title="Strangers get as far as registering a client",
    why=(
        "A stranger registers a client with the name of one that people know, and asks "
        "users for consent under it."
    ),
    fix=(
        "Register clients beforehand or take client id metadata documents; otherwise ask "
        "for an initial access token at the registration endpoint (RFC 7591 §3)."
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1007",),
    cosai=("MCP-T1",),
    cwe=(306,),
)

WIDE_SCOPES = Rule(
    id="wide-scopes",
    severity="medium",
    promise="entitled",
    title="The server tells clients to ask for rights over everything",
    why=(
        "Clients ask for the scopes that a server names. One stolen or misled agent then "
        "holds all that its user may do."
    ),
    fix=(
        "Name the least that is of use in `scopes_supported` and in challenges, and ask "
        "for more with `insufficient_scope` when a call needs it."
    ),
    owasp=("MCP02",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1104",),
    cosai=("MCP-T2",),
    cwe=(250,),
)

OLD_GRANTS = Rule(
    id="old-grants",
    severity="low",
    promise="known",
    title="The authorization server offers grants that OAuth 2.1 has removed",
    why=(
        "The implicit grant puts tokens into URLs; the password grant hands a user's "
        "password to a client."
    ),
    fix="Switch off the grants `implicit` and `password`, and the response type `token`.",
    owasp=("MCP07", "MCP01"),
    agentic=("ASI03",),
    cosai=("MCP-T1",),
    cwe=(522,),
)

NO_ISS_PARAMETER = Rule(
    id="no-iss-parameter",
    severity="low",
    promise="known",
    title="Answers of the authorization server do not say whose they are",
    why=(
        "A client that uses several authorization servers cannot tell their answers apart: "
        "a hostile one can obtain the code of an honest one (mix-up)."
    ),
    fix=(
        "Send `iss` with each authorization response, and say so with "
        "`authorization_response_iss_parameter_supported` (RFC 9207)."
    ),
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1009",),
    cosai=("MCP-T1",),
    cwe=(346,),
)

RULES: tuple[Rule, ...] = (
    GARBAGE_BEARER,
    UNVERIFIED_TOKEN,
    TOKEN_IN_URL,
    NO_RESOURCE_METADATA,
    RESOURCE_MISMATCH,
    ISSUER_MISMATCH,
    METADATA_POINTS_INWARD,
    METADATA_NOT_WEB,
    METADATA_CLEARTEXT,
    NO_PKCE,
    OPEN_REGISTRATION,
    WIDE_SCOPES,
    OLD_GRANTS,
    NO_ISS_PARAMETER,
)
