"""What is wrong with one server of a client's file; each check is a function of one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bascule.scan.config_files import Document
from bascule.scan.configured import Configured
from bascule.scan.finding import Finding, found
from bascule.scan.rule import Rule, Severity
from bascule.scan.started import Started


@dataclass(frozen=True, slots=True)
class Subject:
    """A server, and what is known of it."""

    server: Configured
    started: Started
    through_bascule: bool | None
    document: Document

    def finding(
        self,
        rule: Rule,
        evidence: str,
        *,
        key: str = "",
        severity: Severity | None = None,
        fix: str | None = None,
    ) -> Finding:
        """Make a finding about this server; `key` tells those of one rule apart."""
        return found(
            rule,
            self.server.target,
            evidence,
            key=f"{self.server.where}\0{key}",
            severity=severity,
            fix=fix,
            path=self.server.path,
            line=line_of(self.document.text, self.server.name),
        )


Check = Callable[[Subject], Iterator[Finding]]


def line_of(text: str, name: str) -> int:
    """Give the line in which a name is first written as a key; 1 when it is nowhere."""
    at = _as_json_key(text, name)
    if at < 0:
        written = re.escape(name)
        match = re.search(
            rf"^\s*(?:-\s*)?(?:name\s*[:=]\s*)?[\"']?{written}[\"']?\s*(?::|$)"
            rf"|\.[\"']?{written}[\"']?\s*\]|[\"']?name[\"']?\s*[:=]\s*[\"']{written}[\"']",
            text,
            re.MULTILINE,
        )
        at = match.start() if match else 0
    return text.count("\n", 0, at) + 1


def _as_json_key(text: str, name: str) -> int:
    quoted = f'"{name}"'
    at = text.find(quoted)
    while at >= 0:
        if text[at + len(quoted) : at + len(quoted) + 40].lstrip().startswith(":"):
            return at
        at = text.find(quoted, at + 1)
    return -1
