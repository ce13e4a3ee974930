"""The shapes of what commands print with `--json`: fields may be added, never renamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bascule.app.doctor import Finding
from bascule.app.posture.assurance import Requirement
from bascule.app.recertification import Unused
from bascule.app.replay import Replayed
from bascule.app.rights_changes import PolicyChange
from bascule.app.suggestion import Cut, Idle
from bascule.app.who_can import Right
from bascule.audit.query import Row
from bascule.audit.verify import Verdict
from bascule.bench.report import Report
from bascule.cli.grant_list import ShownGrant
from bascule.config.json_schema import DIALECT, json_schema
from bascule.config.model import ConnectorName
from bascule.decision.explain import Asked
from bascule.lock.changes import DefinitionChange
from bascule.lock.diff import Fact
from bascule.lock.ledger import State
from bascule.lock.package_changes import PackageChange
from bascule.lock.reviews import ReviewCount
from bascule.scan.reports.json import Scanned

UserName = Annotated[str, Meta(pattern="^user:.+$")]


class LockedConnector(Struct):
    """`lock`, a line for each connector: what stands in the lock file now."""

    connector: str
    entry: str
    """Digest of the entry: what an approval names."""
    packages: int
    tools: int | None
    """None when it could not be asked what it serves."""
    sandbox: str | None
    """In which sandbox it was asked; empty for a remote server."""
    warnings: list[str]


class Added(Struct):
    """`add`: the connector that is in the configuration now."""

    connector: ConnectorName
    url: str | None
    command: list[str] | None
    owner: str | None
    mode: str
    config: str
    """File that was written."""
    locked: LockedConnector | None
    """What stands in the lock file now; None when it could not be locked."""


class UserAdded(Struct):
    """`user add`, `user reset`: an account and the link by which it sets up its login."""

    user: UserName
    setup_link: str


class User(Struct):
    """`user list`: one account."""

    user: UserName
    groups: list[Annotated[str, Meta(pattern="^group:.+$")]]
    admin: bool
    disabled: bool


class AgentAdded(Struct):
    """`agent add`: a registered agent; its secret, if it has one, is shown this once."""

    agent: str
    client_secret: Annotated[str, Meta(pattern="^bsc_ck_")] | UnsetType = UNSET


class Agent(Struct):
    """`agent list`: one registered agent."""

    agent: str
    origin: Literal["operator", "document", "dynamic", "issuer"]
    """`agent add`, a client ID metadata document, dynamic registration, or a foreign
    issuer, of whose agents only the disabled ones are listed."""
    name: str | None
    """What it calls itself; null for those of `agent add`."""
    authenticates: bool
    """By a secret or a key of its own."""
    verified: bool
    """It authenticates, codes reach it over https only, and somebody vouches for its id."""
    redirect_uris: list[str]
    disabled: bool


class TokenIssued(Struct):
    """`token issue`: an access token."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Meta(ge=1, le=3600)]
    scope: str
    jti: str
    resource: str
    authorization_details: list[dict[str, Any]] | UnsetType = UNSET
    """The calls that it is for (RFC 9396), where `--details` says them."""


class Revoked(Struct):
    """`revoke`: how many entries were written, and the epoch that is in force."""

    revoked: int
    epoch: int


class ConfigProblem(Struct):
    """What is wrong at one place of the configuration."""

    path: str
    message: str


class ConfigCheck(Struct):
    """`config check`: all that is wrong with the configuration."""

    ok: bool
    problems: list[ConfigProblem]
    warnings: list[ConfigProblem]
    """What may stand in the way, but not here and now for certain."""


class PolicyProblem(Struct):
    """What is wrong at one line of a policy or of the configuration."""

    file: str
    line: int
    severity: Literal["error", "warning"]
    message: str


class PolicyCheck(Struct):
    """`policy check`: all that is wrong with the policies."""

    ok: bool
    problems: list[PolicyProblem]
    unreachable: list[str] | UnsetType = UNSET
    """`CONNECTOR/TOOL` of approved tools that nobody can use; absent when there is none."""


class PolicyTestProblem(Struct):
    """What is wrong with a file of cases."""

    file: str
    line: int
    message: str


class PolicyTestResult(Struct):
    """What came of one use of one case."""

    file: str
    line: int
    name: str
    use: str
    """`CONNECTOR/NAME`."""
    ok: bool
    expect: Literal["allow", "deny", "maybe"]
    decision: Literal["allow", "deny", "maybe"]
    reason: str
    policies: list[str]
    problem: str
    """What is not as expected; empty when all is."""


class Covered(Struct):
    """How much of something was tested."""

    tested: int
    total: int
    percent: int
    missing: list[str]


