"""Results on their way back: lists filtered, handles sealed, meaning left as it is."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from bascule.clock import UnixTime
from bascule.config.model import Connector
from bascule.decision.decide_many import decide_many
from bascule.decision.facts import Denied, Maybe, Principal
from bascule.decision.snapshot import Snapshot
from bascule.errors import BasculeError
from bascule.gateway.access_marks import Mark, mark_of, with_mark
from bascule.gateway.approval_states import (
    RESERVED,
    STATE_SECONDS,
    Shown,
    seal_state,
)
from bascule.gateway.call_approvals import Approval
from bascule.gateway.definitions import Watch
from bascule.gateway.handles import Sealer
from bascule.gateway.lists import LISTS, ListShape, ReadList, SeenLists
from bascule.gateway.steps import next_turn
from bascule.protocol import modern
from bascule.protocol.message import encode

CURSOR_SECONDS = 3600

_CACHEABLE = frozenset(
    {
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
    }
)
CARRIED_CAPABILITIES = frozenset(
    {"tools", "prompts", "resources", "completions", "logging"}
)
"""Server capabilities that this gateway can carry; extensions have methods it refuses."""
_PRIVATE = Raw(b'"private"')


class BadResultError(BasculeError):
    """The upstream's result breaks the protocol, or asks for what it may not."""


class _Interim(Struct, gc=False):
    type: str | UnsetType = msgspec.field(name="resultType", default=UNSET)
    state: str | UnsetType = msgspec.field(name="requestState", default=UNSET)
    asks: dict[str, Any] | UnsetType = msgspec.field(name="inputRequests", default=UNSET)
    is_error: bool | UnsetType = msgspec.field(name="isError", default=UNSET)


_WRONG_SHAPE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_fields = msgspec.json.Decoder(dict[str, Raw])
_interim = msgspec.json.Decoder(_Interim)
_READ = tuple(it.encode_name for it in msgspec.structs.fields(_Interim))
_text = msgspec.json.Decoder(str)


class Passage(Struct, frozen=True, gc=False):
    """For whom, from where and under what a result passes."""

    method: str
    principal: Principal
    connector_name: str
    connector: Connector
    snapshot: Snapshot
    sealer: Sealer
    binding: tuple[str, ...]
    now: UnixTime
    max_event_bytes: int
    lists: SeenLists
    """Those that the upstream gave before."""
    watch: Watch | None = None
    """Compares what passes with what was approved; None for a connector without gate."""
    from_start: bool = False
    """A list was asked for from its beginning."""
    edition: bytes = b""
    """Of a hosted server: which definitions were in force."""
    approval: Approval | None = None
    """That of the call; the rounds that follow are covered by it too."""


class Passed(Struct, frozen=True, gc=False):
    """A result for the client."""

    result: Raw
    is_error: bool = False
    """The tool itself reported failure."""


def unchanged(result: Raw, passage: Passage) -> Passed | None:
    """Give a result that passes as it is: most do. None for those that need more."""
    if passage.method in _CACHEABLE:
        return None
    try:
        interim = _interim.decode(result)
    except _WRONG_SHAPE:
        return None
    return Passed(result, interim.is_error is True) if interim.type == "complete" else None


async def pass_result(result: Raw, passage: Passage) -> Passed:
    """Make the client's result from the upstream's.

    What is not named here stays byte for byte: schemas and content keep their meaning.
    Raises `BadResultError`.
    """
    try:
        return await _pass_result(result, passage)
    except _WRONG_SHAPE as exc:
        raise BadResultError("upstream sent a result of the wrong shape") from exc


