"""Rules are mapped to lists of others, and to ids that are there."""

from __future__ import annotations

import pytest

from bascule.scan.rule import Rule
from bascule.scan.rules import RULES
from bascule.scan.taxonomies import SAFE_MCP, TAXONOMIES


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda it: it.id)
def test_a_rule_is_mapped_to_what_is_there(rule: Rule) -> None:
    mapped = {it.name: it.of(rule) for it in TAXONOMIES}
    for taxonomy in TAXONOMIES:
        assert set(mapped[taxonomy.name]) <= set(taxonomy.titles)
        assert len(set(mapped[taxonomy.name])) == len(mapped[taxonomy.name])
    assert any(mapped.values()), "no list of threats knows it?"
    assert all(0 < it < 10_000 for it in rule.cwe)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda it: it.id)
def test_a_rule_is_written_for_people(rule: Rule) -> None:
    assert rule.title.isprintable()
    assert not rule.title[0].islower()
    assert not rule.title.endswith(".")
    for sentence in (rule.why, rule.fix):
        assert sentence.isprintable()
        assert sentence.endswith("."), sentence


def test_the_lists_are_whole() -> None:
    counts = {it.name: len(it.titles) for it in TAXONOMIES}
    assert counts["OWASP-MCP-Top-10"] == counts["OWASP-Agentic-Top-10"] == 10
    assert counts["CoSAI-MCP-Security"] == 12
    assert len(SAFE_MCP.titles) == 86
    assert all(it.version and it.uri.startswith("https://") for it in TAXONOMIES)
