"""`bascule lock`: what is asked for, installed, run and written down."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bascule.launch.sandbox.bubblewrap import Bubblewrap
from bascule.launch.sandbox.landlock import Landlock
from bascule.lock.lock_file import LOCK_NAME
from bascule.lock.model import entry_digest
from registry import registry
from system.locked import TOOL, Locked

pytestmark = pytest.mark.on_disk


@pytest.fixture
def place(tmp_path: Path) -> Locked:
    return Locked(tmp_path)


def test_an_entry_says_what_runs_and_what_it_serves(place: Locked) -> None:
    row = place.row("lock")
    entry = place.entry
    assert row["entry"] == entry_digest(entry)
    assert (row["connector"], row["packages"], row["tools"]) == ("small", 0, 1)
    assert entry.launch.argv[0] == "{python}"
    assert entry.surface is not None
    assert list(entry.surface.tools) == ["look"]
    assert row["sandbox"] == entry.surface.seen_by == "bubblewrap"
    assert (place.tree / "server.py").read_text() == (
        place.server / "server.py"
    ).read_text()
    (record,) = place.rows("audit", "query", "--type", "connector.lock")
    assert record["connector"] == "small"


def test_locking_again_changes_nothing(place: Locked) -> None:
    place.run("lock")
    files = [place.folder / LOCK_NAME, place.folder / "surfaces" / "small.json"]
    before = [path.read_bytes() for path in files]
    place.run("lock", "small")
    assert [path.read_bytes() for path in files] == before


def test_what_is_locked_names_no_place_of_this_machine(place: Locked) -> None:
    place.run("lock")
    for path in (place.folder / LOCK_NAME, place.folder / "surfaces" / "small.json"):
        text = path.read_text().replace(str(place.entry.launch.command[0]), "")
        assert str(place.folder) not in text


def test_another_file_or_definition_gives_another_entry(place: Locked) -> None:
    digests = [place.row("lock")["entry"]]
    place.serve({**TOOL, "description": "Looks on."})
    digests.append(place.row("lock")["entry"])
    (place.server / "more.txt").write_text("more")
    digests.append(place.row("lock")["entry"])
    place.configure('owner = "somebody"')
    digests.append(place.row("lock")["entry"])
    assert len(set(digests)) == 4


def test_a_server_that_does_not_answer_is_locked_without_a_surface(
    place: Locked,
) -> None:
    (place.server / "server.py").write_text("raise SystemExit(1)")
    result = place.run("lock")
    assert place.entry.surface is None
    assert "what it serves is not known" in result.stderr
    assert place.row("lock")["tools"] is None


def test_a_definition_that_cannot_be_pinned_is_told(place: Locked) -> None:
    place.serve(TOOL, {**TOOL, "name": "odd", "minimum": 1 << 60})
    result = place.run("lock")
    assert "tools/odd" in result.stderr
    assert place.entry.surface is not None
    assert list(place.entry.surface.tools) == ["look"]


def test_a_secret_that_a_server_repeats_is_written_nowhere(place: Locked) -> None:
    """As those do that describe themselves with the address of their database."""
    secret = "postgres://reader:hunter2@db.example/tickets"
    (place.folder / "secret").write_text(secret + "\n")
    (place.folder / "secret").chmod(0o600)
    place.configure(settings=f'env = {{ DATABASE = "file:{place.folder}/secret" }}')
    place.serve({**TOOL, "description": f"Asks {secret}."})
    assert (
        "a secret that it was given" in place.run("lock", "small", "--with-access").stderr
    )
    assert place.entry.surface is None
    kept = [it for it in place.folder.rglob("*") if it.is_file() and it.name != "secret"]
    kept = [it for it in kept if "server" not in it.parts and "store" not in it.parts]
    assert not any(b"hunter2" in it.read_bytes() for it in kept)


def test_code_that_a_reference_hides_is_not_locked(place: Locked) -> None:
    """What `NODE_OPTIONS` holds is run, and an approval binds the reference alone."""
    place.configure(settings='env = { NODE_OPTIONS = "env:HOME", TOKEN = "env:HOME" }')
    assert "`env.NODE_OPTIONS` decides" in place.run("lock", "small", code=3).stderr
    place.configure(settings='env = { NODE_OPTIONS = "--no-warnings", TOKEN = "env:HOME" }')
    place.run("lock", "small")


def test_a_server_is_locked_in_its_sandbox(place: Locked) -> None:
    outside = place.folder / "secret"
    outside.write_text("secret")
    program = place.server / "server.py"
    text = program.read_text()
    program.write_text(f"open({str(outside)!r}).read()\n{text.partition(chr(10))[2]}")
    place.run("lock")
    assert place.entry.surface is None


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ('["sh", "-c", "exec server"]', "without the shell"),
        ('["server/missing.py"]', "missing.py"),
        ('["docker"]', "docker run"),
    ],
)
def test_what_cannot_be_locked_is_told_and_leaves_the_lock_alone(
    place: Locked, command: str, says: str
) -> None:
    place.run("lock")
    before = (place.folder / LOCK_NAME).read_bytes()
    place.configure(command=command)
    assert says in place.run("lock", code=3).stderr
    assert (place.folder / LOCK_NAME).read_bytes() == before


def test_a_connector_that_is_not_configured_is_named(place: Locked) -> None:
    assert "bascule add other" in place.run("lock", "other", code=3).stderr


def test_what_is_added_is_locked(place: Locked) -> None:
    place.config.write_text("")
    result = place.run("add", "small", "--json", "--", "python3", "server/server.py")
    row = json.loads(result.stdout)
    assert row["mode"] == "enforce"
    assert row["locked"]["entry"] == entry_digest(place.entry)
    assert row["locked"]["tools"] == 1
    place.run("approve", "small", "--reason", "looked at it")
    place.run("verify", "small")


def test_what_cannot_be_locked_is_added_all_the_same(place: Locked) -> None:
    place.config.write_text("")
    result = place.run("add", "small", "--", "sh", "-c", "exec server")
    assert "small is not locked" in result.stderr
    assert "bascule lock small" in result.stdout
    assert "[connectors.small]" in place.config.read_text()


def test_nothing_is_granted_that_holds_the_configuration_whatever_its_name(
    place: Locked,
) -> None:
    place.config = place.config.rename(place.folder / "gateway.toml")
    place.configure(f'sandbox = {{ read = ["{place.folder}"] }}')
    result = place.run("lock")
    assert "cannot be granted" in result.stderr
    assert place.entry.surface is None


SNOOP = """
import json, os, socket
from pathlib import Path
seen = {"token": os.environ.get("TOKEN"), "files": os.listdir("%s")}
try:
    socket.create_connection(("127.0.0.1", 9), 1)
