"""A comparison of two entries as a page for people: changed facts only, all of them.

What comes from servers and registries is shown with its invisible characters, and never
shortened: what is left out is where something would hide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from difflib import SequenceMatcher
from typing import Any

import click
from msgspec import UNSET

from bascule.app.comparing import Comparison
from bascule.lock import bridges
from bascule.lock.assessment import Match
from bascule.lock.changes import Change, ChangeClass, DefinitionChange
from bascule.lock.diff import Fact
from bascule.lock.invisible import json_text, quoted, visible
from bascule.lock.package_changes import PackageChange
from bascule.lock.reviews import ReviewCount
from bascule.lock.schema_changes import escaped

CONTEXT = 40
"""Characters around a change in a text that are shown too."""
SHORT = 80
"""Characters of two values that are shown on one line."""
_ALARMING = frozenset(
    {"schema_widened", "instruction_like", "capability", "added", "renamed"}
)
_NAMES: dict[ChangeClass, str] = {
    "schema_widened": "lets more through",
    "instruction_like": "speaks to the model",
    "capability": "can do something else",
    "added": "new",
    "renamed": "renamed",
    "schema_narrowed": "lets less through",
    "removed": "gone",
    "docs": "described differently",
    "cosmetic": "white space",
    "identical": "the same",
}
_SAID = frozenset({"/name", "/uriTemplate"})
"""Of a new definition; stands on its first line."""
_KINDS = {"tools": "tool", "prompts": "prompt", "resourceTemplates": "resource template"}


def page(name: str, found: Comparison) -> str:
    """Write the page."""
    return "\n".join(_lines(name, found))


def _lines(name: str, found: Comparison) -> Iterator[str]:
    diff = found.diff
    yield _verdict_line(name, found)
    launch = [*_facts(diff.launch), *_bridge(found)]
    yield from _section("launch, sandbox, egress, secrets", launch)
    surface = [line for it in diff.definitions for line in _definition(it)]
    yield from _section("surface", [*surface, *_facts(diff.surface)])
    if diff.classes:
        yield from _section("what definitions say", [*_texts(found)])
    if diff.root is not None:
        yield from _section("root package", _package(diff.root))
    packages = [line for it in diff.packages for line in _package(it)]
    yield from _section("packages", packages)
    if diff.root is not None or packages:
        yield from _section("reviews", [*reviews(found.reviews)])
    yield from _section("interpreter and tree", _facts(diff.code))
    if diff.classes:
        yield from _section("advisories", [*_advisories(found)])
    yield from _section("owner and access", _facts(diff.access))
    verdict = found.verdict
    if diff.classes or (verdict is not None and verdict.state != "approved"):
        yield from _section("approval", [*_approval(found)])


def _verdict_line(name: str, found: Comparison) -> str:
    classes = found.diff.classes
    before, after = (it.digest[:12] or "nothing" for it in (found.before, found.after))
    what = ", ".join(_NAMES.get(it, it) for it in classes) or "no differences"  # type: ignore[call-overload]
    return click.style(f"{name}: {before} → {after}: {what}", bold=True)


def _bridge(found: Comparison) -> Iterator[str]:
    """Say that it is a bridge, whatever of it has changed."""
    entry = found.after.entry
    if found.diff.classes and entry is not None and entry.kind == "bridge":
        yield click.style(f"! {visible(bridges.warning(entry))}", fg="yellow")


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield click.style(title, bold=True)
        yield from (f"  {line}" for line in lines)


def _facts(facts: Sequence[Fact]) -> list[str]:
    return [line for fact in facts for line in _fact(fact)]


def _fact(fact: Fact) -> Iterator[str]:
    """Show a fact on one line where it is short."""
    what = visible(fact.what)
    shown = [_shown(it) for it in (fact.before, fact.after) if it is not UNSET]
    if sum(map(len, shown)) > SHORT:
        yield what
        yield from _values(fact.before, fact.after)
    elif fact.before is UNSET:
        yield click.style(f"+ {what}: {shown[0]}", fg="green")
    elif fact.after is UNSET:
        yield click.style(f"- {what}: {shown[0]}", fg="red")
    else:
        yield f"{what}: {' → '.join(shown)}"


def _values(before: Any, after: Any) -> Iterator[str]:
    """Show a value before and after; of two texts only where they differ."""
    if isinstance(before, str) and isinstance(after, str):
        old, new = _trimmed(before, after)
        yield _gone(old)
        yield _come(new)
        return
    if isinstance(before, list) and isinstance(after, list):
        yield from _items(before, after)
        return
    if before is not UNSET:
        yield _gone(_shown(before))
    if after is not UNSET:
        yield _come(_shown(after))


def _items(before: list[Any], after: list[Any]) -> Iterator[str]:
    """Show the items of a list that have gone or come, and behind which one they stand."""
    old, new = ([_shown(item) for item in items] for items in (before, after))
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for kind, start, end, first, last in matcher.get_opcodes():
        if kind == "equal":
            continue
        where = f" (behind {old[start - 1]})" if start else " (first)"
        if end > start:
            yield _gone(f"{', '.join(old[start:end])}{where}")
        if last > first:
            yield _come(f"{', '.join(new[first:last])}{where}")


def _trimmed(before: str, after: str) -> tuple[str, str]:
    """Leave out what two texts have in common at both ends, but for some context."""
    most = min(len(before), len(after))
    start = next((at for at in range(most) if before[at] != after[at]), most)
    end = next(
        (at for at in range(most - start) if before[-1 - at] != after[-1 - at]),
        most - start,
    )
    first, last = max(0, start - CONTEXT), max(0, end - CONTEXT)
    shown = [quoted(text[first : len(text) - last]) for text in (before, after)]
    front, back = "…" if first else "", "…" if last else ""
    return f"{front}{shown[0]}{back}", f"{front}{shown[1]}{back}"


def _shown(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else json_text(value)


def _gone(text: str) -> str:
    return click.style(f"  - {text}", fg="red")


def _come(text: str) -> str:
    return click.style(f"  + {text}", fg="green")


def _definition(change: DefinitionChange) -> Iterator[str]:
    told = _NAMES[change.change]
    was = f" (was {quoted(change.was)})" if change.was else ""
    color = "yellow" if change.change in _ALARMING else None
    line = f"{_KINDS[change.kind]} {quoted(change.name)}: {told}{was}"
    yield click.style(line, fg=color)
    yield from _signs(change.signs)
    if change.change == "removed" and all(it.pointer == "" for it in change.changes):
        return
    for each in change.changes:
        yield from (f"  {line}" for line in _change(each))


def _change(change: Change) -> Iterator[str]:
    if change.pointer:
        yield f"{visible(change.pointer)}: {_NAMES[change.change]}"
        yield from _signs(change.signs)
        yield from _values(change.before, change.after)
        return
    for pointer, value in _leaves(change.after, ""):
        if pointer not in _SAID:
            yield f"{visible(pointer)} {_shown(value)}"


def _leaves(value: Any, at: str) -> Iterator[tuple[str, Any]]:
    """Give the values of a definition, each with its place."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from _leaves(child, f"{at}/{escaped(key)}")
    else:
        yield at, value


