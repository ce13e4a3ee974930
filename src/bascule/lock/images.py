"""Container images in a command: how they are named, and what `docker run` gives them."""

from __future__ import annotations

import re

from bascule.lock.model import LockError, Source
from bascule.lock.options import Read

_IMAGE = re.compile(
    r"(?P<name>(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?/)?"
    r"[a-z0-9]+(?:(?:\.|_|__|-+|/)[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
"""A reference as of the OCI distribution specification, pulling manifests."""

_ALWAYS = {
    "privileged": "the container is privileged: it can do what the host's root can",
    "use-api-socket": "the container may command the container engine",
    "publish-all": "the container's ports are open to the network",
    "publish": "a port of the container is open to the network",
    "device": "the container gets a device of the host",
    "device-cgroup-rule": "the container gets devices of the host",
    "gpus": "the container gets the host's graphics processors",
    "cap-add": "the container gets a capability more than usual",
    "volumes-from": "the container gets the volumes of another one",
    "env-file": "the container's environment is in a file that the lock does not hold",
    "add-host": "the container is told another address for a host's name",
    "sysctl": "the container changes a setting of the kernel",
    "runtime": "the container is run by another runtime than usual",
    "oom-kill-disable": "the container is not ended when memory runs out",
}
_NAMESPACES = ("network", "pid", "ipc", "uts", "userns", "cgroupns")


def image_source(reference: str) -> Source:
    """Split an image's reference; `requested` is its digest, else its tag.

    Raises `LockError` for what is no reference.
    """
    match = _IMAGE.fullmatch(reference)
    if match is None:
        raise LockError("`docker run` names no image")
    return Source("oci", match["name"], match["digest"] or match["tag"] or "")


def findings(read: Read, source: Source) -> tuple[str, ...]:
    """Say what a `docker run` command gives to the container, one sentence each."""
    found = []
    if not source.requested.startswith("sha256:"):
        found.append("the image is named by a tag, which may be moved: name its digest")
    for name, value in read.found:
        if name in _ALWAYS:
            found.append(_ALWAYS[name])
        elif name in ("volume", "mount"):
            found.append(_mount(value))
        elif name in _NAMESPACES and value == "host":
            found.append(f"the container shares the host's {name} namespace")
        elif name == "network" and value != "none":
            found.append("the container is in a network of its own choice")
        elif name == "security-opt" and "no-new-privileges" not in value:
            found.append("the container's confinement is changed")
    if not read.all("network"):
        found.append("the container may reach any host: add `--network none`")
    return tuple(dict.fromkeys(found))


def _mount(value: str) -> str:
    if "docker.sock" in value or "podman.sock" in value or "containerd.sock" in value:
        return "the container may command the container engine through its socket"
    parts = re.split(r"[:,]", value)
    is_read_only = "ro" in parts or "readonly" in parts
    return f"the container may {'read' if is_read_only else 'write'} files of the host"
