"""What sessions of stdio servers hold, and that it is let go."""

from __future__ import annotations

from pathlib import Path

from bascule.clock import system_entropy
from bascule.config.model import Limits
from bascule.gateway.hosted_sessions import MAX_SUBSCRIBED, Session, Sessions
from bascule.launch.command import Command
from bascule.launch.peer import Peer
from bascule.launch.server import StdioServer
from bascule.launch.wanted import Wanted


def begun(folder: Path) -> tuple[Sessions, Session, Peer]:
    """Begin a session with a server of which nothing runs."""
    sessions = Sessions(system_entropy)
    server = StdioServer(Command("desk", ("true",)), folder, Limits(), sessions)
    wanted = Wanted("", "2025-11-25")
    session = sessions.begin(server, "user:alice", "app", wanted, shared=True)
    return sessions, session, Peer("desk", sessions, place=server.place(wanted))


def test_a_session_hears_of_so_many_resources_and_no_more(tmp_path: Path) -> None:
    """Clients choose the names, and the process that keeps them serves everybody."""
    sessions, session, peer = begun(tmp_path)
    for number in range(MAX_SUBSCRIBED):
        assert sessions.may_subscribe(session, f"note:{number}")
        sessions.subscribe(session, f"note:{number}", peer)
    assert not sessions.may_subscribe(session, "note:one-more")
    assert sessions.may_subscribe(session, "note:0")
    assert sessions.unsubscribe(session, "note:0")
    assert sessions.may_subscribe(session, "note:one-more")
    sessions.end(session)
    assert not peer.busy


def test_a_name_is_kept_by_its_digest_however_long_it_is(tmp_path: Path) -> None:
    sessions, session, peer = begun(tmp_path)
    sessions.subscribe(session, "note:" + "x" * 1_000_000, peer)
    assert max(map(len, session.subscribed)) == 32


def test_a_subscription_that_comes_about_after_the_end_holds_no_process(
    tmp_path: Path,
) -> None:
    """Ended while its server thought: a process that is held is never idle."""
    sessions, session, peer = begun(tmp_path)
    sessions.end(session)
    sessions.subscribe(session, "note:late", peer)
    assert not peer.busy
