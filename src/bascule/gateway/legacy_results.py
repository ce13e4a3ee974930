"""Results of the revisions before 2026-07-28 on their way back."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from bascule.gateway.definitions import Watch
from bascule.gateway.lists import LISTS
from bascule.gateway.results import (
    CARRIED_CAPABILITIES,
    BadResultError,
    Passage,
    Passed,
    filter_list,
)
from bascule.protocol import legacy
from bascule.protocol.message import encode

_fields = msgspec.json.Decoder(dict[str, Raw])


class _Flag(Struct):
    is_error: bool | UnsetType = msgspec.field(name="isError", default=UNSET)


class _Initialized(Struct):
    version: str = msgspec.field(name="protocolVersion")


_flag = msgspec.json.Decoder(_Flag)
_initialized = msgspec.json.Decoder(_Initialized)


async def pass_legacy_result(result: Raw, passage: Passage) -> Passed:
    """Make the client's result from the upstream's; lists are filtered, all else is kept.

    Raises `BadResultError`.
    """
    try:
        shape = LISTS.get(passage.method)
        if shape is None:
            return Passed(result, _flag.decode(result).is_error is True)
        read = passage.lists.read(passage.method, result)
        fields = dict(read.fields)
        await filter_list(fields, read, shape, passage)
        if "cacheScope" in fields:
            fields["cacheScope"] = Raw(b'"private"')
        return Passed(Raw(encode(fields)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadResultError("upstream sent a result of the wrong shape") from exc


def pass_initialized(
    result: Raw, watch: Watch | None, carried: Collection[str] = CARRIED_CAPABILITIES
) -> tuple[str, Raw]:
    """Give the revision that a server agrees to, and the client's result.

    The result tells only what gateway and upstream can do together: of the capabilities,
    which are compared whole with what was approved, those in `carried`. Raises
    `BadResultError`, also for a revision that is not spoken here.
    """
    try:
        version = _initialized.decode(result).version
        fields = _fields.decode(result)
        capabilities: dict[str, Any] = _fields.decode(fields.get("capabilities", b"{}"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadResultError("upstream sent a result of the wrong shape") from exc
    if version not in legacy.SUPPORTED:
        spoken = ", ".join(legacy.SUPPORTED)
        raise BadResultError(
            f"upstream speaks {version[:32]!r}; Bascule speaks {spoken} and 2026-07-28"
        )
    if watch is not None:
        watch.greeting(fields)
    common = {k: v for k, v in capabilities.items() if k in carried}
    fields["capabilities"] = Raw(encode(common))
    return version, Raw(encode(fields))
