"""What the configuration declares, in the lock's words; and where the two differ."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from bascule.config.addresses import host_and_port
from bascule.config.credentials import Credential
from bascule.config.model import Config, Connector
from bascule.decision.entries import Entry as Names
from bascule.decision.entries import parse_entry
from bascule.lock.model import Access, Entry, Launch, LockError, Sandbox

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing that is not as it was locked."""

    part: str
    """Part of the entry and what of it: `launch.command`."""
    want: str
    """As locked."""
    have: str
    """As found."""


def launch_of(connector: Connector, argv: Sequence[str] = ()) -> Launch:
    """Give how a connector is started; `argv` is what is executed in place of its command.

    The environment is as it is declared: references, never the secrets that they lead to.
    """
    if connector.url is not None:
        return Launch("http", url=connector.url)
    return Launch(
        "stdio",
        command=connector.command or (),
        argv=tuple(argv),
        env=dict(connector.env),
    )


def access_of(name: str, config: Config, tools: Collection[str]) -> Access:
    """Give who answers for a connector, who reaches it and as whom it acts.

    `tools` are the names that its toolsets and labels are resolved against.
    """
    connector = config.connectors[name]
    credential = connector.credential
    return Access(
        owner=connector.owner or "",
        reachable_from=connector.boundary.reachable_from,
        credential=credential.kind,
        credential_header="" if credential.kind == "none" else credential.header,
        credential_reference=credential.value or "",
        credential_shared=credential.shared,
        credential_tokens=_tokens(credential),
        per_user=connector.per_user,
        may_ask=tuple(sorted(connector.may_ask)),
        toolsets=dict(_toolsets(name, config, tools)),
        labels=dict(_labels(name, config, tools)),
    )


def _tokens(credential: Credential) -> dict[str, str]:
    names = ("issuer", "client_id", "client_secret", "client_key", "audience", "assertion")
    found = {name: getattr(credential, name) or "" for name in names}
    found["scopes"] = " ".join(credential.scopes)
    for name in ("dpop", "legacy"):
        found[name] = "true" if getattr(credential, name) else ""
    return {name: value for name, value in found.items() if value}


def sandbox_of(name: str, config: Config) -> Sandbox:
    """Give what a connector may touch beside its tree and its interpreter."""
    connector = config.connectors[name]
    declared, reach = connector.sandbox, connector.boundary.may_reach
    own = {_place(it) for it in config.network.private}
    return Sandbox(
        read=tuple(sorted(declared.read)),
        write=tuple(sorted(declared.write)),
        may_reach=tuple(sorted(reach)),
        private=tuple(sorted(it for it in reach if _place(it) in own)),
        memory_bytes=declared.memory_mib * MIB,
        processes=declared.processes,
    )


def _place(text: str) -> tuple[str, int] | None:
    found = host_and_port(text.lower())
    return None if found is None else (found[0].removesuffix("."), found[1])


def differences(name: str, config: Config, entry: Entry) -> list[Drift]:
    """Give where the configuration is not what was locked; none for a fresh lock.

    Raises `LockError` for a connector that is not configured.
    """
    if name not in config.connectors:
        raise LockError(f"connector `{name}` is in the lock and not in the configuration")
    connector = config.connectors[name]
    tools = entry.surface.tools if entry.surface is not None else {}
    found = [
        *_differ("launch", entry.launch, launch_of(connector, entry.launch.argv)),
        *_differ("sandbox", entry.sandbox, sandbox_of(name, config)),
        *_differ("access", entry.access, access_of(name, config, tools)),
    ]
    return sorted(found, key=lambda it: it.part)


def _toolsets(
    name: str, config: Config, tools: Collection[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for toolset, members in sorted(config.toolsets.items()):
        if toolset.partition(":")[0] == name:
            entries = [parse_entry(it, where=f"toolsets.{toolset}") for it in members]
            yield toolset, tuple(sorted(tool for tool in tools if _covers(entries, tool)))


def _labels(
    name: str, config: Config, tools: Collection[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give what of a connector has each label; labels for nothing of it are left out."""
    for label, texts in sorted(config.labels.items()):
        members = (it for text in texts for it in config.toolsets.get(text, (text,)))
        parsed = (parse_entry(it, where=f"labels.{label}") for it in members)
        entries = [it for it in parsed if isinstance(it, Names) and it.connector == name]
        if entries:
            found = {tool for tool in tools if _covers(entries, tool)}
            others = (it for entry in entries for it in _beside_tools(entry))
            yield label, tuple(sorted(found.union(others)))


def _beside_tools(entry: Names) -> Iterator[str]:
    """Name the prompts and resources of an entry, as it does."""
    for kind in ("prompt", "resource"):
        if entry.kind in {None, kind}:
            yield f"{kind}:{entry.pattern}"


def _covers(entries: Sequence[object], tool: str) -> bool:
    return any(
        isinstance(it, Names) and it.matches(it.connector, "tool", tool) for it in entries
    )


def _differ(part: str, locked: msgspec.Struct, found: msgspec.Struct) -> Iterator[Drift]:
    for field in type(locked).__struct_fields__:
        want, have = getattr(locked, field), getattr(found, field)
        if want != have:
            yield Drift(f"{part}.{field}", _shown(want), _shown(have))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
