"""Answering while something is not known: yes, no, or that it depends.

What a call's arguments are, and what its identity has touched, is not known when it is
asked what might be called.
"""

from __future__ import annotations

from collections.abc import Callable

from bascule.decision import cedar
from bascule.decision.slices import Slice

Ask = Callable[[Slice], cedar.Verdict]
"""Puts the question to some policies."""


def ask_partially(part: Slice, ask: Ask) -> cedar.Verdict:
    """Answer by the policies that read nothing unknown; `depends` where others may decide.

    A `forbid` that applies whatever is not known is final. Never says no where some call
    would be allowed.
    """
    known = part.without_unknown
    verdict = ask(known) if known.policies else cedar.Verdict(allows=False)
    if verdict.failed or (not verdict.allows and verdict.policies):
        return verdict
    open_ones = [it for it in part.policies if it not in known.policies]
    if not verdict.allows and all(it.effect == "forbid" for it in open_ones):
        return verdict
    permits = [it.id for it in open_ones if it.effect == "permit"]
    named = verdict.policies if verdict.allows else tuple(sorted(permits))
    return cedar.Verdict(allows=False, policies=named, depends=True)