async def _pass_result(result: Raw, passage: Passage) -> Passed:
    shape = LISTS.get(passage.method)
    read = None if shape is None else passage.lists.read(passage.method, result)
    fields = _fields.decode(result) if read is None else dict(read.fields)
    # Of a list of hundreds only the few fields that matter are read a second time.
    matters = {name: fields[name] for name in _READ if name in fields}
    interim = _interim.decode(encode(matters))
    if interim.type == "input_required":
        return Passed(_input_required(fields, interim, passage))
    if interim.type not in {"complete", UNSET}:
        raise BadResultError("upstream sent a result type that is not carried")
    is_error = interim.is_error is True
    if passage.method not in _CACHEABLE and interim.type is not UNSET:
        return Passed(result, is_error)
    fields.setdefault("resultType", Raw(b'"complete"'))
    if passage.method in _CACHEABLE:
        # What one caller may see is no other's to be served from a cache.
        fields["cacheScope"] = _PRIVATE
        fields.setdefault("ttlMs", Raw(b"0"))
    if shape is not None and read is not None:
        await filter_list(fields, read, shape, passage)
    elif passage.method == "server/discover":
        if passage.watch is not None:
            passage.watch.greeting(fields)
        _narrow(fields)
    return Passed(Raw(encode(fields)), is_error)


def _input_required(fields: dict[str, Raw], interim: _Interim, passage: Passage) -> Raw:
    if passage.method not in modern.MAY_ASK_FOR_INPUT:
        raise BadResultError("upstream asked for input where none can be given")
    for key, ask in ({} if interim.asks is UNSET else interim.asks).items():
        if key.startswith(RESERVED):
            raise BadResultError("upstream asked under a name that is not its own")
        asked = ask.get("method") if isinstance(ask, dict) else None
        if (
            not isinstance(asked, str)
            or asked.partition("/")[0] not in passage.connector.may_ask
        ):
            raise BadResultError("upstream asked for what its connector may not ask")
    approval = passage.approval
    if approval is not None:
        inner = None if interim.state is UNSET else interim.state
        shown = Shown(approval.id, approval.round + 1, inner)
        state = seal_state(passage.sealer, shown, passage.binding, passage.now)
        fields["requestState"] = Raw(encode(state))
    elif interim.state is not UNSET:
        sealed = passage.sealer.seal(
            interim.state,
            bound_to=passage.binding,
            expires=UnixTime(passage.now + STATE_SECONDS),
        )
        fields["requestState"] = Raw(encode(sealed))
    return Raw(encode(fields))


async def filter_list(
    fields: dict[str, Raw], read: ReadList, shape: ListShape, passage: Passage
) -> None:
    """Leave in a list what the caller may use, marked where it depends; seal its cursor."""
    fields.setdefault(shape.key, Raw(b"[]"))
    names = read.names
    allowed: set[str] = set()
    marks: dict[str, Mark] = {}
    batches = decide_many(
        passage.principal,
        passage.connector_name,
        shape.kind,
        names,
        now=passage.now,
        snapshot=passage.snapshot,
    )
    for turn, batch in enumerate(batches):
        if turn:
            await next_turn()
        allowed.update([name for name, decision in batch if type(decision) is not Denied])
        marks.update(
            (name, mark_of(decision)) for name, decision in batch if type(decision) is Maybe
        )
    if passage.watch is not None and shape.pinned is not None:
        whole = passage.from_start and "nextCursor" not in fields
        allowed &= await passage.watch.approved(
            shape.pinned, names, read.items, whole=whole, edition=passage.edition
        )
    if marks or len(allowed) < len(set(names)) or read.shown != read.items:
        pairs = zip(read.shown, names, strict=True)
        fields[shape.key] = Raw(
            encode(
                [
                    with_mark(item, marks[name]) if name in marks else item
                    for item, name in pairs
                    if name in allowed
                ]
            )
        )
    if "nextCursor" in fields:
        sealed = passage.sealer.seal(
            _text.decode(fields["nextCursor"]),
            bound_to=passage.binding,
            expires=UnixTime(passage.now + CURSOR_SECONDS),
        )
        fields["nextCursor"] = Raw(encode(sealed))


def _narrow(fields: dict[str, Raw]) -> None:
    """Describe what gateway and upstream can do together."""
    versions = msgspec.json.decode(
        fields.get("supportedVersions", Raw(b"[]")), type=list[str]
    )
    both = [version for version in versions if version in modern.SUPPORTED]
    fields["supportedVersions"] = Raw(encode(both))
    capabilities = _fields.decode(fields.get("capabilities", Raw(b"{}")))
    carried = {k: v for k, v in capabilities.items() if k in CARRIED_CAPABILITIES}
    fields["capabilities"] = Raw(encode(carried))
