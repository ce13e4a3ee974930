"""MCP servers as a scan sees them: in a client's file, as a process, or behind a URL."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

Transport = Literal["stdio", "http", "sse"]
"""`http` is streamable HTTP of any revision, `sse` the HTTP+SSE of 2024-11-05."""

Auth = Literal["none", "bearer", "oauth", "mtls", "url_token", "other"]
"""What is asked of who calls; `oauth`: a token, and metadata say where to get one."""

State = Literal[
    "configured",  # it stands in a file; nobody was asked
    "disabled",  # it stands in a file, switched off
    "running",  # a process; it was not asked
    "open",  # it lists without a token
    "discovery_open",  # it says what it is without a token, and lists nothing
    "token_required",
    "garbage_accepted",  # any bearer token will do
    "forbidden",
    "mutual_tls",
    "token_in_url",
    "not_mcp",  # it answered, as something else
    "unreachable",
    "unknown",
]


class Server(Struct, frozen=True, kw_only=True):
    """One row of `servers`; null where something does not apply or is not known."""

    name: str
    transport: Transport | None = None
    client: str | UnsetType = UNSET
    """Whose configuration names it."""
    path: str | UnsetType = UNSET
    """File of that configuration."""
    command: tuple[str, ...] | UnsetType = UNSET
    """How it is started; secrets are left out."""
    url: str | UnsetType = UNSET
    """Where it is asked; secrets are left out."""
    pinned: bool | None = None
    """The command names one version exactly, or the bytes are locked."""
    through_bascule: bool | None = None
    known: bool | None = None
    """A client's file or Bascule's configuration names it; a server that nobody names is a
    shadow."""
    auth: Auth | None = None
    state: State = "unknown"
    pid: int | UnsetType = UNSET
    process: tuple[str, ...] | UnsetType = UNSET
    """Command line of the process that listens; secrets are left out."""
    container: str | UnsetType = UNSET
    """The one that it runs in: `ENGINE:ID`."""
    address: str | UnsetType = UNSET
    """Where it listens or was reached: `ADDRESS:PORT`, IPv6 in brackets."""
