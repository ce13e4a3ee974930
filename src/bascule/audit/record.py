"""The audit record, one leaf of the log (version 1).

Fields stand in the order of their names and absent ones are left out, so that one pass of
the encoder writes what RFC 8785 would: the schema is closed and has no floats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bascule.audit.tile import MAX_ENTRY_BYTES
from bascule.errors import BasculeError

RECORD_VERSION = 1
MAX_GROUPS_BYTES = 16 << 10
"""Two hundred groups, the most that providers put into a token, take less."""


class Part(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of the record's parts."""


class AgentPart(Part, frozen=True, kw_only=True):
    """The OAuth client."""

    act: tuple[str, ...] = ()
    """Agents through which it acts, the nearest first: `ISSUER|CLIENT_ID`."""
    client_id: str
    iss: str | UnsetType = UNSET
    """Issuer of a foreign client; absent for our own."""
    verified: bool | UnsetType = UNSET
    """Always written."""


class ArgsPart(Part, frozen=True):
    """The arguments of a call: names and a salted commitment, never values."""

    bytes: int
    """Length of the arguments as they went upstream."""
    commit: str
    """`sha256:` and the hex Merkle root over the salted commitment of each argument."""
    keys: tuple[str, ...] = ()


class ShadowPart(Part, frozen=True, kw_only=True):
    """What rights that are only tried out would have decided."""

    decision: str
    """`allow`, `deny`, or `approve` for a call that would have had to be approved."""
    policies: tuple[str, ...] = ()
    policy_digest: str
    reason: str


class AuthzPart(Part, frozen=True, kw_only=True):
    """The decision."""

    approval: str | UnsetType = UNSET
    """Id of the call approval that the call has, or waits for."""
    decision: str
    """`allow` or `deny`."""
    definition: str | UnsetType = UNSET
    """Digest of the definition that was served then, where one is compared."""
    finding: str | UnsetType = UNSET
    """What `enforce` would have denied for, in a mode that allows it."""
    mode: str | UnsetType = UNSET
    """Of the connector, where something is compared with an approval."""
    policies: tuple[str, ...] = ()
    policy_digest: str | UnsetType = UNSET
    reason: str = ""
    shadow: ShadowPart | UnsetType = UNSET
    """Of rights that are tried out, where these would have decided otherwise."""
    touched: tuple[str, ...] = ()
    """Labels that the identity had touched; looked at where a policy asks for them."""


class CredPart(Part, frozen=True):
    """The credential that was shown; never the token."""

    jti_hash: str | UnsetType = UNSET
    kind: str = "jwt"
    scopes: tuple[str, ...] = ()
    tools: tuple[str, ...] | UnsetType = UNSET
    """Of its `authorization_details` (RFC 9396), where it has some."""


class McpPart(Part, frozen=True, kw_only=True):
    """The MCP request."""

    kind: str | UnsetType = UNSET
    """What `name` names, where the method does not say it: `prompt` or `resource`."""
    method: str
    name: str | UnsetType = UNSET
    proto: str | UnsetType = UNSET
    """Protocol revision."""


class ResultPart(Part, frozen=True):
    """How a forwarded call ended."""

    bytes: int
    error: int | UnsetType = UNSET
    """JSON-RPC error code."""
    is_error: bool = False
    """The tool itself reported failure."""
    outcome: str = "ok"
    """`ok`, `error`, `timeout`, `upstream_failed`, `credential_failed`
    (there was nothing to show the server), `client_gone`, `revoked`, `unapproved`
    (the approval of its connector ended meanwhile), `refused`,
    `state_unavailable` (what it touches could not be noted, so it did not go upstream),
    `suspended` (the server ended the stream to answer on another), `outcome_unknown`."""
    status: int | UnsetType = UNSET
    """HTTP status of the upstream."""


class SrcPart(Part, frozen=True):
    """Where the request came from."""

    ip: str


class UserPart(Part, frozen=True, kw_only=True):
    """The human subject."""

    groups: tuple[str, ...] | UnsetType = UNSET
    """Names of the groups that counted for a decision, sorted; absent when none was made,
    or when they take more than `MAX_GROUPS_BYTES`. Of a foreign user, its issuer's."""
    iss: str | UnsetType = UNSET
    """Absent for local users."""
    sub: str


