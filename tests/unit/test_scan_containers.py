from __future__ import annotations

import pytest

from bascule.scan.containers import container_of

ID = "4f1d" * 16


@pytest.mark.parametrize(
    ("control_groups", "container"),
    [
        (f"0::/system.slice/docker-{ID}.scope\n", "docker:4f1d4f1d4f1d"),
        (f"12:pids:/docker/{ID}\n11:cpu:/docker/{ID}\n", "docker:4f1d4f1d4f1d"),
        (
            f"0::/user.slice/user@1000.service/libpod-{ID}.scope/container",
            "podman:4f1d4f1d4f1d",
        ),
        (
            f"0::/kubepods.slice/pod1.slice/cri-containerd-{ID}.scope",
            "containerd:4f1d4f1d4f1d",
        ),
        (f"0::/kubepods.slice/pod1.slice/crio-{ID}.scope", "cri-o:4f1d4f1d4f1d"),
        (f"3:cpu:/kubepods/burstable/pod3e-1/{ID}\n", "kubernetes:4f1d4f1d4f1d"),
        ("0::/lxc.payload.web/system.slice/nginx.service", "lxc:web"),
        ("0::/machine.slice/machine-builder.scope/payload", "nspawn:builder"),
        ("0::/machine.slice/systemd-nspawn@builder.service/payload", "nspawn:builder"),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", None),
        ("0::/system.slice/docker.service\n", None),
        ("0::/\n", None),
    ],
)
def test_a_container_is_named_by_its_engine_and_id(
    control_groups: str, container: str | None
) -> None:
    """As the engines lay their groups out, for both versions of control groups."""
    assert container_of(control_groups) == container
