"""What of flows and rates concerns the use of one name: nothing, for most."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from bascule.decision.entries import TargetKind
from bascule.decision.model import ACT_ALONE, USE_ACTIONS, target_of
from bascule.decision.rates import NamedRate, Rates
from bascule.decision.slices import Policies
from bascule.decision.toolsets import Toolsets

_MAX_NAMES = 8192
_MAX_NAME_LENGTH = 512
_ALL_THAT_WAS_TOUCHED = frozenset(("context", "context.touched"))


class Concern(Struct, frozen=True):
    """What there is to look up before a use, and to remember of it."""

    asks: bool
    """Whether a policy on it reads what was touched."""
    opens: Mapping[str, int]
    """Labels that its use touches, and for how many seconds each then counts."""
    rates: tuple[NamedRate, ...]


class Concerns:
    """Finds it, and remembers it: names are few, and calls are many."""

    def __init__(
        self,
        policies: Policies,
        toolsets: Toolsets,
        labels: Toolsets,
        windows: Mapping[str, int],
        rates: Rates,
    ) -> None:
        """`windows`: seconds for which each label counts that begins a flow."""
        self._policies = policies
        self._toolsets = toolsets
        self._labels = labels
        self.windows = windows
        self._rates = rates
        self.idle = not windows and not rates
        """Nothing concerns any use."""
        self._known: dict[tuple[str, TargetKind, str], Concern | None] = {}

    def of(self, connector: str, kind: TargetKind, name: str) -> Concern | None:
        """Give what concerns a use; None when nothing does."""
        if self.idle:
            return None
        key = (connector, kind, name)
        if key in self._known:
            return self._known[key]
        found = self._find(connector, kind, name)
        if len(name) <= _MAX_NAME_LENGTH:
            if len(self._known) >= _MAX_NAMES:
                del self._known[next(iter(self._known))]
            self._known[key] = found
        return found

    def _find(self, connector: str, kind: TargetKind, name: str) -> Concern | None:
        rates = self._rates.of(connector, kind, name)
        opens = {
            label: self.windows[label]
            for label in sorted(self._labels.of(connector, kind, name))
            if label in self.windows
        }
        asks = bool(self.windows) and self._reads_touched(connector, kind, name)
        return Concern(asks, opens, rates) if asks or opens or rates else None

    def _reads_touched(self, connector: str, kind: TargetKind, name: str) -> bool:
        toolsets = self._toolsets.of(connector, kind, name)
        target = target_of(connector, kind, name, toolsets)
        return any(
            policy.is_open and policy.reads & _ALL_THAT_WAS_TOUCHED
            for action in (USE_ACTIONS[kind], ACT_ALONE)
            for policy in self._policies.on(action, target)
        )
