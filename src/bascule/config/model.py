"""The configuration file `bascule.toml`, one struct for each table.

Unknown keys are refused. A field's docstring says its unit and what its default means; the
reference page is generated from here.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from msgspec import Meta, field

from bascule.config.credentials import Credential
from bascule.config.introspection import Introspection
from bascule.config.possession import CertificateName, Dpop, Possession
from bascule.config.providers import Provider, ProviderName
from bascule.config.table import SecretRef, Table
from bascule.config.vault import VaultTable
from bascule.config.workloads import Workload

ConnectorName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$",
        description="lower-case letters, digits and inner hyphens, 32 characters at most",
    ),
]
"""A connector's name, as it stands in URLs, scopes and roles."""

Mode = Literal["observe", "warn", "enforce"]


class Tls(Table, frozen=True):
    """`[server.tls]`: the certificate that the public listener shows."""

    cert: SecretRef
    """PEM chain, as `file:PATH`."""
    key: SecretRef
    """PEM private key, as `file:PATH`, readable by the server's user alone."""
    client_ca: SecretRef | None = None
    """PEM of the authorities whose certificates clients may show, as `file:PATH`: tokens
    are then bound to the certificate that they were asked for with (RFC 8705)."""


class Server(Table, frozen=True):
    """`[server]`: where Bascule listens and what it is called."""

    public_url: str = "http://localhost:8420"
    """Scheme, host and port that clients use, no path; https unless loopback."""
    listen: str = "localhost:8420"
    """HOST:PORT of the public listener; `localhost` binds 127.0.0.1 and ::1."""
    admin_listen: str = "localhost:8421"
    """HOST:PORT of the admin listener."""
    database: str = "sqlite"
    """`sqlite` (in the data directory), or a reference to a postgresql:// URL."""
    key_encryption: SecretRef | None = None
    """Reference to the key that wraps the keys in PostgreSQL: 32 bytes in Base64."""
    tls: Tls | None = None
    """Serve TLS with this certificate."""
    behind_proxy: tuple[str, ...] = ()
    """Networks (CIDR) of the reverse proxies in front: only they are served, and the client
    is whom their `X-Forwarded-For` names."""
    allowed_hosts: tuple[str, ...] = ()
    """Further values of `Host` to accept, beside the host of `public_url`."""
    allowed_origins: tuple[str, ...] = ()
    """Further values of `Origin` to accept, beside `public_url`."""


class Network(Table, frozen=True):
    """`[network]`: which private addresses Bascule itself may call."""

    private: tuple[str, ...] = ()
    """HOST:PORT pairs that may resolve to private addresses."""


class Locking(Table, frozen=True):
    """`[locking]`: what holds for the packages of all connectors."""

    own_names: tuple[str, ...] = ()
    """Names of packages of your own, which never come from a public registry; `*` matches
    any run of characters, as in `acme-*` or `@acme/*`."""


class Boundary(Table, frozen=True):
    """`[connectors.NAME.boundary]`: declared reach."""

    reachable_from: tuple[str, ...] = ()
    """Networks (CIDR) from which clients may use it: for others it does not exist, this
    machine's own included unless loopback is listed. Empty: from everywhere."""
    may_reach: tuple[str, ...] = ()
    """HOST:PORT pairs that it may connect to. A locked stdio server reaches nothing else;
    of others nothing is enforced."""