class Coverage(Struct):
    """How much the cases have tested."""

    policies: Covered
    """By their ids."""
    tools: Covered
    """`CONNECTOR/TOOL`, of locked connectors."""


class PolicyTest(Struct):
    """`policy test`: what came of all cases."""

    ok: bool
    cases: int
    failed: int
    problems: list[PolicyTestProblem]
    results: list[PolicyTestResult]
    coverage: Coverage


class Decided(Struct):
    """`decide`: what a call would be answered, and by which policies."""

    decision: Literal["allow", "deny", "maybe"]
    reason: str
    policies: list[str]
    scopes: list[str]
    """What a token would have to have, when only that is missing."""
    record: int | None
    """Place in the log of a decision that was looked up by its code."""


class ExplainedRecord(Struct):
    """What was decided when a call was made that is explained."""

    seq: int
    decision: Literal["allow", "deny"]
    reason: str
    policies: list[str]
    missing: str
    """What the record lacks to be decided again; empty for nothing."""


class PolicyExplained(Struct):
    """`policy explain`: a decision, and what nearly made it another."""

    decision: Literal["allow", "deny", "maybe"]
    reason: str
    policies: list[str]
    scopes: list[str]
    """What a token would have to have, when only that is missing."""
    summary: str
    """The reason, in words."""
    asked: list[Asked]
    """For the user, or the agent by itself; for the agent; for the token."""
    missing: list[str]
    """What would have to be different, in words."""
    record: ExplainedRecord | UnsetType = UNSET
    """With `--code`."""


class AdvisoryFound(Struct):
    """One advisory about a package of the lock."""

    purl: str
    ids: list[str]
    """All its names."""
    severity: str
    summary: str
    malware: bool
    undecided: bool
    """Nobody can tell whether this version is concerned."""


class AdvisoryChanges(Struct):
    """What is known against the packages of two entries."""

    state: Literal["clean", "affected", "malware", "not_assessed"]
    """Of the second."""
    introduced: list[AdvisoryFound]
    fixed: list[AdvisoryFound]
    not_assessed: list[str]
    """Why not all could be known."""


class ApprovalState(Struct):
    """Whether an entry is approved."""

    state: str
    because: str
    approvers: list[str]
    expires: int | None


class TextEvidence(Struct):
    """A rule about what definitions say, and the passage that it is about."""

    rule: str
    where: str
    """Keys that lead to the text."""
    quote: str


class TextFound(Struct):
    """A definition that says what somebody should look at before it is approved."""

    id: str
    """For `approve --finding`; another word in the definition gives another id."""
    definition: str
    """`tools/NAME`, `prompts/NAME`, `resourceTemplates/URI`, `instructions`, `server`."""
    tier: Literal["block", "flag", "none", "unread"]
    """`block` and `unread` are approved with `--finding` alone."""
    evidence: list[TextEvidence]


class Compared(Struct):
    """`diff`: what differs between two entries of a connector."""

    connector: ConnectorName
    before: str | None
    """Digest of the entry; null where there was none."""
    after: str | None
    differs: bool
    classes: list[str]
    """What has changed, in the order of the sections."""
    launch: list[Fact]
    definitions: list[DefinitionChange]
    surface: list[Fact]
    root: PackageChange | None
    packages: list[PackageChange]
    code: list[Fact]
    access: list[Fact]
    advisories: AdvisoryChanges
    approval: ApprovalState
    """Of the second entry."""
    reviews: list[ReviewCount]
    """Of the second entry's packages, for each criterion of `audits.toml`."""
    texts: list[TextFound]
    """What new definitions say that somebody should look at."""
    texts_as_before: list[str]
    """Ids of what the first entry says too, word for word."""


class MonitorRow(Struct):
    """`monitor`, a line for each question about each connector."""

    connector: str
    subject: Literal["advisories", "approval", "versions", "provenance", "bridge"]
    state: Literal["fine", "found", "not_assessed"]
    detail: str
    ids: list[str]
    """Advisories or packages that it is about."""
    stops: bool
    """The connector is not served any longer."""


class PostureControl(Struct):
    """One thing that a promise rests on."""

    id: str
    title: str
    """What is so when it is met."""
    state: Literal["met", "not_met", "not_assessed"]
    probe: str
    """What looked, or what would have to."""
    evidence: list[str]
    fix: str


class PosturePromise(Struct):
    """One of the five promises."""

    promise: Literal["known", "entitled", "approved", "bounded", "traced"]
    controls: list[PostureControl]


class Posture(Struct):
    """`posture`: which controls are met."""

    ok: bool
    """Nothing is `not_met`."""
    level: Literal["L1", "L2", "L3", "L4"] | None
    """CoSAI's level that the evidence supports; None: not even the lowest."""
    promises: list[PosturePromise]
    assurance: list[Requirement]
    """What each level demands, and what is known of it."""
    next: list[str]
    """What to do, the same thing once."""


