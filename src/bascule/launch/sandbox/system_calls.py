"""Numbers of the system calls that a sandboxed process is refused, by machine.

From `asm/unistd_64.h` and `asm-generic/unistd.h` of Linux. The first number is of x86-64,
the second of aarch64; -1 where the machine has no such call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Machine = Literal["x86_64", "aarch64"]

NEWEST = 462
"""`mseal` of Linux 6.10. What comes after it nobody has looked at here, and does not exist
for a sandboxed process; the numbers are the same on all machines."""

X32_BIT = 0x40000000
"""Marks calls of the x32 ABI, under the same architecture as those of x86-64."""

_NUMBERS: dict[str, tuple[int, int]] = {
    # processes of others, and the tracing of one's own
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "perf_event_open": (298, 241),
    "lookup_dcookie": (212, 18),
    # programs, modules and kernels in the kernel
    "bpf": (321, 280),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, -1),
    "get_kernel_syms": (177, -1),
    "query_module": (178, -1),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    # namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    # files by handle, past the paths that a mount namespace has
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    # keys, which are not in namespaces
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    # large and often broken, or past other filters
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "userfaultfd": (323, 282),
    "vmsplice": (278, 75),
    "memfd_secret": (447, 447),
    "modify_ldt": (154, -1),
    "uselib": (134, -1),
    "nfsservctl": (180, 42),
    "_sysctl": (156, -1),
    "sysfs": (139, -1),
    "ustat": (136, -1),
    # the machine itself
    "acct": (163, 89),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "ioperm": (173, -1),
    "iopl": (172, -1),
    # memory of others and of other nodes
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "get_mempolicy": (239, 236),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "lsm_set_self_attr": (460, 460),
}

_OUTSIDE: dict[str, tuple[int, int]] = {
    # files by their paths, in ways that Landlock does not know
    "chmod": (90, -1),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, -1),
    "lchown": (94, -1),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "utime": (132, -1),
    "utimes": (235, -1),
    "futimesat": (261, -1),
    "utimensat": (280, 88),
    # what all processes of a user share
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
}
"""Ways to what lies outside, closed where no namespace closes them."""

_SIGNALS: dict[str, tuple[int, int]] = {
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
}

_LOOKED_AT: dict[str, tuple[int, int]] = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "personality": (135, 92),
    "ioctl": (16, 29),
    "prlimit64": (302, 261),
    "socket": (41, 198),
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "creat": (85, -1),
    "open": (2, -1),
    "openat": (257, 56),
    "openat2": (437, 437),
    "mknod": (133, -1),
    "mknodat": (259, 33),
}
"""Calls that are refused with some arguments only."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The system calls of one machine."""

    architecture: int
    """`AUDIT_ARCH_…` of `linux/audit.h`."""
    refused: tuple[int, ...]
    looked_at: dict[str, int]
    """Number by name; without those that this machine has not."""
    has_x32: bool = False


def calls_of(machine: Machine, *, outside: bool = False, signals: bool = False) -> Calls:
    """Give the system calls of a machine.

    With `outside`, what leads out of a process without namespaces is refused as well; with
    `signals`, all signals to anybody.
    """
    column = 0 if machine == "x86_64" else 1
    names = {**_NUMBERS, **(_OUTSIDE if outside else {}), **(_SIGNALS if signals else {})}
    refused = sorted(it[column] for it in names.values() if it[column] >= 0)
    looked_at = {name: it[column] for name, it in _LOOKED_AT.items() if it[column] >= 0}
    if machine == "x86_64":
        return Calls(0xC000003E, tuple(refused), looked_at, has_x32=True)
    return Calls(0xC00000B7, tuple(refused), looked_at)