def _signs(signs: Sequence[str]) -> Iterator[str]:
    if signs:
        yield click.style(f"  ! {', '.join(signs)}", fg="yellow", bold=True)


def _texts(found: Comparison) -> Iterator[str]:
    """Show what the second says that somebody should look at, what is new in full."""
    for it in found.texts:
        if it.id not in found.known_texts:
            color = "red" if it.needs_acceptance else "yellow"
            yield click.style(f"! {visible(it.told())}", fg=color)
    entry = found.after.entry
    if found.after.document is None and entry is not None and entry.surface is not None:
        told = "not assessed: nobody has kept its definitions"
        yield click.style(told, fg="yellow")
    known = sum(it.id in found.known_texts for it in found.texts)
    if known:
        yield f"{known} as before"


def _package(change: PackageChange) -> list[str]:
    name = visible(change.name.removeprefix("pkg:"))
    before, after = (visible(" ".join(it)) for it in (change.before, change.after))
    day = f" (published {visible(change.published_at[:10])})" if change.published_at else ""
    if change.change == "added":
        line = click.style(f"+ {name} {after}{day}", fg="green")
    elif change.change == "removed":
        line = click.style(f"- {name} {before}", fg="red")
    else:
        line = f"{name} {before} → {after}{day}"
    notes = (click.style(f"  ! {visible(it)}", fg="yellow") for it in change.notes)
    return [line, *notes]


def reviews(counts: Sequence[ReviewCount]) -> Iterator[str]:
    """Say how many packages nobody has read, and which of them are new."""
    for it in counts:
        what = "" if it.criterion is None else f"{visible(it.criterion)}: "
        also = f"audited {it.audited}, trusted {it.trusted}, exempt {it.exempt}"
        yield f"{what}unreviewed: {len(it.unreviewed)} of {it.packages} ({also})"
        if it.changed:
            names = ", ".join(visible(purl.removeprefix("pkg:")) for purl in it.changed)
            yield f"  changed, and read by nobody: {names}"


def _advisories(found: Comparison) -> Iterator[str]:
    yield from (click.style(f"+ {_match(it)}", fg="red") for it in found.introduced)
    yield from (click.style(f"- {_match(it)}", fg="green") for it in found.fixed)
    assessment = found.assessment
    if assessment is None:
        return
    known = len(assessment.matches) - len(found.introduced)
    if known:
        yield f"{known} as before"
    reasons = list(dict.fromkeys(assessment.not_assessed))
    yield from (click.style(f"not assessed: {visible(it)}", fg="yellow") for it in reasons)
    if assessment.state == "clean":
        yield "none is known"


def _match(match: Match) -> str:
    what = "malware " if match.malware else ""
    doubt = " (perhaps)" if match.undecided else ""
    return visible(
        f"{what}{' '.join(match.ids)} {match.severity} {match.purl}{doubt}: {match.summary}"
    )


def _approval(found: Comparison) -> Iterator[str]:
    entry, verdict = found.after.entry, found.verdict
    if entry is not None:
        yield f"owner: {visible(entry.access.owner) or 'nobody'}"
    if verdict is None:
        return
    until = "" if verdict.expires is None else f" until {_day(verdict.expires)}"
    by = f" by {', '.join(map(visible, verdict.approvers))}" if verdict.approvers else ""
    state = "" if verdict.state == "approved" else "not approved: "
    yield f"{state}{visible(verdict.reason)}{by}{until}"


def _day(when: int) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d")
