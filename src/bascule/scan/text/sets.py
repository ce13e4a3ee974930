"""What servers can do together that none of them can do alone.

A client shows its model the tools of all its servers at once. Names that look alike, a
definition that speaks of another server's tool, and tools that together read what is
private, read what strangers wrote and send things out are visible only in the set.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

from bascule.lock.invisible import visible
from bascule.scan.finding import Finding, found
from bascule.scan.rule import Severity
from bascule.scan.rules.sets import COLLISION, LOOKS_ALIKE, NAMES_ANOTHER, TOXIC
from bascule.scan.text import concepts as c
from bascule.scan.text.definition import parameters_of, texts_of
from bascule.scan.text.findings import quote
from bascule.scan.text.folding import fold
from bascule.scan.text.judge import judge
from bascule.scan.text.reading import meaning_of_name, plain_name, sentences

Definitions = Sequence[Mapping[str, Any]]
"""The tools of one server."""
Leg = Literal["private data", "untrusted content", "a way out"]

_PRIVATE_WORDS = (
    "file files mail mails email emails inbox calendar document documents note notes drive"
    " contact contacts database sql query customer customers account accounts secret"
    " secrets"
    " vault ticket tickets repository repositories repo commit invoice invoices memory"
    " messages patient employee payroll order orders photo photos"
)
_PRIVATE = frozenset(_PRIVATE_WORDS.split())
_STRANGERS_WORDS = (
    "web url urls page pages website search fetch browse browser crawl scrape issue issues"
    " comment comments inbox mail mails email emails feed rss news review reviews ticket"
    " tickets webpage internet download"
)
_STRANGERS = frozenset(_STRANGERS_WORDS.split())
_GENERIC_WORDS = (
    "search fetch query get list read write run execute help status ping version health"
    " create update delete open close add remove echo info"
)
_GENERIC = frozenset(_GENERIC_WORDS.split())
"""Names that many servers have: nobody confuses them for having one of these."""
_READS_WORDS = "get list read search fetch query find browse open retrieve show"
_READS = frozenset(_READS_WORDS.split())
_SENDS_WORDS = (
    "send post create publish upload share forward reply write push submit comment invite"
    " email request call execute run navigate"
)
_SENDS = frozenset(_SENDS_WORDS.split())
_OUTWARD_WORDS = (
    "mail email message messages post tweet comment issue webhook url http slack"
    " sms"
    " upload share pull gist page browser navigate shell command"
)
_OUTWARD = frozenset(_OUTWARD_WORDS.split())
_COMMANDS = frozenset({"shell", "command", "exec", "bash", "terminal"})
_MOST_NAMED = 10
_QUOTED = 80
"""Characters of a description."""
_READ = 20_000
"""Characters of one text that are looked through for names of others' tools."""
_LEGS: tuple[Leg, ...] = ("private data", "untrusted content", "a way out")


def set_findings(servers: Mapping[str, Definitions], client: str) -> Iterator[Finding]:
    """Find what is wrong with a set of servers that one client shows to one model.

    `servers` are the definitions of their tools by the servers' names.
    """
    yield from _collisions(servers, client)
    yield from _shadows(servers, client)
    yield from _combinations(servers, client)


def _collisions(servers: Mapping[str, Definitions], client: str) -> Iterator[Finding]:
    """Find tools of two servers whose names a model cannot tell apart."""
    named = {server: _by_look(tools) for server, tools in servers.items()}
    for one, other in combinations(sorted(named), 2):
        alike = sorted(named[one].keys() & named[other].keys() - _GENERIC)
        # Started twice, for two folders or accounts, a program is no stranger to itself.
        twice = named[one] == named[other]
        pairs = [(_name(named[one][it]), _name(named[other][it])) for it in alike]
        same = [mine for mine, theirs in pairs if mine == theirs]
        spelt = [f"{mine} and {theirs}" for mine, theirs in pairs if mine != theirs]
        for rule, names in ((COLLISION, same), (LOOKS_ALIKE, spelt)):
            if names:
                severity = _severity(names, twice=twice)
                key = "\0".join((one, other, *names))
                told = f"{one} and {other}: {_listed(names)}"
                yield found(rule, client, told, key=key, severity=severity)


def _severity(names: Sequence[str], *, twice: bool) -> Severity | None:
    """Nobody writes names in letters of two alphabets by chance."""
    if twice:
        return "info"
    return None if all(map(str.isascii, names)) else "medium"


def _listed(names: Sequence[str]) -> str:
    told = ", ".join(map(visible, names[:_MOST_NAMED]))
    more = len(names) - _MOST_NAMED
    return f"{told} and {more} more" if more > 0 else told


def _by_look(tools: Definitions) -> dict[str, Mapping[str, Any]]:
    return {_look(_name(tool)): tool for tool in tools if _name(tool)}


def _name(tool: Mapping[str, Any]) -> str:
    name = tool.get("name")
    return name if isinstance(name, str) else ""


def _look(name: str) -> str:
    """Give the same text for names that a model, or a person, takes for one another."""
    return plain_name(fold(name).text).replace("_", "")


