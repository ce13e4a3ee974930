"""Tries to get out of its sandbox in every way that its author knows; prints JSON.

Arguments: paths to read, with commas between them; places to connect to; Unix sockets.
"""

# It tries system calls, by whatever path.
# ruff: noqa: PTH101, PTH112, PTH120, PTH123, PTH208, S103, S108, SIM115

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import sys
import termios

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
SECONDS = 5.0


def error_of(try_it) -> str:
    """Give the error's name, or `done` with what came of it."""
    ctypes.set_errno(0)
    try:
        came = try_it()
    except OSError as exc:
        return _name(exc.errno)
    except ValueError:
        return "ValueError"
    if isinstance(came, int) and came < 0:
        return _name(ctypes.get_errno())
    return "done"


def _name(number) -> str:
    return errno.errorcode.get(number, str(number))


def read(path):
    if os.path.isdir(path):
        os.listdir(path)
        return
    with open(path, "rb") as file:
        file.read(100)


def connect(place):
    host, _, port = place.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), SECONDS):
        pass


def connect_unix(path):
    with socket.socket(socket.AF_UNIX) as it:
        it.connect("\0" + path[1:] if path.startswith("@") else path)


def send_datagram(place):
    host, _, port = place.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:
        it.sendto(b"out", (host, int(port)))


def in_child(code) -> int:
    """Run machine code in a child; gives the signal that ended it, or 0."""
    pid = os.fork()
    if pid == 0:
        memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        memory.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        ctypes.CFUNCTYPE(None)(address)()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def write_other_memory(path):
    with open(path, "r+b") as file:
        file.write(b"x")


def make_set_id(path):
    with open(path, "w"):
        pass
    os.chmod(path, 0o4755)


def main():
    files, places, sockets = (
        [it for it in argument.split(",") if it] for argument in sys.argv[1:4]
    )
    call = libc.syscall
    x86 = os.uname().machine == "x86_64"
    tried = {
        "environment": dict(os.environ),
        "uid": os.getuid(),
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "processes": sorted(it for it in os.listdir("/proc") if it.isdigit())
        if os.getuid() == 1000  # that it has in namespaces of its own
        else None,
        "status": {
            line.split(":")[0]: line.split(":")[1].strip()
            for line in open("/proc/self/status")
        },
        "limits": {
            it: resource.getrlimit(getattr(resource, it))
            for it in ("RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_DATA")
        },
        "read": {it: error_of(lambda it=it: read(it)) for it in files},
        "connect": {it: error_of(lambda it=it: connect(it)) for it in places},
        "unix": {it: error_of(lambda it=it: connect_unix(it)) for it in sockets},
        "write": {
            it: error_of(lambda it=it: open(it + "/new", "w").close())
            for it in ("/", "/usr", "/etc", "/dev", os.path.dirname(__file__))
        },
        "kernel": {
            it: error_of(lambda it=it: os.close(os.open(it, os.O_WRONLY)))
            for it in ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches")
        },
        "own": {
            it: error_of(lambda it=it: open(it + "/new", "w").close())
            for it in (os.environ["HOME"], os.environ["TMPDIR"])
        },
        "datagram": error_of(lambda: send_datagram("9.9.9.9:4444")),
        "look up": error_of(
            lambda: socket.getaddrinfo("registry.not-approved.example", 443)
        ),
        "raw socket": error_of(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
        "packet socket": error_of(lambda: socket.socket(17, socket.SOCK_DGRAM, 0)),
        "netlink": error_of(lambda: socket.socket(16, socket.SOCK_RAW, 0)),
        "vsock": error_of(lambda: socket.socket(40, socket.SOCK_STREAM, 0)),
        "sctp": error_of(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)),
        "pair": error_of(socket.socketpair),
        "unshare user": error_of(lambda: libc.unshare(0x10000000)),
        "clone user": error_of(lambda: call(56 if x86 else 220, 0x10000011, 0, 0, 0, 0)),
        "clone3": error_of(lambda: call(435, None, 0)),
        "openat2": error_of(lambda: call(437, -100, b"/", None, 0)),
        "mount": error_of(lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None)),
        "ptrace": error_of(lambda: libc.ptrace(16, os.getppid(), 0, 0)),
        "chroot": error_of(lambda: os.chroot("/tmp")),
        "bpf": error_of(lambda: call(321 if x86 else 280, 0, None, 0)),
        "io_uring": error_of(lambda: call(425, 8, None)),
        "keyctl": error_of(lambda: call(250 if x86 else 219, 0, -3, 0)),
        "userfaultfd": error_of(lambda: call(323 if x86 else 282, 0)),
        "of tomorrow": error_of(lambda: call(500, 0)),
        "TIOCSTI": error_of(lambda: fcntl.ioctl(0, termios.TIOCSTI, b"x")),
        "TIOCSTI, high bits": error_of(
            lambda: libc.ioctl(0, ctypes.c_ulong(0x100000000 | termios.TIOCSTI), b"x")
        ),
        "memory of init": error_of(lambda: write_other_memory("/proc/1/mem")),
        "root of init": error_of(lambda: read("/proc/1/root/etc/shadow")),
        "signal out": error_of(lambda: os.kill(int(sys.argv[4]), 0)),
        "set-id": error_of(lambda: make_set_id(os.environ["TMPDIR"] + "/set")),
        "set-id at once": error_of(
            lambda: os.open(
                os.environ["TMPDIR"] + "/set2", os.O_CREAT | os.O_WRONLY, 0o4755
            )
        ),
        "hard link out": error_of(lambda: os.link("/etc/ld.so.cache", "/tmp/link")),
        "raise limit": error_of(
            lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))
        ),
    }
    if x86:
        # mov eax, 20 (getpid of i386); int 0x80; ret
        tried["other architecture"] = in_child(b"\xb8\x14\0\0\0\xcd\x80\xc3")
        # mov eax, 0x40000027 (getpid of x32); syscall; ret
        tried["x32"] = in_child(b"\xb8\x27\0\0\x40\x0f\x05\xc3")
    print(json.dumps(tried))


signal.alarm(30)
main()
