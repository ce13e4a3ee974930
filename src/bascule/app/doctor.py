"""`bascule doctor`: the whole way of a call, tried from outside, one step after another.

No tool is called. The tokens are of the built-in agent by itself and have no scope, so that
whatever the roles say, nothing that they could be used for is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from msgspec import Struct

from bascule.app.probe import Probe, Reply
from bascule.errors import BasculeError
from bascule.identity.resource import metadata_address, resource_identifier
from bascule.protocol.message import INVALID_PARAMS, METHOD_NOT_FOUND

LOG_FIX = "run `bascule audit verify`; the server's own log says why records wait"


class Finding(Struct, frozen=True):
    """What came of one step."""

    connector: str | None
    """None for the server as a whole."""
    check: str
    ok: bool
    found: str
    fix: str
    """What to do; empty when nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Patient:
    """One connector with what is needed to try it."""

    connector: str
    public_url: str
    token: Callable[[], str]
    """Issues a token for it."""
    foreign_token: Callable[[], str]
    """Issues a token that is good, but for another resource."""
    unknown_name: str
    """A tool's name that nobody has."""
    record: Callable[[], int | None]
    """Gives the place of the record of a call by that name; None when there is none."""
    check_receipt: Callable[[int], None]
    """Proves that record and checks the proof. Raises `BasculeError`."""
    bounded: bool = False
    """It is for some networks alone."""


def examine_server(probe: Probe, public_url: str) -> Iterator[Finding]:
    """Try what all connectors need."""
    try:
        reply = probe.get("/readyz")
    except OSError as exc:
        yield Finding(
            None,
            "ready",
            False,
            f"{public_url} cannot be reached: {exc}",
            "make `server.public_url` lead here: look at name, proxy and certificate",
        )
        return
    late = reply.body.decode(errors="replace").strip()
    ready = reply.status == 200
    found = "calls are served" if ready else f"status {reply.status}: {late}"
    yield finding(None, "ready", ready, found, _stranger(reply) or LOG_FIX)


def examine(probe: Probe, patient: Patient) -> Iterator[Finding]:
    """Try one connector. No token is shown to what does not ask for one as Bascule does."""
    name = patient.connector
    try:
        first = _challenge(probe, patient)
        yield first
        if not first.ok:
            return
        yield from _identity(probe, patient)
        reply = probe.list_tools(name, patient.token())
        if _is_unapproved(reply):
            yield _unapproved(name, reply)
            return
        if patient.bounded and reply.error_code == INVALID_PARAMS:
            yield _outside(name)
            return
        yield _list(name, reply)
        yield from _refusal(probe, patient)
    except OSError as exc:
        yield Finding(name, "connection", False, f"it broke: {exc}", "try again")


def _challenge(probe: Probe, patient: Patient) -> Finding:
    name, url = patient.connector, patient.public_url
    reply = probe.call(name, None, "tools/list")
    address = metadata_address(url, name)
    challenged = f'resource_metadata="{address}"' in reply.headers.get(
        "www-authenticate", ""
    )
    return finding(
        name,
        "no_token",
        reply.status == 401 and challenged,
        f"without a token: {reply.status}",
        _stranger(reply) or f"let {url} lead to this server and nothing else",
    )


def _identity(probe: Probe, patient: Patient) -> Iterator[Finding]:
    name, url = patient.connector, patient.public_url
    reply = probe.get(metadata_address(url, name).removeprefix(url))
    resource = reply.message.get("resource")
    yield finding(
        name,
        "metadata",
        resource == resource_identifier(url, name),
        f"the resource is described as {resource}",
        "set `server.public_url` to what clients write, and restart",
    )
    reply = probe.call(name, patient.foreign_token(), "tools/list")
    yield finding(
        name,
        "foreign_audience",
        reply.status == 401,
        f"with a token for another resource: {reply.status}",
        "stop the server and report it as a weakness: see SECURITY.md",
    )


def _is_unapproved(reply: Reply) -> bool:
    return reply.status == 503 and _said(reply).startswith("connector ")


def _said(reply: Reply) -> str:
    problem = reply.message.get("error")
    return str(problem.get("message", "")) if isinstance(problem, dict) else ""


def _unapproved(name: str, reply: Reply) -> Finding:
    said, _, fix = _said(reply).partition(": ")
    return finding(name, "approved", False, said, fix)


def _outside(name: str) -> Finding:
    """Say that nothing is wrong, and why no more was tried."""
    found = (
        "from this machine it does not exist, as its `boundary.reachable_from` says: run "
        "the doctor inside to try the rest"
    )
    return Finding(name, "boundary", True, found, "")


def _list(name: str, reply: Reply) -> Finding:
    listed = reply.status == 200 and "result" in reply.message
    without_tools = reply.error_code == METHOD_NOT_FOUND
    found = "the server behind lists" if listed else f"a list is answered {reply.status}"
    if without_tools:
        found = "the server behind has no tools"
    fixes = {
        401: "reload the server, so that it knows this connector and the newest key",
        502: f"start the server behind `{name}`, or correct its `url` or `command`",
        503: LOG_FIX,
        504: f"the server behind `{name}` does not answer in time: look at its own log",
    }
    fix = fixes.get(reply.status, f"look at what the server behind `{name}` says")
    return finding(name, "list", listed or without_tools, found, fix)


def _refusal(probe: Probe, patient: Patient) -> Iterator[Finding]:
    name = patient.connector
    token = patient.token()
    reply = probe.call(name, token, "tools/call", name=patient.unknown_name, arguments={})
    # 403: a role lets the built-in agent use everything; the token's scope still does not.
    refused = reply.error_code == INVALID_PARAMS or reply.status == 403
    yield finding(
        name,
        "unknown_name",
        refused,
        f"a name that cannot exist: {reply.error_code}",
        "stop the server and report it as a weakness: see SECURITY.md",
    )
    seq = patient.record()
    yield finding(
        name,
        "record",
        seq is not None,
        "no record of that" if seq is None else f"its record is {seq}",
        LOG_FIX,
    )
    if seq is not None:
        yield _receipt(name, seq, patient.check_receipt)


def _receipt(name: str, seq: int, check: Callable[[int], None]) -> Finding:
    try:
        check(seq)
    except BasculeError as exc:
        return Finding(name, "receipt", False, str(exc), LOG_FIX)
    return Finding(name, "receipt", True, f"record {seq} is proven by its receipt", "")


def finding(connector: str | None, check: str, ok: bool, found: str, fix: str) -> Finding:
    """Make a finding; the fix is said where it is needed alone."""
    return Finding(connector, check, ok, found, "" if ok else fix)


def _stranger(reply: Reply) -> str:
    """Give the fix for answers that come before a request is looked at; else nothing."""
    return {
        403: "run the doctor where a proxy of `server.behind_proxy` is in between",
        421: "let the proxy pass `Host` on, or add the name to `server.allowed_hosts`",
    }.get(reply.status, "")
