"""What holds for every command and every lock file."""

from __future__ import annotations

import contextlib
import json

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from bascule.lock.launcher import Asked, parse_command, parse_url
from bascule.lock.lock_file import EMPTY, format_lock, parse_lock, with_entry
from bascule.lock.model import Access, Entry, Launch, LockError, LockFile, Source
from bascule.lock.npm_cache import NOTHING
from bascule.lock.npm_lock import Machine, NpmLock
from bascule.lock.uv_output import read_pylock, read_requirements

WORDS = st.sampled_from(
    [
        *("uvx", "uv", "tool", "run", "pipx", "npx", "npm", "exec", "docker", "python"),
        *("node", "-y", "--yes", "-p", "--package", "--from", "--with", "-m", "--", "-it"),
        *("-v", "-e", "--network", "pkg", "@s/pkg@1", "pkg==1", "pkg[a]", "-", "./x", "="),
        *("--spec", "x.mcpb", "https://a.example/", "--from=x", "-ux", "", "@", "a@b@c"),
    ]
) | st.text(max_size=12)


@given(st.lists(WORDS, max_size=6))
@example(["uvx", "\ud800"])
@example(["docker", "run", "-v="])
@example(["docker", "run", "a" * 5000 + "!"])
def test_any_command_parses_or_is_a_lock_error(command: list[str]) -> None:
    with contextlib.suppress(LockError):
        asked = parse_command(command, distribution_of=lambda _, module: module)
        assert isinstance(asked, Asked)
        assert not asked.source.spec.startswith("-")
        # What the program is given are words of the command, in order, at its end.
        assert list(asked.arguments) == command[len(command) - len(asked.arguments) :]


@given(st.text(max_size=40) | st.text(max_size=20).map("https://{}".format))
def test_any_url_parses_or_is_a_lock_error(url: str) -> None:
    with contextlib.suppress(LockError):
        assert parse_url(url).source == Source("http", url)


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
ENTRIES = st.builds(
    Entry,
    source=st.builds(Source, st.sampled_from(["pypi", "npm"]), TEXT, TEXT),
    launch=st.builds(
        Launch,
        st.just("stdio"),
        st.lists(TEXT, max_size=3).map(tuple),
        env=st.dictionaries(TEXT, TEXT, max_size=3),
    ),
    access=st.builds(Access, owner=TEXT, per_user=st.booleans()),
)
LOCKS = st.dictionaries(st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), ENTRIES).map(
    lambda entries: msgspec.structs.replace(EMPTY, connectors=entries)
)


@given(LOCKS)
def test_what_is_written_is_read_and_written_the_same(lock: LockFile) -> None:
    content = format_lock(lock)
    assert parse_lock(content) == lock
    assert format_lock(parse_lock(content)) == content


@given(LOCKS, ENTRIES)
def test_the_order_of_changes_does_not_show(lock: LockFile, entry: Entry) -> None:
    one = with_entry(with_entry(lock, "a", entry), "b", entry)
    other = with_entry(with_entry(lock, "b", entry), "a", entry)
    assert format_lock(one) == format_lock(other)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.binary() | JSON.map(lambda tree: json.dumps(tree).encode()))
@example(b'{"lock_format": 1, "connectors": {"\\ud800": {}}}')
@example(b'{"lock_format": ' + b"1" * 5000 + b"}")
def test_any_bytes_are_a_lock_file_or_a_lock_error(content: bytes) -> None:
    with contextlib.suppress(LockError):
        assert isinstance(parse_lock(content), LockFile)


@given(JSON)
def test_any_connectors_are_a_lock_file_or_a_lock_error(tree: object) -> None:
    content = json.dumps({"lock_format": 1, "connectors": tree}).encode()
    with contextlib.suppress(LockError):
        assert isinstance(parse_lock(content), LockFile)


@given(st.text() | JSON.map(json.dumps))
@example('{"lockfileVersion": 3, "packages": {"": {}, "node_modules/": {"version": "1"}}}')
def test_any_text_is_a_lock_of_npm_or_a_lock_error(text: str) -> None:
    with contextlib.suppress(LockError):
        NpmLock(text).packages(Machine("linux", "x64", "glibc"), lambda _: NOTHING)


LINES = st.sampled_from(
    [
        *("x==1 \\", "y[a]==2 ; python_version < '3' \\", "    # via x", "    # via"),
        *("    #   y", "    --hash=sha256:" + "ab" * 32, "    # from https://a.example"),
        *("", "x", "-r y"),
    ]
)


@given(st.lists(LINES | st.text(max_size=10)).map("\n".join))
def test_any_text_is_requirements_or_a_lock_error(text: str) -> None:
    with contextlib.suppress(LockError):
        pins, native = read_requirements(text)
        assert all(pin.hashes for pin in pins)
        assert "# from " not in native
        assert read_requirements(native)[1] == native


@given(st.text() | st.text().map("[[packages]]\nname = 'x'\n{}".format))
@example("[[packages]]\nname = 'x'\nversion = '1'\nwheels = [{url = 'a', hashes = {}}]")
@example("packages = 3")
@example("packages = [3]")
def test_any_text_is_a_pylock_or_a_lock_error(text: str) -> None:
    with contextlib.suppress(LockError):
        read_pylock(text)