def _shadows(servers: Mapping[str, Definitions], client: str) -> Iterator[Finding]:
    """Find definitions that speak of the tools of another server by name."""
    names = {server: {_name(it) for it in tools} for server, tools in servers.items()}
    for server, tools in sorted(servers.items()):
        own = {plain_name(it) for it in names[server]}
        others = {
            name: other
            for other, theirs in sorted(names.items())
            if other != server
            for name in theirs
            if "_" in plain_name(name) and plain_name(name) not in own
        }
        for tool in tools:
            for at, name, sentence in _named(tool, others):
                told = f"{visible(_name(tool))} of {server}, {at}: {quote(sentence)}"
                yield found(
                    NAMES_ANOTHER,
                    client,
                    f"{told} names {visible(name)} of {others[name]}",
                    key=f"{server}\0{_name(tool)}\0{name}",
                    severity="high" if _governs(tool, own, name) else None,
                )


def _governs(tool: Mapping[str, Any], own: Collection[str], name: str) -> bool:
    """Tell whether a suspicious passage is the one that has the name.

    Naming is one thing; saying what is to become of it another.
    """
    return any(name.lower() in it.quote.lower() for it in judge(tool, own).evidence)


def _named(
    tool: Mapping[str, Any], others: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Find names as they are written; what only reads alike is a word like others."""
    plain = {plain_name(it): it for it in others}
    told = set(parameters_of(tool))
    for said in texts_of(tool):
        folded = fold(said.text[:_READ])
        for sentence in sentences(folded):
            if not sentence.has & c.IDENTIFIER:
                continue
            quoted = folded.quote(sentence.starts[0], sentence.ends[-1])
            for word in dict.fromkeys(sentence.words):
                if word in plain and word not in told and _is_written(plain[word], quoted):
                    told.add(word)
                    yield said.where, plain[word], quoted


def _is_written(name: str, sentence: str) -> bool:
    """Tell whether a name stands there whole, and not as a parameter (`name=`)."""
    whole = rf"(?<![\w-]){re.escape(name)}(?![\w-]|=)"
    return re.search(whole, sentence, re.IGNORECASE) is not None


def legs_of(tool: Mapping[str, Any]) -> frozenset[Leg]:
    """Say which legs of the lethal trifecta a tool is, by its name and annotations.

    Private data, untrusted content, a way out (Simon Willison's three). A guess on the side
    of caution: a fetch of a URL is both of the latter.
    """
    words = frozenset(plain_name(_name(tool)).split("_"))
    hints = tool.get("annotations")
    hints = hints if isinstance(hints, Mapping) else {}
    found_legs: set[Leg] = set()
    reads = not words.isdisjoint(_READS)
    if reads and not words.isdisjoint(_PRIVATE):
        found_legs.add("private data")
    if (reads and not words.isdisjoint(_STRANGERS)) or (
        hints.get("openWorldHint") is True and hints.get("readOnlyHint") is True
    ):
        found_legs.add("untrusted content")
    sends = not words.isdisjoint(_SENDS) and not words.isdisjoint(_OUTWARD)
    fetches = bool(words & {"fetch", "navigate", "browse"}) and _takes_url(tool)
    if (sends and hints.get("readOnlyHint") is not True) or fetches:
        found_legs.add("a way out")
    if meaning_of_name(_name(tool)) & c.SECRET and reads:
        found_legs.add("private data")
    return frozenset(found_legs)


def _takes_url(tool: Mapping[str, Any]) -> bool:
    schema = tool.get("inputSchema", tool.get("input_schema"))
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    return not isinstance(properties, Mapping) or bool({"url", "uri"} & set(properties))


def _combinations(servers: Mapping[str, Definitions], client: str) -> Iterator[Finding]:
    """Find the least servers that together have all three legs, and one tool for each.

    Most sets that are of any use have them: it is said once, and is no more than a fact
    unless what goes out runs commands or destroys by its own word.
    """
    legs: dict[str, dict[Leg, Mapping[str, Any]]] = {}
    for server, tools in sorted(servers.items()):
        for tool in tools:
            for leg in legs_of(tool):
                legs.setdefault(server, {}).setdefault(leg, tool)
    for count in (1, 2, 3):
        for chosen in combinations(sorted(legs), count):
            have = {leg: (it, legs[it][leg]) for it in chosen for leg in legs[it]}
            if len(have) == len(_LEGS):
                told = "; ".join(f"{leg}: {_leg(*have[leg])}" for leg in _LEGS)
                harmful = _is_destructive(have["a way out"][1])
                severity: Severity = "low" if harmful else "info"
                key = "\0".join(chosen)
                yield found(TOXIC, client, told, key=key, severity=severity)
                return


def _leg(server: str, tool: Mapping[str, Any]) -> str:
    """Say which tool it is, with the beginning of what it says of itself."""
    said = tool.get("description")
    words = f" ({quote(said[:_QUOTED])})" if isinstance(said, str) and said else ""
    return f"{visible(_name(tool))} of {server}{words}"


def _is_destructive(tool: Mapping[str, Any]) -> bool:
    hints = tool.get("annotations")
    by_hint = isinstance(hints, Mapping) and hints.get("destructiveHint") is True
    return by_hint or not _COMMANDS.isdisjoint(plain_name(_name(tool)).split("_"))