except OSError as exc:
    seen["network"] = type(exc).__name__
tools = json.loads(Path(__file__).with_name("tools.json").read_text())
tools[0]["description"] = json.dumps(seen)
answers = __import__("small_server")
answers.TOOLS = type("Tools", (), {"read_text": staticmethod(lambda: json.dumps(tools))})
answers.main()
"""


@pytest.fixture
def snoop(place: Locked) -> Locked:
    """Give a server that shows what it has: a secret and a folder are declared for it."""
    granted = place.folder / "granted"
    granted.mkdir()
    (granted / "letter").touch()
    secret = place.folder / "secret"
    secret.write_text("short")
    secret.chmod(0o600)
    server = place.server / "server.py"
    server.rename(place.server / "small_server.py")
    server.write_text(SNOOP % granted)
    place.configure(
        f'env = {{ TOKEN = "file:{secret}" }}\nsandbox = {{ read = ["{granted}"] }}'
    )
    return place


def shown(place: Locked) -> dict[str, object]:
    """Give what the server had when it was asked what it serves."""
    surface = json.loads((place.folder / "surfaces" / "small.json").read_text())
    (definition,) = surface["tools"]["look"]
    found: dict[str, object] = json.loads(definition["description"])
    return found


def test_a_server_that_nobody_approved_is_asked_without_its_access(snoop: Locked) -> None:
    result = snoop.run("lock")
    assert "without its secrets, its files" in result.stderr
    found = shown(snoop)
    assert found["token"] == "not-given-before-approval"
    assert found["files"] == []
    assert "network" in found


def test_whoever_trusts_it_can_give_it_what_it_is_declared_to_have(snoop: Locked) -> None:
    assert "without" not in snoop.run("lock", "--with-access").stderr
    found = shown(snoop)
    assert (found["token"], found["files"]) == ("short", ["letter"])
    assert snoop.entry.sandbox.read == (str(snoop.folder / "granted"),)


def test_what_is_approved_is_asked_as_it_runs(snoop: Locked) -> None:
    snoop.run("lock", "--with-access")
    snoop.run("approve", "small", "--reason", "looked at it")
    snoop.run("diff", "small", "locked..served")
    snoop.run("reject", "small", "--reason", "looked again")
    snoop.run("diff", "small", "locked..served", code=1)


def test_an_approved_entry_stays_when_its_server_cannot_be_asked(place: Locked) -> None:
    """As one that does not start without its files, which are away for a moment."""
    granted = place.folder / "granted"
    granted.mkdir()
    (granted / "letter").touch()
    reads = f"sandbox.read = [{str(granted)!r}]"
    place.configure(reads)
    program = place.server / "server.py"
    first = "from __future__ import annotations\n"
    opened = f"{first}open({str(granted / 'letter')!r})\n"
    program.write_text(program.read_text().replace(first, opened, 1))
    assert "bascule lock small --with-access`" in place.run("lock").stderr
    assert place.entry.surface is None
    place.run("lock", "--with-access")
    place.run("approve", "small", "--reason", "looked at it")
    entry = place.entry
    (granted / "letter").unlink()
    assert "stays locked as it was" in place.run("lock").stderr
    assert place.entry == entry
    assert place.row("verify", "small")["ok"]
    place.configure(f"{reads}\nowner = 'else'")
    assert "stays locked" not in place.run("lock").stderr
    assert place.entry.surface is None


def test_a_path_that_the_sandbox_does_not_have_is_named(place: Locked) -> None:
    granted = place.folder / "granted"
    granted.mkdir()
    more = [f"--root={granted}", "./here", "/nowhere", "/usr"]
    command = json.dumps([sys.executable, "server/server.py", *more])
    place.configure(command=command)
    said = place.run("lock").stderr
    assert f"`{granted}` does not exist in its sandbox" in said
    assert "[connectors.small.sandbox]" in said
    assert "`./here` is looked for in the server's own empty home" in said
    assert "/nowhere" not in said
    assert "/usr" not in said
    place.configure(f"sandbox.write = [{str(granted)!r}]", command)
    assert "does not exist in its sandbox" not in place.run("lock").stderr


def test_locking_what_is_approved_again_asks_it_as_it_runs(snoop: Locked) -> None:
    snoop.run("lock", "--with-access")
    snoop.run("approve", "small", "--reason", "looked at it")
    assert "without" not in snoop.run("lock").stderr
    snoop.run("verify", "small")
    (snoop.server / "more.txt").touch()
    assert "without its secrets" in snoop.run("lock").stderr


def test_a_launcher_that_is_not_there_is_missed_until_it_is_locked(place: Locked) -> None:
    launcher = place.folder / "python"
    launcher.symlink_to(sys.executable)
    place.configure(command=json.dumps([str(launcher), "server/server.py"]))
    place.run("lock")
    launcher.unlink()
    assert "warning" not in place.run("config", "check").stdout
    (place.folder / LOCK_NAME).unlink()
    assert "connectors.small.command" in place.run("config", "check").stdout


def test_a_package_that_does_not_exist_is_not_added(
    place: Locked, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registry(place.folder / "cache") as served:
        for variable, value in served.environment().items():
            monkeypatch.setenv(variable, value)
        before = place.config.read_text()
        result = place.run("add", "typed", "--", "uvx", "mcp-sever-time", code=3)
        assert place.config.read_text() == before
        assert "`mcp-server-time`" in result.stderr
        assert len(place.rows("audit", "query", "--type", "connector.remove")) == 1


@pytest.mark.parametrize("mode", ["observe", "warn", "enforce"])
def test_what_nobody_approved_is_never_run_without_a_sandbox(
    place: Locked, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    for backend in (Bubblewrap, Landlock):
        monkeypatch.setattr(backend, "unavailable", lambda _: "this machine has none")
    ran = place.folder / "ran"
    program = place.server / "server.py"
    first = "from __future__ import annotations\n"
    text = program.read_text().replace(first, f"{first}open({str(ran)!r}, 'w')\n", 1)
    program.write_text(text)
    place.configure(f'mode = "{mode}"')
    assert "cannot be enclosed" in place.run("lock").stderr
    assert place.entry.surface is None
    assert not ran.exists()