class VantagePoint(Table, frozen=True):
    """`[boundary.vantages.NAME]`: another machine from where boundaries are probed too."""

    address: str
    """ADDRESS:PORT where `bascule scan vantage` listens there."""
    fingerprint: Annotated[
        str, Meta(pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits")
    ]
    """SHA-256 of its certificate, as it prints it."""


class Boundaries(Table, frozen=True):
    """`[boundary]`: how boundaries are probed, and what follows from a breach."""

    on_breach: Literal["report", "close"] = "report"
    """What follows when a connector's server answers without Bascule: `close` serves nobody
    until it does no more."""
    every_minutes: Annotated[int, Meta(ge=0, le=1440)] = 10
    """Minutes between two probes of all connectors, beside those at start and after a
    change; 0: never."""
    vantages: dict[str, VantagePoint] = field(default_factory=dict)
    """Machines elsewhere that lend their view, by a name of your choice."""


class SandboxTable(Table, frozen=True):
    """`[connectors.NAME.sandbox]`: what a stdio server may touch beside its own files."""

    read: tuple[str, ...] = ()
    """Absolute paths that it may read."""
    write: tuple[str, ...] = ()
    """Absolute paths that it may read and change."""
    memory_mib: Annotated[int, Meta(ge=0, le=1 << 20)] = 0
    """Mebibytes of memory; 0: the default cap."""
    processes: Annotated[int, Meta(ge=0, le=1 << 15)] = 0
    """Processes and threads; 0: the default cap."""


ArgumentForm = Literal["path", "url", "host", "name", "nocase", "text"]
"""How an argument is spelt; `nocase`: a name in small letters, `text`: as it came."""


class Connector(Table, frozen=True):
    """`[connectors.NAME]`: one MCP server that Bascule guards; `url` or `command`."""

    url: str | None = None
    """Streamable HTTP endpoint: https, or http to loopback."""
    command: tuple[str, ...] | None = None
    """Argument vector of a stdio server that Bascule runs; no shell."""
    owner: str | None = None
    """Team that answers for it."""
    env: dict[str, str] = field(default_factory=dict)
    """Environment of the command, beside PATH, LANG, TZ, HOME and TMPDIR; a value that
    begins with `file:` or `env:` is read from there."""
    per_user: bool = False
    """Give each user processes and directories of their own; a stdio server may then ask
    its user."""
    mode: Mode | None = None
    """What happens without a valid approval, and to what differs from it: `observe` serves
    and records, `warn` also warns in the log, `enforce` refuses. Absent: `enforce`."""
    boundary: Boundary = field(default_factory=Boundary)
    """Declared reach, inward and outward."""
    sandbox: SandboxTable = field(default_factory=SandboxTable)
    """What the process may touch."""
    credential: Credential = field(default_factory=Credential)
    """What Bascule shows to the server."""
    may_ask: tuple[Literal["elicitation", "sampling", "roots"], ...] = ()
    """Requests to the client that this server may make."""
    unsafe_cleartext: bool = False
    """Allow http to a host that is not loopback."""
    record_values: bool = False
    """Keep the values of arguments, encrypted, so that a record can be opened later."""
    arguments: dict[str, ArgumentForm] = field(default_factory=dict)
    """How arguments that policies read are spelt, by `ARGUMENT` or `TOOL/ARGUMENT`, with
    dots for members of objects. Absent: as its schema, its policies or its name say."""
    unknown_arguments: Literal["refuse", "allow"] = "refuse"
    """Whether arguments that the approved schema of a tool does not have may pass."""
    require: Possession | None = None
    """What must be shown beside each token: `dpop`, a proof signed with the client's key
    (RFC 9449); `mtls`, the client's certificate (RFC 8705). Absent: whatever the token is
    bound to, which may be nothing."""


class TimedMember(Table, frozen=True):
    """`[roles.NAME]` with `members = [{ … }]`: a member for a time."""

    who: str
    """`user:…`, `group:…` or `agent:…`."""
    until: Annotated[
        datetime.datetime,
        Meta(tz=True, description="a time with its offset, as `2026-12-31T00:00:00Z`"),
    ]
    """From then on it is no member any more; with an offset, as `2026-12-31T00:00:00Z`."""


class Role(Table, frozen=True):
    """`[roles.NAME]`: who may do what."""

    members: tuple[str | TimedMember, ...] = ()
    """`user:…`, `group:…` or `agent:…`; for a time, `{ who = "user:…", until = … }`."""
    allow: tuple[str, ...] = ()
    """Toolsets, `CONNECTOR/TOOL`, `CONNECTOR/prompt:NAME`, `CONNECTOR/resource:URI`,
    `CONNECTOR/*`; `*` matches any run of characters."""


class Agents(Table, frozen=True):
    """`[agents]`: the most that an agent may do, whoever uses it."""

    default_ceiling: tuple[str, ...] = ()
    """For agents without an entry of their own."""
    ceilings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By client id; entries as in `roles.*.allow`."""
    require: dict[str, Possession] = field(default_factory=dict)
    """What an agent must show beside a token, by client id; see `connectors.*.require`."""
    certificates: dict[str, CertificateName] = field(default_factory=dict)
    """By which name in its certificate an agent authenticates, by client id, as `bascule
    agent add CLIENT_ID --workload` registered it (`tls_client_auth`): a URI, as
    `spiffe://…`, or `dns:HOST`."""


class Clients(Table, frozen=True):
    """`[clients]`: which OAuth clients may ask users for access by themselves."""

    cimd_domains: tuple[str, ...] | None = None
    """Hosts of client ID metadata documents, `HOST` or `*.DOMAIN`. Absent: any public host;
    an empty list: none. What an agent may do is a matter of its ceiling either way."""
    dynamic_registration: bool = False
    """Let anybody register a client (RFC 7591); such clients are never verified."""


class GroupsClaim(Table, frozen=True):
    """`[issuers.NAME.groups]`: where a foreign token says its subject's groups."""

    claim: str = "groups"
    """Name of the claim, a text or an array of texts. Where there is none of that name, its
    dots lead into objects: `realm_access.roles`."""


class Issuer(Table, frozen=True):
    """`[issuers.NAME]`: a foreign authorization server whose access tokens are accepted."""

    issuer: str
    """The `iss` value, compared letter by letter."""
    audiences: dict[str, str]
    """`aud` value by connector, each a different one."""
    client_claim: str = "client_id"
    """Claim that names the agent."""
    groups: GroupsClaim = field(default_factory=GroupsClaim)
    """Where its tokens name groups."""
    jwks_uri: str | None = None
    """Where its keys are; found by its metadata when absent."""
    audience_claim: str = "aud"
    """Claim that is compared with `audiences`."""
    untyped: bool = False
    """Accept access tokens that do not say that they are (`typ` missing or `JWT`)."""
    default_scopes: tuple[str, ...] | None = None
    """Scopes of a token that has no claim for them. Absent: the built-in `mcp:CONNECTOR`;
    an empty list: none, and then such a token permits nothing."""
    introspection: Introspection | None = None
    """It is asked about each of its tokens, which only it can read; then `jwks_uri` is not
    used. One issuer for a connector at most."""


class ApprovalRule(Table, frozen=True, omit_defaults=True):
    """`[approvals.rules.NAME]`: what some connectors need beyond `[approvals]`."""

    connectors: tuple[str, ...] = ()
    """Names of the connectors that it is for; `*` matches any run of characters."""
    owners: tuple[str, ...] = ()
    """Owners whose connectors it is for, beside those in `connectors`."""
    approvers: tuple[str, ...] = ()
    """Principals who may approve; empty: all who may by the other rules."""
    quorum: Annotated[int, Meta(ge=1, le=20)] = 1
    """How many different persons must approve; the largest that applies counts."""
    not_author: bool = False
    """Who made the entry in the lock must not approve it."""
    longest_days: Annotated[int, Meta(ge=1, le=90)] = 90
    """Days after which an approval expires at the latest."""
    audited: str = ""
    """Criterion of `audits.toml` that every package must meet before it is approved; empty:
    none."""


class Approvals(Table, frozen=True, omit_defaults=True):
    """`[approvals]`: who may approve. A change takes effect once it is approved."""

    approvers: tuple[str, ...] = ()
    """Principals who may approve; empty: all in `allowed_signers`."""
    quorum: Annotated[int, Meta(ge=1, le=20)] = 1
    """How many different persons must approve."""
    not_author: bool = False
    """Who made the entry in the lock must not approve it."""
    longest_days: Annotated[int, Meta(ge=1, le=90)] = 90
    """Days after which an approval expires at the latest."""
    break_glass: tuple[str, ...] = ()
    """Principals who may approve alone, for 24 hours at most; empty: nobody."""
    change_by: tuple[str, ...] = ()
    """Principals who may approve changes of this table and of `allowed_signers`, as many
    as the largest `quorum` in it says; empty: those in `approvers`."""
    rules: dict[str, ApprovalRule] = field(default_factory=dict)
    """Stricter rules, by a name of your choice."""


class CallApprovalRule(Table, frozen=True, omit_defaults=True):
    """`[call_approvals.NAME]`: calls that wait for a person's consent, each for its own."""

    tools: tuple[str, ...] = ()
    """Toolsets, `CONNECTOR/TOOL` or `CONNECTOR/*`: each call of these waits."""
    destructive: bool = False
    """Each call of any tool that the approved surface calls destructive waits; without a
    surface all are."""
    approvers: tuple[str, ...] = ()
    """`user:…` or `group:…`: who may consent to the calls of others."""
    self_approval: bool = False
    """The user for whom the agent calls may consent."""
    quorum: Annotated[int, Meta(ge=1, le=20)] = 1
    """How many different persons must consent."""


class Flow(Table, frozen=True, omit_defaults=True):
    """`[flows.NAME]`: what is closed to who used something else a while ago."""

    after: tuple[str, ...] = ()
    """Labels: using anything that has one of them begins the time."""
    after_all: tuple[str, ...] = ()
    """Labels: the time begins when something of each of them has been used."""
    close: tuple[str, ...] = ()
    """Labels: what has one of them is closed meanwhile; empty where policies of your own
    read `context.touched`."""
    minutes: Annotated[int, Meta(ge=1, le=10_080)] = 30
    """How long, from the last such use. Flows that name the same label in `after` or
    `after_all` must agree."""
    then: Literal["deny", "approve"] = "deny"
    """`approve`: instead of being refused, each call waits for a person's consent."""
    rule: str = ""
    """Of `[call_approvals]`: who may consent; empty: `default`."""


class Rate(Table, frozen=True, omit_defaults=True):
    """`[rates.NAME]`: how many calls may be made in a minute, an hour or a day."""

    of: tuple[str, ...]
    """Entries as in `roles.*.allow`, counted together."""
    calls: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    """How many."""
    per: Literal["minute", "hour", "day"] = "hour"
    """By the clock, in UTC: the count begins anew with each."""
    by: tuple[Literal["user", "agent", "tool"], ...] = ("user", "agent")
    """Whom and what is counted apart; empty: all calls of everybody together."""


class Shadow(Table, frozen=True):
    """`[shadow]`: rights that are tried out on every call, and never in force."""

    config: str = ""
    """Configuration file, or its folder, beginning at this file's folder: its toolsets,
    labels, roles, agents, scopes, call approvals and flows, and the policies beside it.
    Empty: none."""


class Audit(Table, frozen=True):
    """`[audit]`: where checkpoints go besides the log itself."""

    copies: tuple[str, ...] = ()
    """`file:DIRECTORY` for each; start is refused when a copy is ahead of the log."""


class Limits(Table, frozen=True):
    """`[limits]`: bounds per host."""

    body_bytes: Annotated[int, Meta(ge=1024, le=64 << 20)] = 4 << 20
    """Largest request body."""
    response_bytes: Annotated[int, Meta(ge=1024, le=256 << 20)] = 16 << 20
    """Largest upstream response that is not a stream."""
    depth: Annotated[int, Meta(ge=4, le=256)] = 64
    """Deepest nesting of a JSON message."""
    header_bytes: Annotated[int, Meta(ge=4096, le=1 << 20)] = 32 << 10
    """All header lines of a request together."""
    header_seconds: Annotated[int, Meta(ge=1, le=300)] = 10
    """Time to send a request's head."""
    body_seconds: Annotated[int, Meta(ge=1, le=3600)] = 60
    """Time to send a request's body."""
    idle_seconds: Annotated[int, Meta(ge=1, le=3600)] = 120
    """Time a connection may stay open between requests."""
    in_flight: Annotated[int, Meta(ge=1, le=100_000)] = 64
    """Unfinished requests per identity."""
    connections: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    """Open client connections; half of them from one address at most."""
    upstream_seconds: Annotated[int, Meta(ge=1, le=3600)] = 60
    """Silence of an upstream after which a call fails."""
    upstream_total_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 900
    """Longest that one call may take; streams that a client opened to listen are exempt."""
    stdio_idle_seconds: Annotated[int, Meta(ge=1, le=86_400)] = 600
    """Time without a call after which a stdio server's process is ended."""
    stdio_processes: Annotated[int, Meta(ge=2, le=1000)] = 32
    """Processes of one stdio server: for each revision, with `per_user` for each user."""
    failed_auth_per_minute: Annotated[int, Meta(ge=1)] = 600
    """Failed authentications from one address before it is answered 429."""


class Config(Table, frozen=True):
    """The whole file."""

    server: Server = field(default_factory=Server)
    """Where Bascule listens and what it is called."""
    network: Network = field(default_factory=Network)
    """Private addresses that Bascule itself may call."""
    connectors: dict[ConnectorName, Connector] = field(default_factory=dict)
    """The MCP servers that it guards, by name."""
    boundary: Boundaries = field(default_factory=Boundaries)
    """How boundaries are probed."""
    locking: Locking = field(default_factory=Locking)
    """Names of packages of your own."""
    toolsets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """`CONNECTOR:NAME` → members, all of that connector."""
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Label → the tools that have it, as entries in `roles.*.allow`; policies speak of
    labels."""
    roles: dict[str, Role] = field(default_factory=dict)
    """Who may do what, by the role's name."""
    agents: Agents = field(default_factory=Agents)
    """Ceilings of agents."""
    clients: Clients = field(default_factory=Clients)
    """Which OAuth clients may ask users for access by themselves."""
    dpop: Dpop = field(default_factory=Dpop)
    """What holds for proofs of possession."""
    scopes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """OAuth scope → entries as in `roles.*.allow`; `mcp:CONNECTOR` is built in."""
    issuers: dict[str, Issuer] = field(default_factory=dict)
    """Foreign authorization servers, by a name of your choice."""
    providers: dict[ProviderName, Provider] = field(default_factory=dict)
    """Identity providers by which users sign in, by a name of your choice."""
    workloads: dict[str, Workload] = field(default_factory=dict)
    """Agents that a platform vouches for, by a name of your choice."""
    approvals: Approvals = field(default_factory=Approvals)
    """Who may approve connectors."""
    call_approvals: dict[str, CallApprovalRule] = field(default_factory=dict)
    """Which calls wait for a person's consent, and whose, by a name of your choice."""
    flows: dict[str, Flow] = field(default_factory=dict)
    """What is closed to who used something else a while ago, by a name of your choice."""
    rates: dict[str, Rate] = field(default_factory=dict)
    """How many calls may be made, by a name of your choice."""
    shadow: Shadow = field(default_factory=Shadow)
    """Rights that are tried out beside those in force."""
    vault: VaultTable = field(default_factory=VaultTable)
    """What keeps secrets in the database unreadable."""
    audit: Audit = field(default_factory=Audit)
    """Copies of the log's checkpoints."""
    limits: Limits = field(default_factory=Limits)
    """Bounds on sizes, times and numbers."""
