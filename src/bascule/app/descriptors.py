"""Open files: clients must leave enough of them for log, state and upstreams."""

from __future__ import annotations

import logging
import resource

RESERVED = 128
"""Open files beside connections: log, state, keys, pipes, what is fetched."""
MOST = 1 << 20
"""As good as no limit."""

log = logging.getLogger("bascule")


def raise_limit() -> None:
    """Let this process and its children open as many files as the host allows.

    Most hosts give 1024 at first, for programs that cannot count further.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def possible_connections(wanted: int) -> int:
    """Give how many clients may be connected: `wanted`, or fewer where files are few.

    Each may need a connection to a server behind, so that half of what is left is theirs.
    The operator is told when it is less than half of what was wanted: a few thousand serve
    most places as well.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = max(most - RESERVED, most // 2) // 2
    if possible < wanted // 2:
        log.warning(
            "%d client connections at most, since only %d files may be open "
            "(`limits.connections` is %d): raise the limit (`ulimit -n`, `LimitNOFILE`)",
            possible,
            most,
            wanted,
        )
    return min(wanted, possible)
