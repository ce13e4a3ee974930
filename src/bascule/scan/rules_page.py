"""The reference page of the rules; `python -m bascule.scan.rules_page` prints it."""

from __future__ import annotations

from collections.abc import Iterator

from bascule.scan.rule import Rule
from bascule.scan.rules import RULES
from bascule.scan.taxonomies import TAXONOMIES, Taxonomy

_HEAD = """\
# Rules of the scanner

<!-- Written by `make docs` from src/bascule/scan/rules/: change the text there. -->

What `bascule scan` looks for. A finding has the severity that stands here unless what was
seen makes it better or worse, and then it says so. An id is never used for anything else
again, so that [baselines](scan-report.md#baselines) stay true.

Rules are related to lists of threats of others, each in one version:

| list | version | |
|---|---|---|
"""


def rules_page() -> str:
    """Give the page as Markdown: a section for each rule, a table for each list."""
    lists = "\n".join(f"| {it.name} | {it.version} | {it.about} |" for it in TAXONOMIES)
    rules = "\n".join(_section(rule) for _, rule in sorted(RULES.items()))
    tables = "\n".join(_table(it) for it in TAXONOMIES)
    return f"{_HEAD}{lists}\n\n{rules}\n{tables}"


def _section(rule: Rule) -> str:
    mapped = [it for taxonomy in TAXONOMIES for it in taxonomy.of(rule)]
    mapped += [f"CWE-{it}" for it in rule.cwe]
    breaks = f"**{rule.severity}**, breaks the promise *{rule.promise}*."
    return (
        f"## `{rule.id}`\n\n{_sentence(rule.title)} {breaks}\n\n{rule.why}\n\n"
        f"**What to do.** {rule.fix}\n\n{', '.join(mapped)}\n"
    )


def _sentence(title: str) -> str:
    return f"{title[:1].upper()}{title[1:].rstrip('.')}."


def _table(taxonomy: Taxonomy) -> str:
    rows = "\n".join(_rows(taxonomy))
    return f"## {taxonomy.name}\n\n| id | threat | rules |\n|---|---|---|\n{rows}\n"


def _rows(taxonomy: Taxonomy) -> Iterator[str]:
    """Give a row for each threat, those that no rule looks for among them."""
    for id, title in taxonomy.titles.items():
        rules = sorted(it.id for it in RULES.values() if id in taxonomy.of(it))
        links = ", ".join(f"[`{it}`](#{it})" for it in rules) or "none"
        yield f"| {id} | {title} | {links} |"


if __name__ == "__main__":
    print(rules_page(), end="")
