"""The running gateway, asked from outside: what it lets through, and what not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bascule.app.exposure import Deployment, examine_exposure
from bascule.app.posture.control import Control, Subject
from bascule.app.probe import Probe, Reply
from bascule.protocol import modern
from bascule.protocol.message import HEADER_MISMATCH

TOKENS = Subject(
    "known",
    "tokens",
    "no request passes without a good token, listing and discovery included",
    "requests to `server.public_url` without a token, with a bad one, and with one for "
    "another resource",
    "stop the server and report it as a weakness: see SECURITY.md",
)
SHOWN = Subject(
    "known",
    "shown",
    "the deployment shows what it should, and nothing else",
    "`bascule doctor --exposure`",
    "`bascule doctor --exposure` says what to do about each",
)
STRICT = Subject(
    "entitled",
    "strict",
    "headers that say something else than the body, and bodies that are too large or too "
    "deep, are refused",
    "such requests to `server.public_url`",
    "stop the server and report it as a weakness: see SECURITY.md",
)
LIVE = (TOKENS, SHOWN, STRICT)

_ASKED = ("initialize", "server/discover", "ping", "tools/list", "tools/call")


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that runs, and what is needed to ask it."""

    probe: Probe
    deployment: Deployment
    token: Callable[[], str]
    """Issues a token for the first connector, which permits nothing."""
    foreign_token: Callable[[], str]
    """Issues a token that is good, but for another resource."""
    body_bytes: int
    depth: int


def live_controls(running: Running | None, why: str, fix: str) -> Iterator[Control]:
    """Judge by asking; `why`: why there is nobody to ask, `fix`: what to do about that."""
    if running is None:
        yield from (it.unseen(why, fix) for it in LIVE)
        return
    for subject, look in zip(LIVE, (_tokens, _shown, _strict), strict=True):
        try:
            yield subject.judged(look(running))
        except OSError as exc:
            url = running.deployment.public_url
            yield subject.unseen(f"{url} cannot be reached from here: {exc}")


def _tokens(it: Running) -> Iterator[str]:
    name = it.deployment.connectors[0]
    # Looks like one of ours, and is none.
    forged = hashlib.sha256(it.deployment.public_url.encode()).hexdigest()
    shown = {"without a token": None, "with a bad token": forged}
    for method in _ASKED:
        for said, token in shown.items():
            reply = it.probe.call(name, token, method)
            if reply.status != 401:
                yield f"`{method}` {said}: {reply.status}"
    reply = it.probe.call(name, it.foreign_token(), "tools/list")
    if reply.status != 401:
        yield f"`tools/list` with a token for another resource: {reply.status}"
    reply = it.probe.post(name, None, {"Mcp-Session-Id": "0" * 32}, _list())
    if reply.status != 401:
        yield f"`tools/list` with a session and no token: {reply.status}"


def _shown(it: Running) -> Iterator[str]:
    for finding in examine_exposure(it.probe, it.deployment):
        if not finding.ok:
            yield f"{finding.connector or 'server'}: {finding.check}: {finding.found}"


def _strict(it: Running) -> Iterator[str]:
    name, token = it.deployment.connectors[0], it.token()
    headers = {"MCP-Protocol-Version": modern.VERSION, "Mcp-Method": "tools/call"}
    reply = it.probe.post(name, token, headers, _list())
    if (reply.status, reply.error_code) != (400, HEADER_MISMATCH):
        yield f"a header that names another method than the body: {reply.status}"
    deep: object = 0
    for _ in range(it.depth + 1):
        deep = [deep]
    reply = it.probe.post(name, token, {}, {**_list(), "params": {"deep": deep}})
    if not _refused(reply):
        yield f"a body that is nested {it.depth + 1} times: {reply.status}"
    padding = "x" * it.body_bytes
    reply = _large(it, name, token, {**_list(), "params": {"padding": padding}})
    if not _refused(reply):
        yield f"a body of more than {it.body_bytes} bytes: {reply.status}"


def _large(it: Running, name: str, token: str, body: Mapping[str, object]) -> Reply:
    """Send it; who refuses a body by its length may cut the connection at once."""
    try:
        return it.probe.post(name, token, {}, body)
    except (BrokenPipeError, ConnectionResetError):
        return Reply(413, {}, b"")


def _refused(reply: Reply) -> bool:
    return reply.status in {400, 413}


def _list() -> dict[str, object]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": modern.VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "operator", "version": "1"},
    }
    return {"id": 1, "method": "tools/list", "params": {"_meta": meta}}
