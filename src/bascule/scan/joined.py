"""What clients' files name, joined to what runs on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from bascule.scan.configs import Scanned
from bascule.scan.host import HostScan
from bascule.scan.named import Named
from bascule.scan.report import Report, merged
from bascule.scan.running import Running
from bascule.scan.server import Server


def joined(files: Scanned, named: Sequence[Named], host: HostScan) -> Report:
    """Give one report of both; a server that a file names and that runs has one row.

    `named` are the servers of the files, in their order. Of several that run by one entry
    the first is in its row, and the others have their own.
    """
    left = list(host.running)
    rows = [
        _row(row, _take(left, by))
        for row, by in zip(files.report.servers, named, strict=True)
    ]
    return merged(
        [
            replace(files.report, servers=(*rows, *(it.server for it in left))),
            replace(host.report, servers=()),
        ]
    )


def _take(running: list[Running], by: Named) -> Server | None:
    """Take the first that runs by this entry; it may be named by more of them."""
    for at, it in enumerate(running):
        if by in it.named:
            rest = tuple(name for name in it.named if name != by)
            if not any(name.client for name in rest):
                del running[at]
            else:
                running[at] = Running(it.server, rest, it.findings, it.not_assessed)
            return it.server
    return None


def _row(row: Server, runs: Server | None) -> Server:
    if runs is None:
        return row
    return replace(
        row,
        state=runs.state,
        auth=runs.auth or row.auth,
        pid=runs.pid,
        address=runs.address,
        process=runs.process,
        container=runs.container,
    )
