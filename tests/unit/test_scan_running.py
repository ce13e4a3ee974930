from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as changed

from bascule.scan.configs import Scanned
from bascule.scan.finding import found
from bascule.scan.host import HostScan
from bascule.scan.interfaces import OwnAddress, Reach
from bascule.scan.joined import joined
from bascule.scan.local_view import Listener, LocalView, Process
from bascule.scan.named import Named
from bascule.scan.probed import Probed
from bascule.scan.report import Report
from bascule.scan.rules.probe import OPEN_SERVER
from bascule.scan.running import Answers, Running, listening, speaking
from bascule.scan.server import Server, State
from bascule.scan.stdio_servers import stdio_servers
from bascule.scan.surroundings import Surroundings

LOOPBACK = OwnAddress("lo", "127.0.0.1", "127.0.0.0/8", "loopback")
ANY = "0.0.0.0"  # noqa: S104 - compared, not bound
SECRET = "sk-proj-S3CR3Tcanary0123456789abcdefghij"
PROCESS = Process(7, 1, 1000, ("node", "server.js", "--token", SECRET), "/nowhere")
EMPTY = Surroundings(view=LocalView({}, (), ()), own=(LOOPBACK,))


def probed(state: State, address: str = "127.0.0.1", *, finding: bool = False) -> Probed:
    url = f"http://{address}:8000/mcp"
    server = Server(name="x", transport="http", url=url, state=state)
    findings = (found(OPEN_SERVER, url, "seen"),) if finding else ()
    return Probed(server=server, findings=findings)


def at(reach: Reach, address: str = "10.0.0.1") -> OwnAddress:
    return OwnAddress("eth0", address, f"{address}/32", reach)


def run(*answers: tuple[OwnAddress, Probed], around: Surroundings = EMPTY) -> Running:
    return listening(Answers(Listener(ANY, 8000, 1000, PROCESS), answers), around)


def severities(running: Running) -> dict[str, str]:
    return {it.rule: it.severity for it in running.findings}


def test_on_loopback_a_shadow_is_medium_and_not_exposed() -> None:
    assert severities(run((LOOPBACK, probed("token_required")))) == {
        "shadow-server": "medium"
    }


@pytest.mark.parametrize(
    ("reach", "severity"),
    [
        ("bridge", "low"),
        ("link_local", "medium"),
        ("private", "medium"),
        ("public", "high"),
    ],
)
def test_the_wider_the_reach_the_worse(reach: Reach, severity: str) -> None:
    narrow, wide = (LOOPBACK, probed("open")), (at(reach), probed("open", "10.0.0.1"))
    assert severities(run(narrow, wide)) == {
        "shadow-server": "high",
        "exposed-server": severity,
    }


def test_the_row_shows_what_gives_a_stranger_the_most() -> None:
    """Open on loopback and refused beyond: that it is open is what counts."""
    running = run(
        (LOOPBACK, probed("open", finding=True)),
        (at("public"), probed("token_required", "10.0.0.1")),
    )
    assert (running.server.url, running.server.state) == (
        "http://127.0.0.1:8000/mcp",
        "open",
    )
    assert "exposed-server" in severities(running)


def test_a_rule_speaks_once_and_of_the_widest_address() -> None:
    running = run(
        (LOOPBACK, probed("open", finding=True)),
        (at("private"), probed("open", "10.0.0.1", finding=True)),
    )
    (finding,) = [it for it in running.findings if it.rule == "open-server"]
    assert finding.target == "http://10.0.0.1:8000/mcp"


def test_what_only_another_address_shows_is_said_too() -> None:
    running = run(
        (LOOPBACK, probed("token_required", finding=True)),
        (at("private"), probed("open", "10.0.0.1")),
    )
    assert "open-server" in severities(running)


def test_who_names_it_gives_it_name_and_file() -> None:
    named = Named(
        name="ledger", url="http://localhost:8000/mcp", client="Cursor", path="/f"
    )
    running = run((LOOPBACK, probed("open")), around=replace(EMPTY, named=(named,)))
    assert severities(running) == {}
    row = running.server
    assert (row.name, row.client, row.path, row.known) == ("ledger", "Cursor", "/f", True)


def test_where_a_user_s_files_were_not_read_a_server_is_neither_known_nor_a_shadow() -> (
    None
):
    running = run((LOOPBACK, probed("open")), around=replace(EMPTY, user_id=1001))
    assert running.server.known is None
    assert severities(running) == {}
    (gap,) = running.not_assessed
    assert "user 1000" in gap.why


