"""The sequencer: takes records from the inbox into the tree, and has the tree signed.

In this order, so that a crash at any point loses nothing and repeats nothing: tiles on
disk, state swapped, checkpoint signed, inbox emptied.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Set
from pathlib import Path

import msgspec

from bascule.audit.inbox import GENESIS, Inbox, Segment
from bascule.audit.log_files import LogFiles, SequencerBusyError
from bascule.audit.note import Signer
from bascule.audit.openings import LENGTH_BYTES
from bascule.audit.signing import RESTART, Signing
from bascule.audit.state import (
    Chain,
    State,
    TamperedLogError,
    read_state,
    write_state,
)
from bascule.audit.tile import Packed
from bascule.audit.tree import Tree
from bascule.clock import monotonic

READ_SEGMENTS = 16
COMMIT_RECORDS = 20_000
"""Records after which a long backlog is committed in between."""
COMMAND_WRITER = "cli"
"""Writers of this name run once; their chains are forgotten when they are in the tree."""


class _Authz(msgspec.Struct, gc=False):
    decision: str


class _Peek(msgspec.Struct, gc=False):
    """What the sequencer looks at in a record."""

    id: str
    stage: str
    parent: str = ""
    authz: _Authz | None = None

    @property
    def is_allowed(self) -> bool:
        """Whether the decision lets the call go on."""
        return self.authz is not None and self.authz.decision == "allow"


_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)
_peek = msgspec.json.Decoder(_Peek)
_peek_list = msgspec.json.Decoder(list[_Peek])


class Sequencer:
    """Grows one log; at most one process at a time."""

    def __init__(
        self,
        files: LogFiles,
        inbox: Inbox,
        signer: Signer,
        *,
        copies: tuple[Path, ...] = (),
        seen: Path | None = None,
        crash_point: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take over the log.

        `crash_point` is called by name between the steps that must be safe to die between.
        Raises `SequencerBusyError`, `TreeError` or `TamperedLogError`.
        """
        self._files = files
        self._inbox = inbox
        self._key = state_key(signer)
        self._chain_key = chain_key(signer)
        self._crash_point = crash_point
        files.take()
        try:
            self._state = self._read_state(signer)
            self._tree = Tree(files, self._state.size)
            if self._tree.root().hex() != self._state.root:
                raise TamperedLogError(f"the log's tiles are not those it had; {RESTART}")
            self._signing = Signing(files, signer, self._state, copies, seen)
            if self._state.size == 0:
                self._signing.sign(self._state)
        except BaseException:
            files.release()
            raise
        self._own = {_mark(self._state)}
        """What the state on disk may be: what was read, or written since."""
        self._state.fence += 1
        self._place = 0
        """Place in the inbox up to which segments were taken and not removed yet."""
        self._dirty = False
        """Something was taken and is not committed yet."""
        self._caught_up = monotonic()
        self._touched: set[str] = set()
        """Chains that may have segments in the inbox which are in the tree already."""
        self._ended: set[str] = set()
        """Chains that nobody writes any more."""

    def _read_state(self, signer: Signer) -> State:
        state = read_state(self._files, self._key)
        if state is None:
            raise TamperedLogError(f"the log's state is missing: restore it, or {RESTART}")
        if state.origin != signer.name:
            raise TamperedLogError(f"the key is of another log, `{signer.name}`")
        return state

    @property
    def size(self) -> int:
        """Give how many records are in the committed tree."""
        return self._state.size

    @property
    def lag(self) -> float:
        """Give the seconds since all records were last in the tree."""
        return monotonic() - self._caught_up

    @property
    def copy_problem(self) -> str | None:
        """Say why the newest checkpoint could not be copied."""
        return self._signing.copy_problem

    def chains(self) -> Set[str]:
        """Give the chains of servers that have something in the tree and may grow."""
        known = self._state.chains.keys() | self._state.open.values()
        return {it for it in known - self._ended if not _is_command(it)}

    def open_calls(self, chains: Set[str]) -> list[str]:
        """Give the allowed calls in these chains whose end is missing."""
        return [call for call, chain in self._state.open.items() if chain in chains]

    def retire(self, chains: Set[str]) -> None:
        """Forget chains that nobody writes any more, once they are in the tree."""
        self._ended |= chains

    def step(self) -> int:
        """Take in all that waits and commit it; gives how many records.

        Raises `TamperedLogError` for an inbox with gaps or foreign links,
        `SequencerBusyError` when another sequencer has taken over, OSError when files
        cannot be written.
        """
        self._files.renew()
        before = self._tree.size
        waiting = True
        while waiting:
            began = monotonic()
            segments = self._inbox.read(self._place, READ_SEGMENTS)
            if segments and not self._dirty:
                self._require_own()  # or records that another took would look missing
            for place, segment in segments:
                self._take(segment)
                self._place = place
                self._dirty = True
            waiting = len(segments) == READ_SEGMENTS
            if self._dirty and (
                not waiting or self._tree.size - self._state.size >= COMMIT_RECORDS
            ):
                self._commit()
        self._caught_up = began
        return self._tree.size - before

    def sign(self) -> None:
        """Sign the committed tree once more."""
        self._signing.sign(self._state)

    def close(self) -> None:
        """Let another process take over."""
        self._files.release()

    def _take(self, segment: Segment) -> None:
        name = segment.chain
        entries = segment.entries(self._chain_key)
        chain = self._state.chains.get(name) or Chain(0, GENESIS.hex())
        self._touched.add(name)
        if segment.first + segment.count <= chain.next:
            return  # in the tree already: a crash left it behind
        if segment.first != chain.next or segment.prev.hex() != chain.head:
            raise TamperedLogError(
                f"records of `{name}` from {chain.next} on are missing from the inbox; "
                f"{RESTART}"
            )
        openings = Packed.of(segment.openings, length_bytes=LENGTH_BYTES)
        if len(openings.parts) != segment.count:
            raise TamperedLogError(f"openings of `{name}` are not of their number")
        self._tree.extend(entries, openings)
        self._note_calls(entries.parts, name)
        end = Chain(segment.first + segment.count, segment.head.hex())
        self._state.chains[name] = end

    def _note_calls(self, leaves: list[bytes], chain: str) -> None:
        """Note which calls begin and end in one segment; none ends before it begins."""
        records = _peek_all(leaves)
        begun = [it.id for it in records if it.stage == "decided" and it.is_allowed]
        self._state.open.update(dict.fromkeys(begun, chain))
        for call in [it.parent for it in records if it.stage == "completed"]:
            self._state.open.pop(call, None)

    def _commit(self) -> None:
        self._require_own()
        self._tree.write()
        self._crash_point("tiles")
        self._forget_chains()
        self._state.size = self._tree.size
        self._state.root = self._tree.root().hex()
        self._state.signed = self._signing.size
        self._own.add(_mark(self._state))
        write_state(self._files, self._state, self._key)
        self._own = {_mark(self._state)}
        self._crash_point("state")
        self._signing.sign(self._state)
        self._crash_point("checkpoint")
        taken, self._place = self._place, 0
        self._inbox.remove(taken)
        self._crash_point("inbox")
        self._touched.clear()
        self._dirty = False
        self._tree.drop_stale()

    def _require_own(self) -> None:
        """Compare the state on disk with what this sequencer read or wrote last.

        The lock keeps others out; this finds out when it did not (a file that was removed,
        a file system without locks).
        """
        stored = read_state(self._files, self._key)
        if stored is None or _mark(stored) not in self._own:
            raise SequencerBusyError("another sequencer has taken over this log")

    def _forget_chains(self) -> None:
        for name in list(self._state.chains):
            done = name in self._ended or _is_command(name)
            if done and name not in self._touched:
                del self._state.chains[name]
                self._ended.discard(name)


def _peek_all(leaves: list[bytes]) -> list[_Peek]:
    """Look at records, all at once because each call of the decoder costs as much.

    One that cannot be read was written, so it is kept; what it means is not for us to say.
    """
    try:
        found = _peek_list.decode(b"[%b]" % b",".join(leaves))
    except _UNREADABLE:
        found = []
    return found if len(found) == len(leaves) else list(_readable(leaves))


def _readable(leaves: list[bytes]) -> Iterator[_Peek]:
    for leaf in leaves:
        with contextlib.suppress(*_UNREADABLE):
            yield _peek.decode(leaf)


def state_key(signer: Signer) -> bytes:
    """Give the key that authenticates the state."""
    return signer.derived_key(b"bascule audit state")


def chain_key(signer: Signer) -> bytes:
    """Give the key of the writers' hash chains."""
    return signer.derived_key(b"bascule audit inbox")


def _mark(state: State) -> tuple[int, int, str]:
    return state.fence, state.size, state.root


def _is_command(chain: str) -> bool:
    return chain.startswith(f"{COMMAND_WRITER} ")
