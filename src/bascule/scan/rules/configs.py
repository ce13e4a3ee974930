"""Rules about client configurations."""

from __future__ import annotations

from bascule.scan.rule import Rule

FLOATING_VERSION = Rule(
    id="floating-version",
    severity="medium",
    promise="approved",
    title="No exact version of the server is named",
    why="The registry decides at each start what runs. Who takes over the package, or "
    "only publishes a bad release, runs code as this user the next time the client "
    "starts.",
    fix="Name the exact version (`npx -y PKG@1.2.3`, `uvx PKG==1.2.3`, an image's "
    "`@sha256:…`), or let Bascule lock it: `bascule add NAME -- COMMAND`.",
    owasp=("MCP04",),
    agentic=("ASI04",),
    safe_mcp=("SAFE-T1002", "SAFE-T1201"),
    cosai=("MCP-T11",),
    cwe=(494, 1357),
)
PLAIN_SECRET = Rule(
    id="plain-secret",
    severity="high",
    promise="known",
    title="A secret stands in the file in plain text",
    why="Whatever reads the file has the secret: each program of this user, a backup, a "
    "repository it is committed to, and every agent that may read files.",
    fix="Revoke it and take a new one; refer to it by `${NAME}` or the client's prompt "
    "for inputs, or give it to Bascule, which keeps it from the client: `credential` "
    "of a connector.",
    owasp=("MCP01",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1502",),
    cosai=("MCP-T1", "MCP-T5"),
    cwe=(256, 798),
)
AUTO_APPROVE = Rule(
    id="auto-approve",
    severity="medium",
    promise="entitled",
    title="Tools are called without a question",
    why="What a model is talked into by a page or a ticket it then does at once: no "
    "person sees the call before it happens.",
    fix="Take the tools off the list, or leave only those that read; what may be called "
    "without a question belongs into a role of Bascule.",
    owasp=("MCP02",),
    agentic=("ASI02", "ASI09"),
    safe_mcp=("SAFE-T1104", "SAFE-T1403"),
    cosai=("MCP-T2", "MCP-T9"),
    cwe=(862,),
)
CONFIGURED_CLEARTEXT = Rule(
    id="configured-cleartext",
    severity="high",
    promise="known",
    title="The client calls a server beyond this machine without TLS",
    why="Everybody on the way reads the token and all data, and can answer in the "
    "server's place.",
    fix="Use the server's `https` address; where it has none, put Bascule or a proxy with"
    " a certificate in front of it.",
    owasp=("MCP07",),
    agentic=("ASI07",),
    safe_mcp=("SAFE-T1404", "SAFE-T1407"),
    cosai=("MCP-T7",),
    cwe=(319,),
)
PRIVILEGED_CONTAINER = Rule(
    id="privileged-container",
    severity="high",
    promise="bounded",
    title="The server's container can do what the host can",
    why="The container bounds nothing: whoever controls the server, or tells it what to "
    "do, controls this machine.",
    fix="Take the option away; mount only the folder that the server needs, read-only "
    "where that will do.",
    owasp=("MCP02",),
    agentic=("ASI05",),
    safe_mcp=("SAFE-T1303", "SAFE-T1305"),
    cosai=("MCP-T8", "MCP-T9"),
    cwe=(250,),
)
PROJECT_AUTO_ENABLE = Rule(
    id="project-auto-enable",
    severity="high",
    promise="approved",
    title="Servers of any project start without a question",
    why="A repository that somebody clones brings its own servers, and so its own code, "
    "which runs as this user when the client opens it (CVE-2026-21852).",
    fix="Take `enableAllProjectMcpServers` out, and name in `enabledMcpjsonServers` what "
    "was looked at.",
    owasp=("MCP04", "MCP09"),
    agentic=("ASI04", "ASI05"),
    safe_mcp=("SAFE-T1003", "SAFE-T1206"),
    cosai=("MCP-T6", "MCP-T11"),
    cwe=(829,),
)
SERVERS_IMPORTED = Rule(
    id="servers-imported",
    severity="low",
    promise="approved",
    title="The client takes over servers of other clients' files",
    why="A server that was let into one client starts in this one too, and nobody was "
    "asked here.",
    fix="Switch `chat.mcp.discovery.enabled` off, and name the servers that this client "
    "needs.",
    owasp=("MCP09",),
    agentic=("ASI04",),
    safe_mcp=("SAFE-T1003",),
    cosai=("MCP-T9",),
    cwe=(829,),
)
NOT_THROUGH_BASCULE = Rule(
    id="not-through-bascule",
    severity="low",
    promise="bounded",
    title="The client reaches the server around Bascule",
    why="Nobody decides what may be called there, nothing of it is recorded, and it "
    "cannot be stopped for all at once.",
    fix="Add it (`bascule add NAME …`), and put the connector's address, or `bascule "
    "connect NAME`, into the client's file instead.",
    owasp=("MCP08", "MCP09"),
    agentic=("ASI10",),
    safe_mcp=("SAFE-T1601",),
    cosai=("MCP-T2", "MCP-T12"),
    cwe=(778,),
)
LOOKALIKE_PACKAGE = Rule(
    id="lookalike-package",
    severity="medium",
    promise="approved",
    title="The package has nearly the name of a well-known one",
    why="Packages with such names are published for those who mistype, and run as this "
    "user.",
    fix="Compare the name with the server's documentation; if it is meant, approve it "
    "once under Bascule's lock, which holds its bytes.",
    owasp=("MCP04",),
    agentic=("ASI04",),
    safe_mcp=("SAFE-T1003", "SAFE-T1004"),
    cosai=("MCP-T11",),
    cwe=(1357,),
)
VULNERABLE_VERSION = Rule(
    id="vulnerable-version",
    severity="high",
    promise="approved",
    title="The version has a known vulnerability",
    why="How to attack it is published.",
    fix="Use the version that is named as fixed, or a later one.",
    owasp=("MCP04",),
    agentic=("ASI04",),
    safe_mcp=("SAFE-T1002",),
    cosai=("MCP-T11",),
    cwe=(1395,),
)
MALICIOUS_RELEASE = Rule(
    id="malicious-release",
    severity="critical",
    promise="approved",
    title="The package was published to do harm",
    why="Releases of it were made to steal or to spread; it has had whatever this user "
    "has.",
    fix="Remove it; take every secret that this user has for known to others, and replace"
    " it.",
    owasp=("MCP04",),
    agentic=("ASI04", "ASI10"),
    safe_mcp=("SAFE-T1002", "SAFE-T1003"),
    cosai=("MCP-T11",),
    cwe=(506,),
)
SHELL_COMMAND = Rule(
    id="shell-command",
    severity="medium",
    promise="approved",
    title="A shell runs a text of several commands",
    why="What starts is decided when it starts; nobody can pin it, lock it or tell "
    "whether it changed.",
    fix="Put the program itself and its arguments into the file, without a shell.",
    owasp=("MCP05",),
    agentic=("ASI05",),
    safe_mcp=("SAFE-T1101",),
    cosai=("MCP-T3", "MCP-T6"),
    cwe=(78, 94),
)
CONFIG_WRITABLE = Rule(
    id="config-writable-by-others",
    severity="high",
    promise="approved",
    title="Every user of this machine may write the file",
    why="Whoever writes a command into it has it run as the owner of the file, the next "
    "time the client starts.",
    fix="Take the permission away: `chmod o-w FILE`.",
    owasp=("MCP02", "MCP09"),
    agentic=("ASI05",),
    safe_mcp=("SAFE-T1206",),
    cosai=("MCP-T6", "MCP-T9"),
    cwe=(732,),
)
TLS_UNVERIFIED = Rule(
    id="tls-unverified",
    severity="high",
    promise="known",
    title="Certificates are not checked",
    why="Anybody on the way can answer in the place of the server or of the registry, and"
    " read what is sent.",
    fix="Take the setting away; let the program trust the authority that signed the "
    "certificate (`NODE_EXTRA_CA_CERTS`, `SSL_CERT_FILE`).",
    owasp=("MCP07",),
    agentic=("ASI07",),
    safe_mcp=("SAFE-T1404", "SAFE-T1407"),
    cosai=("MCP-T7",),
    cwe=(295,),
)
LISTENS_BEYOND = Rule(
    id="configured-to-listen-beyond",
    severity="medium",
    promise="bounded",
    title="The server is told to listen beyond this machine",
    why="Who is in the same network can call it, past the client and its questions.",
    fix="Let it listen on 127.0.0.1; who is elsewhere comes through Bascule.",
    owasp=("MCP07", "MCP09"),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T8",),
    cwe=(668, 1327),
)
CLIENT_CONFIG_CHANGED = Rule(
    id="client-config-changed",
    severity="medium",
    promise="approved",
    title="A client's server is another than at the last scan",
    why="Programs write servers into clients' files, and so does malware; the client "
    "starts them without telling that they are new.",
    fix="If nobody here meant it, take it out, and find out what wrote it; the next scan "
    "takes what is there now for known.",
    owasp=("MCP09",),
    agentic=("ASI04", "ASI10"),
    safe_mcp=("SAFE-T1201", "SAFE-T1206"),
    cosai=("MCP-T6",),
    cwe=(494,),
)

RULES: tuple[Rule, ...] = (
    FLOATING_VERSION,
    PLAIN_SECRET,
    AUTO_APPROVE,
    CONFIGURED_CLEARTEXT,
    PRIVILEGED_CONTAINER,
    PROJECT_AUTO_ENABLE,
    SERVERS_IMPORTED,
    NOT_THROUGH_BASCULE,
    LOOKALIKE_PACKAGE,
    VULNERABLE_VERSION,
    MALICIOUS_RELEASE,
    SHELL_COMMAND,
    CONFIG_WRITABLE,
    TLS_UNVERIFIED,
    LISTENS_BEYOND,
    CLIENT_CONFIG_CHANGED,
)
