"""Which flows and rates of a configuration hold back less than those of the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bascule.config.model import Config, Flow, Rate


def loosened(before: Config, after: Config) -> Iterator[str]:
    """Name them, one short sentence each.

    Entries are compared by name, so there may be too much here, never too little.
    """
    for name, flow in before.flows.items():
        new = after.flows.get(name)
        if new is None or not _closes_as_much(flow, before, new, after):
            yield f"flow `{name}` closes less"
    for name, rate in before.rates.items():
        later = after.rates.get(name)
        if later is None or not _counts_as_much(rate, before, later, after):
            yield f"rate `{name}` lets more calls through"


def _closes_as_much(old: Flow, before: Config, new: Flow, after: Config) -> bool:
    return (
        new.minutes >= old.minutes
        and (new.then == "deny" or (new.then, new.rule) == (old.then, old.rule))
        and _labelled(old.close, before) <= _labelled(new.close, after)
        and _labelled(old.after, before) <= _labelled(new.after, after)
        and _as_soon(old, before, new, after)
    )


def _as_soon(old: Flow, before: Config, new: Flow, after: Config) -> bool:
    """Tell whether `after_all` comes about whenever it did before."""
    if not old.after_all:
        return True
    return bool(new.after_all) and all(
        label in old.after_all and _labelled((label,), before) <= _labelled((label,), after)
        for label in new.after_all
    )


def _counts_as_much(old: Rate, before: Config, new: Rate, after: Config) -> bool:
    return (
        new.per == old.per
        and new.calls <= old.calls
        and set(new.by) <= set(old.by)
        and _entries(old.of, before) <= _entries(new.of, after)
    )


def _labelled(labels: Iterable[str], config: Config) -> set[str]:
    return {entry for it in labels for entry in _entries(config.labels.get(it, ()), config)}


def _entries(texts: Iterable[str], config: Config) -> set[str]:
    """Give entries with toolsets replaced by their members."""
    return {entry for text in texts for entry in config.toolsets.get(text, (text,))}
