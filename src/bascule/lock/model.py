"""The lock file `mcp.lock.json`, one struct for each part of a connector's entry.

All that an approval binds stands in an `Entry`, as facts without hosts and without the
time of writing, so that the same connector gives the same bytes. Digests are lower-case hex
of SHA-256 unless a name says otherwise. A field at its default is left out, so that a new
field changes no digest of entries that do not use it.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec
import rfc8785
from msgspec import Struct, field

from bascule.errors import BasculeError

FORMAT = 1
"""Of the file; one of another number is refused, never guessed at."""

Platform = str
"""Operating system, machine and C library: `linux-x86_64-glibc`."""

PARTS = ("source", "launch", "packages", "runtime", "tree", "surface", "sandbox", "access")
"""Of an entry, in the order in which drift is told."""


class LockError(BasculeError):
    """A lock cannot be read, made or installed; the message says what to do."""


class Item(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every part of the file."""


class Source(Item, frozen=True):
    """Where a connector's program comes from."""

    kind: Literal["pypi", "npm", "path", "mcpb", "oci", "http"]
    spec: str
    """Name at the registry, path, URL or image, without a version."""
    requested: str = ""
    """Version or range that was asked for; empty for any."""
    index: str = ""
    """Alias of the registry, never its host; empty for the ecosystem's default."""


class Launch(Item, frozen=True):
    """How it is started."""

    transport: Literal["stdio", "http"]
    command: tuple[str, ...] = ()
    """As the configuration has it; a different one is drift."""
    argv: tuple[str, ...] = ()
    """What is executed instead: `{python}`, `{node}` and `{tree}` stand for the locked
    interpreter and the tree in the store."""
    env: dict[str, str] = field(default_factory=dict)
    """As the configuration has it: references to secrets, never their values."""
    url: str = ""


class Artifact(Item, frozen=True):
    """One downloaded file."""

    filename: str
    sha256: str = ""
    sha512: str = ""
    """Lower-case hex as well, whatever the registry writes."""
    size: int = 0
    """Bytes; 0 where the registry does not say."""


class Provenance(Item, frozen=True):
    """Where a package says that it was built, and whether that was verified."""

    status: Literal["verified", "absent", "unavailable", "invalid", "unsupported"]
    """`unavailable`: this registry serves no attestations, so nobody can know."""
    issuer: str = ""
    repository: str = ""
    workflow: str = ""
    ref: str = ""
    commit: str = ""
    bundle_sha256: str = ""


NOT_LOOKED_FOR = Provenance("unavailable")


class Package(Item, frozen=True):
    """One package of the transitive set."""

    purl: str
    """Package URL with the version: `pkg:npm/%40scope/name@1.2.3`."""
    artifact: Artifact
    """What is installed on this platform."""
    others: tuple[str, ...] = ()
    """Hashes that the registry lists for other platforms (`sha256:…`): nobody saw these."""
    published_at: str = ""
    """RFC 3339, as the registry says."""
    parents: tuple[str, ...] = ()
    """purls of those that need it; empty for the root."""
    paths: tuple[str, ...] = ()
    """Where it lies in the tree."""
    install_scripts: tuple[str, ...] = ()
    """npm: names of the scripts that an installation would run; none is run unapproved."""
    native: bool = False
    """Brings machine code."""
    auto_exec: tuple[str, ...] = ()
    """Files that the interpreter runs unasked: `.pth`, `sitecustomize.py`."""
    license: str = ""
    yanked: str = ""
    """The registry's reason, or `yes`."""
    deprecated: str = ""
    provenance: Provenance = NOT_LOOKED_FOR


class NativeLock(Item, frozen=True):
    """The ecosystem's own lock, in `locks/NAME/`."""

    format: Literal["requirements", "package-lock"]
    sha256: str


class Runtime(Item, frozen=True):
    """The interpreter that runs it."""

    kind: Literal["python", "node", "none"]
    version: str = ""
    sha256: str = ""
    """Of the interpreter's executable."""
    library_sha256: str = ""
    """Of its standard library and of shared libraries of its own."""


class Tree(Item, frozen=True):
    """An unpacked tree in the store."""

    sha256: str
    files: int
    bytes: int


class Build(Item, frozen=True):
    """What one platform runs."""

    runtime: Runtime
    tree: Tree