class KeyRotated(Struct):
    """`key rotate`: the key that signs from now on."""

    kid: str


class KeptSecret(Struct):
    """`secret list`, a line for each: how the configuration refers to it."""

    secret: Annotated[str, Meta(pattern="^vault:.+$")]


class Examined(Struct):
    """`doctor`: what came of each step; `fix` is empty where nothing is wrong."""

    ok: bool
    checks: list[Finding]


class FeedImported(Struct):
    """`import osv`, a line for each ecosystem: what is known now."""

    ecosystem: str
    advisories: int
    newest: str
    """When the latest advisory was changed (RFC 3339): how old the feed is."""
    sha256: str
    """Of the file."""


class AuditsImported(Struct):
    """`import audits`: the file that was taken in, and whose audits of it count."""

    name: str
    file: str
    """Below the configuration."""
    sha256: str
    audits: int
    """In the file."""
    people: list[str]
    """Who made them."""
    criteria: list[str]
    """Of theirs."""
    people_that_count: list[str]
    """As `audits.toml` says; none at first."""
    criteria_that_count: dict[str, list[str]]
    """Theirs → ours."""


class DifferentFile(Struct):
    """One file that is not as it was locked."""

    path: str
    how: Literal["added", "removed", "content", "kind"]


class InstalledConnector(Struct):
    """`install`, a line for each connector."""

    connector: str
    state: Literal["present", "installed", "differs", "nothing"]
    """`differs`: what the lock gives is not what was locked, and it is not in the store;
    `nothing`: a remote server or an image."""
    tree: str
    """Digest that is locked."""
    found: str
    """Digest of what came out instead; empty otherwise."""
    differences: list[DifferentFile]
    """Where it is known which files differ."""
    notes: list[str]


class Drifted(Struct):
    """One thing that is not as it was locked."""

    part: str
    want: str
    have: str


class Verification(Struct, kw_only=True):
    """`verify`, a line for each connector; with `--self` one, of `bascule`."""

    connector: str
    ok: bool
    """Approved, and nothing drifted."""
    approved: bool
    """With `--self`: it could be compared with what it was released with."""
    drift: list[Drifted]
    not_assessed: list[str]
    """What nobody could know; never makes it false."""
    digest: str | UnsetType = UNSET
    """With `--self`: over all files that came in wheels, hex of SHA-256; empty when there
    are none. The same wherever the same wheels are installed."""


class ConnectorDecided(Struct):
    """`approve NAME`, `reject`: the statement that was recorded, and what stands now."""

    connector: ConnectorName
    decision: Literal["approve", "reject", "revoke", "break_glass"]
    approver: str
    """Principal of `allowed_signers`; `local` for the key that Bascule keeps."""
    entry: str
    """SHA-256 of the entry."""
    parts: dict[str, str]
    """SHA-256 of each part of the entry."""
    sequence: int
    """Place in the connector's chain of statements."""
    expires: int
    """Unix time."""
    state: State
    because: str
    """What the connector's entry is or lacks."""
    file: str
    """Of the statement, below the configuration."""
    reviews: list[ReviewCount]
    """Of the packages that were approved; none with another decision."""
    texts: list[TextFound]
    """What the approved definitions say that somebody should look at."""


class ApproversChanged(Struct):
    """`approve --signers`: what has become of a change of the approvers."""

    set: str
    """SHA-256 of signers and rules."""
    in_force: bool
    number: int | UnsetType = UNSET
    """Of the change."""
    approvers: list[str] | UnsetType = UNSET
    """Who has signed it."""
    quorum: int | UnsetType = UNSET
    file: str | UnsetType = UNSET


class Proposed(Struct):
    """`update`, a line for each connector: the entry that waits for an approval."""

    connector: str
    proposed: str | None
    """Its digest; None when nothing is newer."""
    packages: int | None
    tools: int | None


class CallVote(Struct):
    """What one human said about a call."""

    approver: str
    """`user:NAME`; `os:NAME` of who acted on the data directory; `requester`."""
    decision: Literal["approve", "deny"]
    rules: list[str]
    """By which of the rules the approver may decide."""


class CallApprovalRow(Struct):
    """`approvals list`, a line for each; `approvals approve` and `deny`: the one."""

    id: str
    state: Literal["pending", "approved", "denied", "used", "expired"]
    user: str | None
    """For whom the agent calls; null when it acts by itself."""
    agent: str
    connector: str
    tool: str
    rules: list[str]
    """Of `[call_approvals]`: those that ask."""
    approvers: list[str]
    """Who has approved it so far."""
    asked_at: int
    expires_at: int
    """Unix time: until when it can be decided; once it is approved, be made."""


