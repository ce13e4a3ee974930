"""What the tables of a configuration say in vain: warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bascule.config.model import Config
from bascule.decision.compile import BUILT_IN_AGENT
from bascule.decision.entries import Entry, ToolsetName, glob_matches
from bascule.decision.patterns import WILDCARD, Pattern, UnsearchedError, some_words
from bascule.decision.problems import CONFIG_FILE, Problem, dotted
from bascule.decision.snapshot import Gates
from bascule.decision.written import (
    Where,
    Written,
    approved_names,
    members,
    written_entries,
)


def entry_lints(config: Config, gates: Gates) -> Iterator[Problem]:
    """Give entries that add nothing, match nothing, or that no ceiling lets anybody use."""
    ceilings = _ceilings(config)
    for written in written_entries(config):
        yield from _shadowed(config, written)
        yield from _matching_nothing(written, gates)
        if written.where[0] == "roles" and ceilings is not None:
            yield from _out_of_reach(config, written, ceilings, gates)


def _shadowed(config: Config, written: Written) -> Iterator[Problem]:
    every = [(where, it, members(config, it)) for where, it in written.entries]
    for where, entry, held in every:
        for _, other, wider in every:
            if other.text != entry.text and held and _covers_all(wider, held):
                # Of two that cover each other the first one stays.
                both = _covers_all(held, wider)
                if both and _place(every, entry) < _place(every, other):
                    continue
                yield _warning(where, f"`{entry.text}` adds nothing to `{other.text}`")
                break


def _place(
    every: Sequence[tuple[Where, Entry | ToolsetName, tuple[Entry, ...]]],
    entry: Entry | ToolsetName,
) -> int:
    return next(at for at, (_, it, _) in enumerate(every) if it.text == entry.text)


def _covers_all(wider: Sequence[Entry], narrower: Sequence[Entry]) -> bool:
    return all(any(_covers(one, other) for one in wider) for other in narrower)


def _covers(wider: Entry, narrower: Entry) -> bool:
    """Tell whether an entry covers all that another does; no in doubt."""
    if wider.connector != narrower.connector:
        return False
    if wider.kind is None or wider == narrower:
        return True
    if narrower.kind != wider.kind:
        return False
    if not narrower.is_glob:
        return wider.matches(wider.connector, narrower.kind, narrower.pattern)
    # A `*` of the narrower one is any text; only a `*` matches every text.
    return glob_matches(wider.pattern, narrower.pattern.replace("*", "\0"))


def _matching_nothing(written: Written, gates: Gates) -> Iterator[Problem]:
    for where, entry in written.entries:
        if not isinstance(entry, Entry) or entry.kind not in {"tool", "prompt"}:
            continue
        kind = "tools" if entry.kind == "tool" else "prompts"
        names = approved_names(gates, entry.connector, kind)  # type: ignore[arg-type]
        if names is None or not entry.is_glob:
            continue
        if not any(entry.matches(entry.connector, entry.kind, name) for name in names):
            said = f"`{entry.text}` matches none of the approved {kind}"
            yield _warning(where, f"{said} of `{entry.connector}`")


def _out_of_reach(
    config: Config, written: Written, ceilings: Sequence[Entry], gates: Gates
) -> Iterator[Problem]:
    """Give entries of a role that no configured ceiling has anything of."""
    capped = BUILT_IN_AGENT in config.agents.ceilings
    but = ": no agent may use it" if capped else f": only `{BUILT_IN_AGENT}` may use it"
    for where, entry in written.entries:
        held = members(config, entry)
        if held and not any(_meet(one, it, gates) for one in held for it in ceilings):
            yield _warning(where, f"no ceiling has anything of `{entry.text}`{but}")
            continue
        for name in _named_out_of_reach(entry, held, ceilings, gates):
            yield _warning(where, f"no ceiling reaches `{name}`{but}")


def _ceilings(config: Config) -> list[Entry] | None:
    """Give what ceilings cover together; None without any: all is done by the built-in."""
    tables = [it for it in written_entries(config) if it.where[0] == "agents"]
    if not config.agents.ceilings and not config.agents.default_ceiling:
        return None
    return [
        one for it in tables for _, entry in it.entries for one in members(config, entry)
    ]


def _named_out_of_reach(
    entry: Entry | ToolsetName,
    held: Sequence[Entry],
    ceilings: Sequence[Entry],
    gates: Gates,
) -> Iterator[str]:
    """Give tools that a toolset names one by one and no ceiling reaches."""
    if isinstance(entry, Entry):
        return  # a pattern is often wider than what is meant to be used
    for one in held:
        if not one.is_glob and not any(_meet(one, it, gates) for it in ceilings):
            yield one.text


def _meet(one: Entry, other: Entry, gates: Gates) -> bool:
    """Tell whether two entries have something in common; yes in doubt."""
    if one.connector != other.connector:
        return False
    if one.kind is None or other.kind is None:
        return True
    if one.kind != other.kind:
        return False
    for name, pattern in ((one, other), (other, one)):
        if not name.is_glob:
            return pattern.matches(name.connector, one.kind, name.pattern)
    if one.kind == "tool":
        names = approved_names(gates, one.connector, "tools")
        if names is not None:
            connector = one.connector
            return any(
                one.matches(connector, "tool", it) and other.matches(connector, "tool", it)
                for it in names
            )
    try:
        both = frozenset((_pattern(one.pattern), _pattern(other.pattern)))
        return bool(some_words(both, frozenset(), shortest=1, most=1))
    except UnsearchedError:
        return True


def _pattern(text: str) -> Pattern:
    return tuple(WILDCARD if it == "*" else it for it in text)


def _warning(where: Where, message: str) -> Problem:
    return Problem(CONFIG_FILE, 0, "warning", f"{dotted(where)}: {message}", where)
