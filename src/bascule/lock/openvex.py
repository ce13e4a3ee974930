"""What was found out about advisories, for other tools: OpenVEX 0.2.0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from bascule.clock import UnixTime
from bascule.lock.model import Entry, Finding, digest_of, entry_digest

CONTEXT = "https://openvex.dev/ns/v0.2.0"

JUSTIFICATIONS = frozenset(
    (
        "component_not_present",
        "vulnerable_code_not_present",
        "vulnerable_code_not_in_execute_path",
        "vulnerable_code_cannot_be_controlled_by_adversary",
        "inline_mitigations_already_exist",
    )
)
"""Words that the format has; a justification in other words is an impact statement."""


def openvex(entries: Mapping[str, Entry], *, author: str, now: UnixTime) -> str:
    """Give one document with a statement for each finding of the connectors."""
    statements = [
        _statement(name, entry, finding)
        for name, entry in sorted(entries.items())
        for finding in entry.findings
    ]
    document = {
        "@context": CONTEXT,
        "@id": f"urn:bascule:vex:{digest_of(statements)}",
        "author": author,
        "timestamp": datetime.fromtimestamp(now, UTC).isoformat(),
        "version": 1,
        "statements": statements,
    }
    return msgspec.json.format(msgspec.json.encode(document)).decode() + "\n"


def _statement(name: str, entry: Entry, finding: Finding) -> dict[str, Any]:
    product = {"@id": f"urn:bascule:connector:{name}:{entry_digest(entry)}"}
    statement = {
        "vulnerability": {"name": finding.id},
        "products": [product],
        "status": finding.status,
    }
    return {**statement, **dict(_because(finding))}


def _because(finding: Finding) -> Iterator[tuple[str, str]]:
    """Say why, in the field that the format has for that status."""
    text = finding.justification
    if finding.status == "not_affected":
        if text in JUSTIFICATIONS:
            yield "justification", text
        else:
            yield "impact_statement", text or "not affected"
    elif finding.status == "affected":
        yield "action_statement", text or "no action is known yet"
    elif text:
        yield "status_notes", text
    if finding.until:
        yield "status_notes", f"{text}; until {finding.until}" if text else finding.until