class Surface(Item, frozen=True):
    """Digests of all definitions that a connector serves.

    Some servers show more to clients that can do more, so that a name may have several
    digests: each was seen. The definitions themselves stand in `surfaces/NAME.json`.
    """

    set: str
    """Of all the others together."""
    context: str
    """Of what was told to the server when it was asked: environment, capabilities."""
    server: tuple[str, ...] = ()
    """Of its name, version and capabilities."""
    instructions: tuple[str, ...] = ()
    tools: dict[str, tuple[str, ...]] = field(default_factory=dict)
    prompts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    resource_templates: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By URI template."""
    seen_by: str = ""
    """Backend of the sandbox in which it was captured; empty for a remote server."""


class Sandbox(Item, frozen=True):
    """What a stdio server may touch beside its tree and its interpreter."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    may_reach: tuple[str, ...] = ()
    """HOST:PORT pairs."""
    private: tuple[str, ...] = ()
    """Those of them that may have private addresses (`network.private`)."""
    memory_bytes: int = 0
    processes: int = 0
    """0: the default cap."""


class Access(Item, frozen=True):
    """Who answers for it, who reaches it and as whom it acts."""

    owner: str = ""
    reachable_from: tuple[str, ...] = ()
    credential: str = "none"
    """Kind."""
    credential_header: str = ""
    credential_reference: str = ""
    """Where the secret lies, never the secret."""
    credential_shared: bool = False
    credential_tokens: dict[str, str] = field(default_factory=dict)
    """Where its tokens come from, as which client and for what, by setting; references to
    secrets, never the secrets."""
    per_user: bool = False
    may_ask: tuple[str, ...] = ()
    toolsets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Tools of each toolset, its globs resolved against the surface."""
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By label the tools that have it, globs resolved against the surface; prompts and
    resources as the configuration names them, `prompt:…` and `resource:…`."""


class Finding(Item, frozen=True):
    """An advisory that somebody looked at (OpenVEX status and justification)."""

    id: str
    status: Literal["not_affected", "affected", "fixed", "under_investigation"]
    justification: str = ""
    until: str = ""


class Entry(Item, frozen=True):
    """One connector: all that an approval binds."""

    source: Source
    launch: Launch
    access: Access
    kind: Literal["server", "bridge"] = "server"
    """`bridge`: a proxy or plugin that stands in the path."""
    root: str = ""
    """purl of the package that was asked for."""
    packages: tuple[Package, ...] = ()
    native_lock: NativeLock | None = None
    builds: dict[Platform, Build] = field(default_factory=dict)
    surface: Surface | None = None
    """None before it was captured: such an entry cannot be approved."""
    sandbox: Sandbox = Sandbox()
    scripts_allowed: tuple[str, ...] = ()
    """purls whose install scripts were allowed, one by one."""
    findings: tuple[Finding, ...] = ()


class LockFile(Item, frozen=True):
    """The whole file."""

    format: int = field(name="lock_format")
    connectors: dict[str, Entry] = field(default_factory=dict)


def digest_of(value: Any) -> str:
    """Hash a JSON value, a struct included, in its canonical form (RFC 8785).

    Raises `LockError` for what has no canonical form: NaN, integers beyond 2**53, lone
    surrogates.
    """
    try:
        return hashlib.sha256(rfc8785.dumps(msgspec.to_builtins(value))).hexdigest()
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as exc:
        raise LockError(f"has no canonical form: {exc}") from exc


def entry_digest(entry: Entry) -> str:
    """Hash an entry: what an approval names."""
    return digest_of(entry)


def part_digests(entry: Entry) -> dict[str, str]:
    """Hash each of `PARTS`, so that it can be said which of them differ."""
    runtimes = {name: build.runtime for name, build in entry.builds.items()}
    trees = {name: build.tree for name, build in entry.builds.items()}
    parts = {
        "source": [entry.source, entry.kind, entry.root],
        "launch": entry.launch,
        "packages": [entry.packages, entry.native_lock, entry.scripts_allowed],
        "runtime": runtimes,
        "tree": trees,
        "surface": entry.surface,
        "sandbox": entry.sandbox,
        "access": entry.access,
    }
    return {name: digest_of(parts[name]) for name in PARTS}
