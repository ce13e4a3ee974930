"""One MCP server that runs on this machine: its row, and what is wrong with how it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import UNSET
from msgspec.structs import replace

from bascule.lock.invisible import visible
from bascule.scan.endpoints import bound
from bascule.scan.finding import Finding, found
from bascule.scan.interfaces import REACHES, OwnAddress, Reach
from bascule.scan.local_view import Listener, Processes
from bascule.scan.named import Named
from bascule.scan.probed import Probed
from bascule.scan.program_names import program_name
from bascule.scan.redaction import redacted, redacted_command
from bascule.scan.report import Gap
from bascule.scan.rule import Severity
from bascule.scan.rules.host import EXPOSED_SERVER, SHADOW_PROCESS, SHADOW_SERVER
from bascule.scan.server import Server, State
from bascule.scan.stdio_servers import StdioServer, is_bascule
from bascule.scan.surroundings import Surroundings, shown_command, shown_process
from bascule.scan.text.sets import Definitions

_OPENNESS: tuple[State, ...] = (
    "open",
    "garbage_accepted",
    "discovery_open",
    "token_in_url",
    "token_required",
    "mutual_tls",
    "forbidden",
)
"""What a stranger gets, the most first."""

_SHOWN_NAME = 80
_EXPOSED: dict[Reach, Severity] = {"bridge": "low", "public": "high"}
_NAMES_LOOKED_FOR = "no client's file and no connector of Bascule that was read names it"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs here, and who has named it."""

    server: Server
    named: tuple[Named, ...] = ()
    findings: tuple[Finding, ...] = ()
    not_assessed: tuple[Gap, ...] = ()
    tools: Definitions = ()
    """What it lists without a credential, where somebody has named it."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What one endpoint of a socket answered, by the address that it was asked at."""

    listener: Listener
    by_address: Sequence[tuple[OwnAddress, Probed]]
    also: tuple[Listener, ...] = ()
    """Sockets of the same process at the same port."""

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Give all its sockets."""
        return (self.listener, *self.also)

    @property
    def widest(self) -> tuple[OwnAddress, Probed]:
        """Give the address of the widest reach at which MCP is spoken."""
        return max(self.by_address, key=lambda it: REACHES.index(it[0].reach))

    @property
    def most_open(self) -> tuple[OwnAddress, Probed]:
        """Give what gives a stranger the most, of that what reaches widest."""
        return max(
            self.by_address,
            key=lambda it: (-_openness(it[1].server.state), REACHES.index(it[0].reach)),
        )


def _openness(state: State) -> int:
    return _OPENNESS.index(state) if state in _OPENNESS else len(_OPENNESS)


def listening(answers: Answers, around: Surroundings) -> Running:
    """Put together what is known of a server that listens."""
    listener = answers.listener
    process = listener.process
    naming = (it for each in answers.listeners for it in around.naming_listener(each))
    named = tuple(dict.fromkeys(naming))
    known: bool | None = bool(named)
    if not named and around.may_be_named_elsewhere(listener.user_id):
        known = None
    _address, probed = answers.most_open
    named_so = process is not None and is_bascule(process.command)
    ours = named_so and listener.port in around.bascule_ports
    server = _called(
        replace(
            probed.server,
            known=known,
            through_bascule=True if ours else None,
            pid=UNSET if process is None else process.pid,
            process=UNSET if process is None else redacted_command(process.command),
            container=(process.container if process else None) or UNSET,
        ),
        named,
    )
    findings = list(_probe_findings(answers, probed))
    if known is False:
        findings.append(_shadow(answers, probed))
    if not ours and answers.widest[0].reach != "loopback":
        findings.append(_exposed(answers))
    gaps = _gaps(answers, probed)
    if known is None:
        gaps.append(_unknown_names(url_of(probed), listener.user_id))
    tools = _tools(probed) if named else ()
    return Running(server, named, tuple(findings), tuple(gaps), tools)


def _tools(probed: Probed) -> Definitions:
    return probed.identity.lists.get("tools/list", ()) if probed.identity else ()


def _called(server: Server, named: Sequence[Named]) -> Server:
    """Take name, client and file from who has named it first."""
    if not named:
        return server
    first = named[0]
    return replace(
        server, name=first.name, client=first.client or UNSET, path=first.path or UNSET
    )


def _probe_findings(answers: Answers, shown: Probed) -> Sequence[Finding]:
    """Give each rule's finding once, of the address that is shown before others."""
    others = [each for _address, each in answers.by_address if each is not shown]
    rules = {it.rule for it in shown.findings}
    findings = list(shown.findings)
    for probed in reversed(others):
        findings += [it for it in probed.findings if it.rule not in rules]
        rules |= {it.rule for it in probed.findings}
    return findings


def _gaps(answers: Answers, shown: Probed) -> list[Gap]:
    """Give what is not known, each thing once: of the address that is shown, if it is."""
    kept: dict[tuple[str, str], Gap] = {}
    for probed in (shown, *(each for _address, each in reversed(answers.by_address))):
        for gap in probed.not_assessed:
            kept.setdefault((gap.what, gap.why), gap)
    return list(kept.values())


def _shadow(answers: Answers, probed: Probed) -> Finding:
    beyond = answers.widest[0].reach != "loopback"
    return found(
        SHADOW_SERVER,
        url_of(probed),
        f"{_described(answers)}; {_NAMES_LOOKED_FOR}",
        severity="high" if beyond else None,
    )


def _exposed(answers: Answers) -> Finding:
    address, probed = answers.widest
    return found(
        EXPOSED_SERVER,
        url_of(probed),
        f"{_described(answers)}; it answers at {address.address} of {address.interface}, "
        f"network {address.network} ({address.reach.replace('_', '-')})",
        severity=_EXPOSED.get(address.reach),
    )


def url_of(probed: Probed) -> str:
    """Give the URL of an endpoint, as reports call it."""
    return probed.server.url or probed.server.name


def _described(answers: Answers) -> str:
    where = " and ".join(map(bound, answers.listeners))
    return f"{shown_process(answers.listener.process)}, listens on {where}"


def _unknown_names(target: str, user_id: int | None) -> Gap:
    return Gap(
        target=target,
        what="whether somebody has named it",
        why=f"it runs as user {user_id}, whose files were not read: run it as root",
    )


def speaking(server: StdioServer, around: Surroundings) -> Running:
    """Put together what is known of a server that speaks over pipes."""
    process = server.process
    named = around.naming_process(server.family)
    known: bool | None = bool(named) or server.through_bascule
    if not known and around.may_be_named_elsewhere(process.user_id):
        known = None
    row = _called(
        Server(
            name=visible(redacted(program_name(process.command)))[:_SHOWN_NAME],
            transport="stdio" if server.seen_to_speak else None,
            command=redacted_command(process.command),
            known=known,
            through_bascule=server.through_bascule,
            state="running",
            pid=process.pid,
            container=process.container or UNSET,
        ),
        named,
    )
    if known is False:
        return Running(row, named, (_shadow_process(server, around.view.processes),))
    gap = _unknown_names(shown_command(process), process.user_id)
    return Running(row, named, not_assessed=() if known else (gap,))


def _shadow_process(server: StdioServer, processes: Processes) -> Finding:
    process = server.process
    parent = processes.get(process.parent)
    return found(
        SHADOW_PROCESS,
        shown_command(process),
        f"{shown_process(process)}, recognised {server.sign}, started by "
        f"{shown_process(parent)}; {_NAMES_LOOKED_FOR}",
    )
