"""The lists of threats that rules are mapped to, each in one version.

Only ids and titles: what they mean stands where they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bascule.scan.rule import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Taxonomy:
    """A list of threats of others."""

    name: str
    version: str
    organization: str
    about: str
    uri: str
    titles: Mapping[str, str]
    """Id → title."""
    of: Callable[[Rule], tuple[str, ...]]
    """Gives the ids that a rule is mapped to."""


OWASP_MCP = Taxonomy(
    name="OWASP-MCP-Top-10",
    version="2025-beta",
    organization="OWASP Foundation",
    about="OWASP MCP Top 10, 2025, beta; titles as of April 2026",
    uri="https://owasp.org/www-project-mcp-top-10/",
    titles={
        "MCP01": "Token Mismanagement & Secret Exposure",
        "MCP02": "Privilege Escalation via Scope Creep",
        "MCP03": "Tool Poisoning",
        "MCP04": "Software Supply Chain Attacks & Dependency Tampering",
        "MCP05": "Command Injection & Execution",
        "MCP06": "Intent Flow Subversion",
        "MCP07": "Insufficient Authentication & Authorization",
        "MCP08": "Lack of Audit and Telemetry",
        "MCP09": "Shadow MCP Servers",
        "MCP10": "Context Injection & Over-Sharing",
    },
    of=lambda rule: rule.owasp,
)
OWASP_AGENTIC = Taxonomy(
    name="OWASP-Agentic-Top-10",
    version="2026",
    organization="OWASP GenAI Security Project",
    about="OWASP Top 10 for Agentic Applications for 2026, of December 2025",
    uri="https://genai.owasp.org/resource/owasp-top-10-for-agentic-applications-for-2026/",
    titles={
        "ASI01": "Agent Goal Hijack",
        "ASI02": "Tool Misuse and Exploitation",
        "ASI03": "Identity and Privilege Abuse",
        "ASI04": "Agentic Supply Chain Vulnerabilities",
        "ASI05": "Unexpected Code Execution",
        "ASI06": "Memory & Context Poisoning",
        "ASI07": "Insecure Inter-Agent Communication",
        "ASI08": "Cascading Failures",
        "ASI09": "Human-Agent Trust Exploitation",
        "ASI10": "Rogue Agents",
    },
    of=lambda rule: rule.agentic,
)
SAFE_MCP = Taxonomy(
    name="SAFE-MCP",
    version="2026-05-22",
    organization="OpenSSF",
    about="SAFE-MCP techniques, revision d533c803 of May 2026",
    uri="https://github.com/safe-agentic-framework/safe-mcp",
    titles={
        "SAFE-T1001": "Tool Poisoning Attack (TPA)",
        "SAFE-T1002": "Supply Chain Compromise",
        "SAFE-T1003": "Malicious MCP-Server Distribution",
        "SAFE-T1004": "Server Impersonation / Name-Collision",
        "SAFE-T1005": "Exposed Endpoint Exploit",
        "SAFE-T1006": "User-Social-Engineering Install",
        "SAFE-T1007": "OAuth Authorization Phishing",
        "SAFE-T1008": "Tool Shadowing Attack",
        "SAFE-T1009": "Authorization Server Mix-up",
        "SAFE-T1101": "Command Injection",
        "SAFE-T1102": "Prompt Injection (Multiple Vectors)",
        "SAFE-T1103": "Fake Tool Invocation (Function Spoofing)",
        "SAFE-T1104": "Over-Privileged Tool Abuse",
        "SAFE-T1105": "Path Traversal via File Tool",
        "SAFE-T1106": "Autonomous Loop Exploit",
        "SAFE-T1109": "Debugging Tool Exploitation",
        "SAFE-T1110": "Multimodal Prompt Injection via Images/Audio",
        "SAFE-T1111": "AI Agent CLI Weaponization",
        "SAFE-T1112": "Sampling Request Abuse",
        "SAFE-T1201": "MCP Rug Pull Attack",
        "SAFE-T1202": "OAuth Token Persistence",
        "SAFE-T1203": "Backdoored Server Binary",
        "SAFE-T1204": "Context Memory Implant",
        "SAFE-T1205": "Persistent Tool Redefinition",
        "SAFE-T1206": "Credential Implant in Config",
        "SAFE-T1207": "Hijack Update Mechanism",
        "SAFE-T1301": "Cross-Server Tool Shadowing",
        "SAFE-T1302": "High-Privilege Tool Abuse",
        "SAFE-T1303": "Sandbox Escape via Server Exec",
        "SAFE-T1304": "Credential Relay Chain",
        "SAFE-T1305": "Host OS Priv-Esc (RCE)",
        "SAFE-T1306": "Rogue Authorization Server",
        "SAFE-T1307": "Confused Deputy Attack",
        "SAFE-T1308": "Token Scope Substitution",
        "SAFE-T1309": "Privileged Tool Invocation via Prompt Manipulation",
        "SAFE-T1401": "Line Jumping",
        "SAFE-T1402": "Instruction Steganography",
        "SAFE-T1403": "Consent-Fatigue Exploit",
        "SAFE-T1404": "Response Tampering",
        "SAFE-T1405": "Tool Obfuscation/Renaming",
        "SAFE-T1406": "Metadata Manipulation",
        "SAFE-T1407": "Server Proxy Masquerade",
        "SAFE-T1408": "OAuth Protocol Downgrade",
        "SAFE-T1501": "Full-Schema Poisoning (FSP)",
        "SAFE-T1502": "File-Based Credential Harvest",
        "SAFE-T1503": "Env-Var Scraping",
        "SAFE-T1504": "Token Theft via API Response",
        "SAFE-T1505": "In-Memory Secret Extraction",
        "SAFE-T1506": "Infrastructure Token Theft",
        "SAFE-T1507": "Authorization Code Interception",
        "SAFE-T1601": "MCP Server Enumeration",
        "SAFE-T1602": "Tool Enumeration",
        "SAFE-T1603": "System Prompt Disclosure",
        "SAFE-T1604": "Server Version Enumeration",
        "SAFE-T1605": "Capability Mapping",
        "SAFE-T1606": "Directory Listing via File Tool",
        "SAFE-T1701": "Cross-Tool Contamination",
        "SAFE-T1702": "Shared-Memory Poisoning",
        "SAFE-T1703": "Tool-Chaining Pivot",
        "SAFE-T1704": "Compromised-Server Pivot",
        "SAFE-T1705": "Cross-Agent Instruction Injection",
        "SAFE-T1706": "OAuth Token Pivot Replay",
        "SAFE-T1707": "CSRF Token Relay",
        "SAFE-T1801": "Automated Data Harvesting",
        "SAFE-T1802": "File Collection",
        "SAFE-T1803": "Database Dump",
        "SAFE-T1804": "API Data Harvest",
        "SAFE-T1805": "Context Snapshot Capture",
        "SAFE-T1901": "Outbound Webhook C2",
        "SAFE-T1902": "Covert Channel in Responses",
        "SAFE-T1903": "Malicious Server Control Channel",
        "SAFE-T1904": "Chat-Based Backchannel",
        "SAFE-T1910": "Covert Channel Exfiltration",
        "SAFE-T1911": "Parameter Exfiltration",
        "SAFE-T1912": "Stego Response Exfil",
        "SAFE-T1913": "HTTP POST Exfil",
        "SAFE-T1914": "Tool-to-Tool Exfil",
        "SAFE-T1915": "Cross-Chain Laundering via Bridges/DEXs",
        "SAFE-T2101": "Data Destruction",
        "SAFE-T2102": "Service Disruption",
        "SAFE-T2103": "Code Sabotage",
        "SAFE-T2104": "Fraudulent Transactions",
        "SAFE-T2105": "Disinformation Output",
        "SAFE-T2106": "Context Memory Poisoning via Vector Store Contamination",
        "SAFE-T2107": "AI Model Poisoning via MCP Tool Training Data Contamination",
        "SAFE-T3001": "RAG Backdoor Attack",
    },
    of=lambda rule: rule.safe_mcp,
)
COSAI = Taxonomy(
    name="CoSAI-MCP-Security",
    version="2026-05-29",
    organization="Coalition for Secure AI",
    about="Model Context Protocol (MCP) Security, of January 2026, updated 29 May 2026",
    uri="https://github.com/cosai-oasis/ws4-secure-design-agentic-systems",
    titles={
        "MCP-T1": "Improper Authentication and Identity Management",
        "MCP-T2": "Missing or Improper Access Control",
        "MCP-T3": "Input Validation/Sanitization Failures",
        "MCP-T4": "Input/Instruction Boundary Distinction Failure",
        "MCP-T5": "Inadequate Data Protection and Confidentiality Controls",
        "MCP-T6": "Missing Integrity/Verification Controls",
        "MCP-T7": "Session and Transport Security Failures",
        "MCP-T8": "Network Binding/Isolation Failures",
        "MCP-T9": "Trust Boundary and Privilege Design Failures",
        "MCP-T10": "Resource Management/Rate Limiting Absence",
        "MCP-T11": "Supply Chain and Lifecycle Security Failures",
        "MCP-T12": "Insufficient Logging, Monitoring, and Auditability",
    },
    of=lambda rule: rule.cosai,
)
TAXONOMIES = (OWASP_MCP, OWASP_AGENTIC, SAFE_MCP, COSAI)