class Record(Part, frozen=True, kw_only=True):
    """One leaf. `seq` is its place in the tree and so not part of it."""

    admin: dict[str, str] | UnsetType = UNSET
    """What an administrative record did: names and values, no secrets."""
    agent: AgentPart | UnsetType = UNSET
    args: ArgsPart | UnsetType = UNSET
    authz: AuthzPart | UnsetType = UNSET
    boot: str
    """Random id of this run of the writer."""
    code: str | UnsetType = UNSET
    """Random id that the client was given for a refusal."""
    connector: str | UnsetType = UNSET
    count: int | UnsetType = UNSET
    """How many events this record stands for, when it is not one."""
    cred: CredPart | UnsetType = UNSET
    dur_us: int | UnsetType = UNSET
    id: str
    """UUIDv7."""
    log: str
    """Origin of the log."""
    mcp: McpPart | UnsetType = UNSET
    parent: str | UnsetType = UNSET
    """`id` of the decided record that a completed one belongs to."""
    result: ResultPart | UnsetType = UNSET
    src: SrcPart | UnsetType = UNSET
    stage: str
    """`decided`, `completed` or `event`."""
    ts: int
    """Microseconds since 1970-01-01T00:00:00Z."""
    type: str
    """`auth.fail`; `list`, `call.start` and `authz.decision` (a refusal) when decided;
    `call.end` when completed; `answer`, `notification` and `session.end` for what else a
    client sends in a session; `definition.deviates` and `approval.missing` for what is not
    as it was approved, `definition.suspicious` for what it says; `token.issue`, `revoke`,
    `user.add`, `server.start`, `server.refuse`, `egress.connect`, `egress.refuse`, … for
    events."""
    user: UserPart | UnsetType = UNSET
    v: int
    writer: str
    """Process that wrote it."""


class RecordTooLargeError(BasculeError):
    """The record does not fit into a leaf."""


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    """Write a record as its leaf. Raises `RecordTooLargeError`."""
    leaf = _encoder.encode(record)
    if len(leaf) > MAX_ENTRY_BYTES:
        raise RecordTooLargeError("record is too large")
    return leaf


def encode_part(part: Part) -> bytes:
    """Write a part as it stands in a leaf."""
    return _encoder.encode(part)


def form(record: Record, blanks: Mapping[str, bytes]) -> bytes:
    """Write a leaf that lacks some values, as a format for `%`.

    `blanks` gives for each name how its value is filled in: `%d`, `%b`, `"%b"`. Values are
    filled in by the order of names, as JSON, and give what `encode` writes for the whole.
    """
    fields = []
    for name in Record.__struct_fields__:
        value = getattr(record, name)
        if name in blanks:
            fields.append(b'"%b":%b' % (name.encode(), blanks[name]))
        elif value is not UNSET:
            written = _encoder.encode(value).replace(b"%", b"%%")
            fields.append(b'"%b":%b' % (name.encode(), written))
    return b"{%b}" % b",".join(fields)


def decode(leaf: bytes) -> Record:
    """Read a leaf. Raises `msgspec.DecodeError` or `UnicodeDecodeError`."""
    return _decoder.decode(leaf)


def user_part(user: str) -> UserPart:
    """Give `user:NAME` or `user:ISSUER|SUB` as a record holds it.

    A subject may hold `|` itself; no issuer does, so the first one parts them.
    """
    name = user.removeprefix("user:")
    issuer, bar, subject = name.partition("|")
    return UserPart(iss=issuer, sub=subject) if bar else UserPart(sub=name)


def written_groups(groups: Iterable[str]) -> tuple[str, ...] | UnsetType:
    """Give the names of groups as a record holds them; absent when they take too much."""
    names = tuple(sorted(groups))
    return names if len(_encoder.encode(names)) <= MAX_GROUPS_BYTES else UNSET


def clip(text: str, limit: int) -> str:
    """Cut text that a stranger chose; what is cut off is told by its length."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\N{HORIZONTAL ELLIPSIS}(+{len(text) - limit})"
