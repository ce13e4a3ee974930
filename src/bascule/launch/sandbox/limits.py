"""Resource limits of a sandboxed server."""

from __future__ import annotations

import resource

from bascule.launch.sandbox.spec import SandboxSpec

LOCKED_BYTES = 1 << 20


def limits_of(spec: SandboxSpec) -> list[tuple[int, int]]:
    """Give limits as `setrlimit(2)` numbers and takes them, soft and hard at once."""
    return [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, spec.open_files),
        (resource.RLIMIT_NPROC, spec.processes),
        # Not the address space: interpreters reserve more of that than they ever use.
        (resource.RLIMIT_DATA, spec.memory_bytes),
        (resource.RLIMIT_MEMLOCK, LOCKED_BYTES),
        (resource.RLIMIT_MSGQUEUE, 0),
    ]
