"""A report of a scan, as ordinary and as hostile as they come."""

from __future__ import annotations

import datetime
from typing import Any

from bascule.clock import UnixTime
from bascule.scan.baseline import Accepted, Compared, compared
from bascule.scan.finding import Finding, found
from bascule.scan.report import Gap, Report, Sent
from bascule.scan.rule import Rule
from bascule.scan.server import Server

TODAY = datetime.date(2026, 11, 30)
NOW = UnixTime(1796000000)
LATER = TODAY + datetime.timedelta(days=30)

OPEN = Rule(
    id="left-open",
    severity="high",
    promise="known",
    title="an MCP server lists without a token",
    why="Whoever reaches it uses its tools, and nobody knows who that was.",
    fix="Put it behind `bascule add`.",
    owasp=("MCP07",),
    agentic=("ASI03",),
    safe_mcp=("SAFE-T1005",),
    cosai=("MCP-T1",),
    cwe=(306,),
)
FLOATING = Rule(
    id="floats",
    severity="medium",
    promise="approved",
    title="a command takes whatever version is newest",
    why="A new release runs without anybody having looked at it.",
    fix="Name one version.",
    owasp=("MCP04",),
    agentic=("ASI04",),
    safe_mcp=("SAFE-T1002",),
    cosai=("MCP-T11",),
    cwe=(1357,),
)
RULES = {rule.id: rule for rule in (OPEN, FLOATING)}

HOSTILE = (
    "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>"
    "\x1b[2J\x1b]0;taken\x07\x9b31m\u202egnp\u2066\U000e0041\x00\r\n::error::taken"
    " `<i>` [click](https://evil.example/) {0} {{1}} ]]> &amp; \\[x\\] =cmd|' /C calc'!A0"
    "\ud800"
)
"""What a server might call itself, for each of those who may read it."""
UNSEEN = frozenset("\x1b\x07\x9b\u202e\u2066\U000e0041\x00\r")


def report(**changes: Any) -> Report:
    """Give a small report of the ordinary kind."""
    parts: dict[str, Any] = {
        "servers": (
            Server(
                name="notes",
                transport="http",
                url="http://10.1.2.3:8080/mcp",
                through_bascule=False,
                known=False,
                auth="none",
                state="open",
                address="10.1.2.3:8080",
            ),
            Server(
                name="time",
                transport="stdio",
                client="cursor",
                path="/home/a/.cursor/mcp.json",
                command=("uvx", "mcp-server-time"),
                pinned=False,
                through_bascule=False,
                known=True,
                state="configured",
            ),
        ),
        "findings": (
            found(OPEN, "http://10.1.2.3:8080/mcp", "tools/list: 3 tools"),
            found(FLOATING, "/home/a/.cursor/mcp.json: time", "uvx mcp-server-time"),
        ),
        "not_assessed": (
            Gap(target="http://10.1.2.3:8080/mcp", what="Origin", why="it hung up"),
        ),
        "requests": (
            Sent(
                at=1.5,
                method="POST",
                url="http://10.1.2.3:8080/mcp",
                address="10.1.2.3:8080",
                status=200,
            ),
        ),
        "scope": ("10.1.2.0/24",),
    }
    return Report(**{**parts, **changes})


def hostile() -> Report:
    """Give a report in which all that others wrote is hostile."""
    return Report(
        servers=(
            Server(
                name=HOSTILE, transport="http", url=HOSTILE, client=HOSTILE, auth="none"
            ),
            Server(name="b", transport="stdio", command=(HOSTILE,), path=HOSTILE),
        ),
        findings=(
            found(OPEN, HOSTILE, HOSTILE, title=HOSTILE, fix=HOSTILE),
            found(FLOATING, f"/home/{HOSTILE}: {HOSTILE}", HOSTILE),
        ),
        not_assessed=(Gap(target=HOSTILE, what=HOSTILE, why=HOSTILE),),
        requests=(Sent(at=0.0, method="GET", url=HOSTILE, address=HOSTILE, status=None),),
        scope=(HOSTILE,),
    )


def accepting(finding: Finding, **changes: Any) -> Accepted:
    """Accept a finding until `LATER`."""
    parts = {it: getattr(finding, it) for it in ("id", "rule", "target", "severity")}
    return Accepted(**{**parts, "reason": "a test bed", "expires": LATER, **changes})


def nothing_accepted(scanned: Report) -> Compared:
    """Hold a report against an empty baseline."""
    return compared(scanned.findings, (), today=TODAY)
