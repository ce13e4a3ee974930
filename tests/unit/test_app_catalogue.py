"""Who there is: everybody whom a right could be given to, and whether they are shut out."""

from __future__ import annotations

import contextlib
import shutil
from functools import partial
from pathlib import Path

from bascule.app.catalogue import KnownAgent, KnownUser, known_agents, known_users
from bascule.clock import UnixTime
from bascule.config.model import Agents, Config, Connector, Role
from bascule.decision.granted import Granted
from bascule.decision.snapshot import build_snapshot
from bascule.storage import agents, foreigners, users
from bascule.storage.foreigners import Foreigner
from bascule.storage.store import open_store

NOW = UnixTime(1_764_000_000)
FOREIGN = "user:https://idp.example|7"
CONFIG = Config(
    connectors={"files": Connector(url="https://files.example/mcp", mode="observe")},
    roles={
        "clerk": Role(members=("user:alice", "user:ghost", FOREIGN, "group:x", "agent:job"))
    },
    agents=Agents(ceilings={"desk": ("files/*",)}),
)
CEDAR = {
    "x.cedar": """
@id("owl") permit(principal, action in Mcp::Action::"use", resource in Mcp::Server::"files")
when { principal == Mcp::User::"owl" || context.agent == Mcp::Agent::"nest" };
"""
}
GRANTS = (Granted("g1", "user:guest", "kiosk", ("files/read",), UnixTime(NOW + 60)),)


def test_everybody_whom_somebody_named_is_there(
    migrated_file: Path, tmp_path: Path
) -> None:
    policies = build_snapshot(CONFIG, CEDAR, grants=GRANTS).policies.by_id.values()
    path = shutil.copy(migrated_file, tmp_path / "state.db")
    with contextlib.closing(open_store(path)) as store:
        store.run(
            partial(
                users.add,
                name="alice",
                groups=("x",),
                is_admin=False,
                setup_hash=None,
                setup_expires_at=None,
                now=NOW,
            )
        )
        store.run(
            partial(
                agents.add,
                client_id="kiosk",
                secret_hash=None,
                jwks=None,
                redirect_uris=("http://127.0.0.1/cb",),
                now=NOW,
            )
        )
        store.run(partial(agents.disable, client_id="kiosk", now=NOW))
        store.run(partial(foreigners.disable, who=Foreigner("user", FOREIGN), now=NOW))
        assert known_users(store, CONFIG, policies) == [
            KnownUser("user:alice", frozenset({"group:x"})),
            KnownUser("user:ghost"),
            KnownUser("user:guest"),
            KnownUser(FOREIGN, disabled=True),
            KnownUser("user:owl"),
        ]
        assert known_agents(store, CONFIG, policies) == [
            KnownAgent("bascule-cli"),
            KnownAgent("desk"),
            KnownAgent("job"),
            KnownAgent("kiosk", disabled=True),
            KnownAgent("nest"),
        ]
