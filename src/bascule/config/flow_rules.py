"""What `[flows]` and `[rates]` must keep to."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bascule.config.model import Config, Flow
from bascule.config.paths import below, quoted

Found = Iterator[tuple[str, str]]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_BAD_NAME = "must be a name of letters, digits, `_` and `-`"


def broken_flow_rules(config: Config) -> Found:
    """Give path and sentence of each problem."""
    for name, flow in config.flows.items():
        path = below("flows", name)
        if _NAME.fullmatch(name) is None:
            yield path, _BAD_NAME
        yield from _flow(path, flow, config)
    yield from _windows(config)
    for name, rate in config.rates.items():
        path = below("rates", name)
        if _NAME.fullmatch(name) is None:
            yield path, _BAD_NAME
        if not rate.of:
            yield f"{path}.of", "is for nothing: name what is counted"


def opening(flow: Flow) -> tuple[str, ...]:
    """Give the labels whose use begins a flow's time."""
    return (*flow.after, *flow.after_all)


def _flow(path: str, flow: Flow, config: Config) -> Found:
    if not opening(flow):
        yield path, "never begins: name labels in `after` or `after_all`"
    for key in ("after", "after_all", "close"):
        for place, label in enumerate(getattr(flow, key)):
            if label not in config.labels:
                yield f"{path}.{key}[{place}]", f"{quoted(label)} is not in `[labels]`"
    if flow.rule and flow.then != "approve":
        yield f"{path}.rule", 'is of no use without `then = "approve"`'
    if flow.rule and flow.rule not in {*config.call_approvals, "default"}:
        yield f"{path}.rule", f"{quoted(flow.rule)} is not in `[call_approvals]`"


def _windows(config: Config) -> Found:
    """Find labels whose use would be remembered for two different times."""
    known: dict[str, tuple[str, int]] = {}
    for name, flow in config.flows.items():
        for label in opening(flow):
            first, minutes = known.setdefault(label, (name, flow.minutes))
            if minutes != flow.minutes:
                other = below("flows", first)
                yield (
                    f"{below('flows', name)}.minutes",
                    f"must be {minutes}, as in `{other}`: both begin with `{label}`",
                )