class CallApprovalShown(CallApprovalRow):
    """`approvals show`: one call, with all that it is bound to."""

    arguments_digest: str
    """SHA-256 of the arguments in canonical form (RFC 8785)."""
    definition: str
    """Digest of the tool's definition; empty where none is compared."""
    policy_digest: str
    votes: list[CallVote]
    arguments: dict[str, Any] | None
    """Null once it is over."""


class RightsChange(Struct):
    """`policy diff`: one change, true of each combination of what it names."""

    change: Literal["allowed", "wider", "conditions", "narrower", "denied"]
    before: Literal["allow", "maybe", "deny"]
    after: Literal["allow", "maybe", "deny"]
    reason: str
    """Why it is denied, before or after; empty where it never is."""
    users: list[str | None]
    """Null is the agent by itself; empty where users are not looked at."""
    agents: list[str]
    """Empty where agents are not looked at."""
    targets: list[str]
    """As entries."""
    scopes: list[str] = []
    """Those of tokens, in the part of that name."""


class SettingChange(Struct):
    """A setting that decides on calls and is not the same in both."""

    path: str
    """As `rates.mails.calls`."""
    before: str | None
    """As JSON; null where it is not set."""
    after: str | None


class PoliciesCompared(Struct):
    """`policy diff`: what differs between the rights of two configurations."""

    users: list[RightsChange]
    agents: list[RightsChange]
    scopes: list[RightsChange]
    combined: list[RightsChange]
    policies: list[PolicyChange]
    settings: list[SettingChange]
    counts: dict[str, int]
    """Combinations of user, agent and tool, by change."""


class Simulated(Struct):
    """`policy simulate`: recorded calls, decided again by other rights."""

    since: int
    """Seconds since 1970."""
    calls: int
    """Recorded decisions about something that a right is needed for."""
    same: int
    differences: list[Replayed]
    undecided: dict[str, int]
    """Calls that cannot be decided again, by why."""


class Suggested(Struct):
    """`policy suggest`: the least rights that cover what was used."""

    since: int
    """Seconds since 1970."""
    calls: int
    """Allowed calls that it rests on."""
    roles: dict[str, list[str]]
    """What each role would allow."""
    default_ceiling: list[str]
    ceilings: dict[str, list[str]]
    cuts: list[Cut]
    idle: list[Idle]
    """Where a role of their own would be narrower."""
    unused: list[str]
    """Hand-written policies that permitted none of the calls; they stay."""
    unread: dict[str, int]
    """Allowed calls, before the window too, of which it cannot be told what was used."""
    output: str | None
    """Folder that was written."""


SCHEMAS: Mapping[str, type[Struct] | None] = {
    "add": Added,
    "agent-add": AgentAdded,
    "agent-list": Agent,
    "approvals-approve": CallApprovalRow,
    "approvals-deny": CallApprovalRow,
    "approvals-list": CallApprovalRow,
    "approvals-show": CallApprovalShown,
    "approve": ConnectorDecided,
    "approve-signers": ApproversChanged,
    "audit-query": Row,
    "audit-verify": Verdict,
    "bench": Report,
    "config": None,
    "config-check": ConfigCheck,
    "decide": Decided,
    "diff": Compared,
    "doctor": Examined,
    "grant": ShownGrant,
    "grant-list": ShownGrant,
    "grant-list-unused": Unused,
    "import-audits": AuditsImported,
    "import-osv": FeedImported,
    "install": InstalledConnector,
    "key-rotate": KeyRotated,
    "lock": LockedConnector,
    "monitor": MonitorRow,
    "policy-check": PolicyCheck,
    "policy-diff": PoliciesCompared,
    "policy-explain": PolicyExplained,
    "policy-simulate": Simulated,
    "policy-suggest": Suggested,
    "policy-test": PolicyTest,
    "policy-who-can": Right,
    "posture": Posture,
    "reject": ConnectorDecided,
    "revoke": Revoked,
    "scan": Scanned,
    "secret-list": KeptSecret,
    "token-issue": TokenIssued,
    "update": Proposed,
    "user-add": UserAdded,
    "user-list": User,
    "verify": Verification,
}
"""The command's words → what it prints; `config` is the configuration file itself."""


def schema_of(name: str) -> dict[str, Any] | None:
    """Give the JSON Schema of that name; None when there is none."""
    if name not in SCHEMAS:
        return None
    shape = SCHEMAS[name]
    if shape is None:
        return json_schema()
    return {"$schema": DIALECT, **msgspec.json.schema(shape)}
