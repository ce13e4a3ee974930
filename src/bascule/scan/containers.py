"""Which container a process is in, from the path of its control group (cgroups(7))."""

from __future__ import annotations

import re

_ENGINES = (
    ("docker", re.compile(r"(?:/docker/|docker-)([0-9a-f]{64})\b")),
    ("podman", re.compile(r"libpod-(?:payload-)?([0-9a-f]{64})\b")),
    ("containerd", re.compile(r"cri-containerd[-:]([0-9a-f]{64})\b")),
    ("cri-o", re.compile(r"crio-([0-9a-f]{64})\b")),
    ("kubernetes", re.compile(r"/kubepods[^:]*/([0-9a-f]{64})\b")),
    ("lxc", re.compile(r"/lxc(?:\.payload\.|\.payload/|/)([^/\n.]+)")),
    ("nspawn", re.compile(r"machine-([^/\n]+?)\.scope\b")),
    ("nspawn", re.compile(r"systemd-nspawn@([^/\n]+?)\.service\b")),
)
"""Engine and the pattern of its paths; the first that matches counts."""

_SHORT = 12
"""Digits of an identifier that engines print themselves."""


def container_of(control_groups: str) -> str | None:
    """Read `/proc/PID/cgroup`: `ENGINE:ID`, or None outside of any container."""
    for engine, pattern in _ENGINES:
        match = pattern.search(control_groups)
        if match:
            name = match[1]
            return f"{engine}:{name[:_SHORT] if len(name) == 64 else name}"
    return None