def test_secrets_in_a_command_line_are_in_neither_row_nor_evidence() -> None:
    running = run((LOOPBACK, probed("open")))
    assert SECRET not in str((running.server, running.findings))
    assert running.server.process == ("node", "server.js", "--token", "[redacted]")


def test_what_a_terminal_would_obey_is_written_out() -> None:
    process = Process(7, 1, 0, ("a\x1b[2J", "b\nc", "\u202e"))
    answers = Answers(Listener(ANY, 8000, 0, process), [(LOOPBACK, probed("open"))])
    (finding,) = listening(answers, EMPTY).findings
    assert finding.evidence.isprintable()


def test_all_sockets_of_a_server_are_named_and_may_be_what_a_file_means() -> None:
    listener = Listener("127.0.0.1", 8000, 1000, PROCESS)
    also = (Listener("::1", 8000, 1000, PROCESS),)
    answers = Answers(listener, [(LOOPBACK, probed("open"))], also)
    (finding,) = listening(answers, EMPTY).findings
    assert "listens on 127.0.0.1:8000 and [::1]:8000" in finding.evidence
    named = replace(EMPTY, named=(Named(name="x", url="http://[::1]:8000/mcp"),))
    assert listening(answers, named).server.known is True


def test_bascule_s_own_port_is_meant_to_be_reached() -> None:
    """A program of that name at another port is as exposed as any."""
    ours = Process(8, 1, 1000, ("bascule", "up"))
    wide = ((at("private"), probed("token_required", "10.0.0.1")),)
    answers = Answers(Listener(ANY, 8420, 1000, ours), wide)
    around = replace(EMPTY, bascule_ports=frozenset({8420}))
    assert "exposed-server" not in severities(listening(answers, around))
    assert listening(answers, around).server.through_bascule is True
    assert "exposed-server" in severities(listening(answers, EMPTY))


def speak(around: Surroundings = EMPTY) -> Running:
    process = Process(
        7, 1, 1000, ("uvx", "acme-mcp", "--key", SECRET), channels=frozenset()
    )
    process = replace(process, input="pipe:[1]", output="pipe:[2]")
    parent = Process(1, 0, 0, ("init", "--password", SECRET))
    view = LocalView({7: process, 1: parent}, (), ())
    (server,) = stdio_servers(view)
    return speaking(server, replace(around, view=view))


def test_a_process_that_nobody_names_is_a_shadow() -> None:
    running = speak()
    (finding,) = running.findings
    assert (finding.rule, finding.severity) == ("shadow-process", "low")
    assert "started by process 1" in finding.evidence
    assert SECRET not in str(running)


def test_a_process_of_another_user_is_no_shadow_when_their_files_were_not_read() -> None:
    running = speak(replace(EMPTY, user_id=1001))
    assert (running.server.known, running.findings) == (None, ())


CURSOR = Named(name="a", command=("a",), client="Cursor", path="/f")
CLAUDE = Named(name="a", command=("a",), client="Claude", path="/g")
ROWS = tuple(
    Server(name="a", client=it.client, path=it.path, state="configured", known=True)
    for it in (CURSOR, CLAUDE)
)


def join(*running: Running) -> list[tuple[object, object, str]]:
    files = Scanned(Report(servers=ROWS), (), ())
    host = HostScan(running, Report(servers=tuple(it.server for it in running)))
    report = joined(files, (CURSOR, CLAUDE), host)
    return [(it.client, it.pid, it.state) for it in report.servers]


def runs(pid: int, *named: Named) -> Running:
    return Running(Server(name="a", state="running", pid=pid, client="Cursor"), named)


def test_a_server_that_runs_is_in_the_row_of_each_file_that_names_it() -> None:
    assert join(runs(5, CURSOR, CLAUDE)) == [
        ("Cursor", 5, "running"),
        ("Claude", 5, "running"),
    ]


def test_of_several_that_run_by_one_entry_each_has_a_row() -> None:
    rows = join(runs(5, CURSOR), runs(6, CURSOR))
    assert [pid for _client, pid, _state in rows][::2] == [5, 6]
    assert rows[1][2] == "configured"


def test_a_shadow_has_a_row_of_its_own() -> None:
    shadow = Running(changed(runs(9).server, name="b"))
    assert [pid for _client, pid, _state in join(shadow)][2:] == [9]
