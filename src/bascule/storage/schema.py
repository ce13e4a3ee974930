"""Every table of the state. Times are whole seconds since 1970, digests are bytes."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

VERSION = "0016"
"""The migration that this code works with."""
EARLIER_VERSIONS: tuple[str, ...] = tuple(f"{number:04}" for number in range(1, 16))
"""Migrations before it, from which `bascule db migrate` leads here."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

users = Table(
    "users",
    metadata,
    Column("name", Text, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    Column("is_admin", Boolean, nullable=False),
    Column("setup_hash", LargeBinary, unique=True),
    Column("setup_expires_at", BigInteger),
)

user_groups = Table(
    "user_groups",
    metadata,
    Column("user_name", Text, ForeignKey("users.name"), primary_key=True),
    Column("group_name", Text, primary_key=True),
)

federated_users = Table(
    "federated_users",
    metadata,
    Column("user_name", Text, ForeignKey("users.name"), primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("checked_at", BigInteger, nullable=False),
    Column("asking_until", BigInteger, nullable=False, server_default="0"),
    Index("ix_federated_users_external_id", "issuer", "external_id"),
)
"""Of users whom an identity provider vouches for, what it said last, and when."""

provider_logins = Table(
    "provider_logins",
    metadata,
    Column("state_hash", LargeBinary, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("browser_hash", LargeBinary, nullable=False),
    Column("next", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("ix_provider_logins_expires_at", "expires_at"),
)
"""Logins that are under way at an identity provider."""

provider_sessions = Table(
    "provider_sessions",
    metadata,
    Column("session_number", BigInteger, primary_key=True, autoincrement=False),
    Column("user_name", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("sid", Text, nullable=False),
    Index("ix_provider_sessions_sid", "provider", "sid"),
)
"""Of browser sessions that began at an identity provider: its session there."""

passwords = Table(
    "passwords",
    metadata,
    Column("user_name", Text, ForeignKey("users.name"), primary_key=True),
    Column("hash", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)
"""Of users that have one: argon2id in its PHC form, which says its parameters."""

first_admin_links = Table(
    "first_admin_links",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("expires_at", BigInteger, nullable=False),
)
"""Of one row at most: the link by which the first administrator comes in."""

passkeys = Table(
    "passkeys",
    metadata,
    Column("credential_id", LargeBinary, primary_key=True),
    Column("user_name", Text, ForeignKey("users.name"), nullable=False),
    Column("user_handle", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Index("ix_passkeys_user_name", "user_name"),
)
"""WebAuthn credentials; the handle is the same for all of a user's."""

used_challenges = Table(
    "used_challenges",
    metadata,
    Column("challenge_hash", LargeBinary, primary_key=True),
    Column("expires_at", BigInteger, nullable=False),
)
"""Challenges of WebAuthn that were answered, until they would have expired anyway."""

login_failures = Table(
    "login_failures",
    metadata,
    Column("account_hash", LargeBinary, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("failures", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("blocked_until", BigInteger, nullable=False),
    Index("ix_login_failures_last_at", "last_at"),
)
"""Logins that did not succeed, by account, existing or not, and source."""

browser_sessions = Table(
    "browser_sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("user_name", Text, ForeignKey("users.name"), nullable=False),
    Column("audience", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("ix_browser_sessions_user_name", "user_name"),
    Index("ix_browser_sessions_expires_at", "expires_at"),
)

agents = Table(
    "agents",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    Column("secret_hash", LargeBinary),
    Column("jwks", Text),
    Column("origin", Text, nullable=False, server_default="operator"),
    Column("auth_method", Text, nullable=False, server_default="none"),
    Column("name", Text),
    Column("expires_at", BigInteger),
    Column("dpop_bound", Boolean, nullable=False, server_default=false()),
)
"""`expires_at` and `dpop_bound`: only of clients that registered themselves."""

agent_redirects = Table(
    "agent_redirects",
    metadata,
    Column("client_id", Text, ForeignKey("agents.client_id"), primary_key=True),
    Column("redirect_uri", Text, primary_key=True),
)

tokens = Table(
    "tokens",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("jti", Text, nullable=False, unique=True),
    Column("user_name", Text),
    Column("client_id", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("grant_id", Text),
    Index("ix_tokens_expires_at", "expires_at"),
    Index("ix_tokens_grant_id", "grant_id"),
)

authorization_requests = Table(
    "authorization_requests",
    metadata,
    Column("id_hash", LargeBinary, primary_key=True),
    Column("session_number", BigInteger, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("state", Text),
    Column("code_challenge", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("decision", Text),
    Column("sealed_code", LargeBinary),
    Column("authorization_details", Text),
    Column("dpop_jkt", Text),
    Index("ix_authorization_requests_expires_at", "expires_at"),
)
"""`decision`: `allow` or `deny`, once the user has decided. `sealed_code`: the code, under
a key made of the request's id, for a browser that sends the same form twice.
`authorization_details`: the calls that it is for; none: it does not say. `dpop_jkt`:
thumbprint of the key whose holder alone may redeem the code."""

grants = Table(
    "grants",
    metadata,
    Column("id", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("authorization_details", Text),
    Column("cnf", Text),
    Index("ix_grants_expires_at", "expires_at"),
)
"""One consent and all tokens that came of it. `number`: issue number, for revocations.
`cnf`: what its code and refresh tokens are bound to, as JSON."""

access_grants = Table(
    "access_grants",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_name", Text),
    Column("client_id", Text),
    Column("connector", Text, nullable=False),
    Column("entries", Text, nullable=False),
    Column("seconds", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("decision", Text),
    Column("decided_by", Text),
    Column("decided_at", BigInteger),
    Column("decision_reason", Text),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("end_reason", Text),
    Index("ix_access_grants_expires_at", "expires_at"),
)
"""Rights outside of roles, asked for or given; nothing to do with `grants`. `decision`:
`grant` or `deny`, once there is one. `entries`: a JSON array. `expires_at`: of the right,
before the decision of the request."""

authorization_codes = Table(
    "authorization_codes",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    Column("grant_id", Text, ForeignKey("grants.id"), nullable=False),
    Column("client_id", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("code_challenge", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Index("ix_authorization_codes_grant_id", "grant_id"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("grant_id", Text, ForeignKey("grants.id"), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Column("successor_hash", LargeBinary),
    Column("sealed_successor", LargeBinary),
    Index("ix_refresh_tokens_grant_id", "grant_id"),
    Index(
        "ix_refresh_tokens_sealed",
        "used_at",
        sqlite_where=text("sealed_successor IS NOT NULL"),
        postgresql_where=text("sealed_successor IS NOT NULL"),
    ),
    Index(
        "ix_refresh_tokens_successor",
        "successor_hash",
        sqlite_where=text("sealed_successor IS NOT NULL"),
        postgresql_where=text("sealed_successor IS NOT NULL"),
    ),
)
"""`sealed_successor`: the next token, under a key made of this one, for a retry."""

consents = Table(
    "consents",
    metadata,
    Column("user_name", Text, primary_key=True),
    Column("client_id", Text, primary_key=True),
    Column("redirect_uri", Text, primary_key=True),
    Column("connector", Text, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

used_assertions = Table(
    "used_assertions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("expires_at", BigInteger, nullable=False),
    Index("ix_used_assertions_expires_at", "expires_at"),
)

shown_once = Table(
    "shown_once",
    metadata,
    Column("since", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, primary_key=True),
)
"""What was shown and counts once, for some minutes, where the log is in this database."""

revocations = Table(
    "revocations",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("up_to", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("expires_at", BigInteger),
)
"""`expires_at`: when nothing that it names can be valid any more; mostly unknown."""

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""`issued`: highest issue number; `epoch`: raised by each revocation; `generation`: raised
by each change of users, groups, agents, revocations, approvals or access grants;
`approvals` and `access_grants`: by each of those alone."""

advisories = Table(
    "advisories",
    metadata,
    Column("ecosystem", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("modified", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Index("ix_advisories_id", "ecosystem", "id"),
)
"""Of feeds that were imported, a row for each package that one is about."""

advisory_feeds = Table(
    "advisory_feeds",
    metadata,
    Column("ecosystem", Text, primary_key=True),
    Column("newest", Text, nullable=False),
    Column("advisories", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("imported_at", BigInteger, nullable=False),
)
"""What was read to its end, and how old its latest advisory is."""

approvals = Table(
    "approvals",
    metadata,
    Column("connector", Text, primary_key=True),
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("entry_digest", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("approver", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("completes", Boolean, nullable=False),
    Column("void", Boolean, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    UniqueConstraint("connector", "digest"),
)
"""Every statement that was valid when it came, in the order of `place`; none is changed
but to be `void`, none is removed."""

approver_sets = Table(
    "approver_sets",
    metadata,
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
)
"""Who may approve, and by which rules: the row with the highest place is in force."""

approver_votes = Table(
    "approver_votes",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("envelope", LargeBinary, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
)
"""Signed statements for a change of that set."""

approved_documents = Table(
    "approved_documents",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)
"""Entries and surfaces that statements are about, in canonical form (RFC 8785)."""

entry_authors = Table(
    "entry_authors",
    metadata,
    Column("connector", Text, primary_key=True),
    Column("entry_digest", Text, primary_key=True),
    Column("author", Text, primary_key=True),
    Column("recorded_at", BigInteger, nullable=False),
)
"""Who made an entry of the lock on this machine."""

call_approvals = Table(
    "call_approvals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("binding", Text, nullable=False),
    Column("user_name", Text),
    Column("client_id", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("arguments_digest", Text, nullable=False),
    Column("policy_digest", Text, nullable=False),
    Column("rules", Text, nullable=False),
    Column("sealed_arguments", LargeBinary),
    Column("state", Text, nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("round", BigInteger, nullable=False),
    Index("ix_call_approvals_binding", "binding"),
    Index("ix_call_approvals_expires_at", "expires_at"),
)
"""Calls that wait for a human. `rules`: JSON, names; `sealed_arguments`: null once nobody
needs to read them any more; `round`: how often it was used, by the call itself and by each
round of input that its server asked for."""

call_approval_votes = Table(
    "call_approval_votes",
    metadata,
    Column("approval_id", Text, ForeignKey("call_approvals.id"), primary_key=True),
    Column("approver", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("decision", Text, nullable=False),
    Column("rules", Text, nullable=False),
    Column("decided_at", BigInteger, nullable=False),
)
"""`rules`: JSON, names of those by which the approver may decide."""

touches = Table(
    "touches",
    metadata,
    Column("user_name", Text, primary_key=True),
    Column("client_id", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("open_until", BigInteger, nullable=False),
    Index("ix_touches_open_until", "open_until"),
)
"""What each identity has used lately, by label, and until when that counts; an agent by
itself has an empty `user_name`."""

drawn_calls = Table(
    "drawn_calls",
    metadata,
    Column("rate", Text, primary_key=True),
    Column("holder_hash", LargeBinary, primary_key=True),
    Column("ends_at", BigInteger, primary_key=True, autoincrement=False),
    Column("drawn", BigInteger, nullable=False),
    Index("ix_drawn_calls_ends_at", "ends_at"),
)
"""How many calls of a rate's period were drawn; for whom and what, under a hash."""

boundary_verdicts = Table(
    "boundary_verdicts",
    metadata,
    Column("connector", Text, primary_key=True),
    Column("place", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("inward", Text, nullable=False),
    Column("outward", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("checked_at", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),
)
"""What the last probe of each connector came to, by the place that it was made from;
`subject` says of which server, `since` from when on it was so inward."""

# With SQLite the tables below stay empty: keys and the log are files then.

keys = Table(
    "keys",
    metadata,
    Column("name", Text, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
)
"""Keys, encrypted under `server.key_encryption`."""

log_lease = Table(
    "log_lease",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("log", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("held_until", BigInteger, nullable=False),
)
"""One row: which log is the current one, who may write it (the fence that was taken last)
and until when, in milliseconds since 1970 by the database's clock."""

log_files = Table(
    "log_files",
    metadata,
    Column("log", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
"""Tiles, entries, openings, state and checkpoint by the names that files would have."""

log_segments = Table(
    "log_segments",
    metadata,
    Column("place", BigInteger, primary_key=True),
    Column("log", BigInteger, nullable=False),
    Column("writer", Text, nullable=False),
    Column("boot", Text, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("prev", LargeBinary, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("leaves", LargeBinary, nullable=False),
    Column("openings", LargeBinary, nullable=False),
    Column("written_at", BigInteger, nullable=False),
    UniqueConstraint("log", "writer", "boot", "first"),
)
"""The inbox. `place` grows, but need not in the order of commits; `written_at` is in
milliseconds by the database's clock."""

link_requests = Table(
    "link_requests",
    metadata,
    Column("id_hash", LargeBinary, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("state_hash", LargeBinary, unique=True),
    Column("flow", LargeBinary),
    Index("ix_link_requests_user_name", "user_name", "connector"),
)
"""Links by which a user connects an account; `client_id` of the agent that asked, empty for
the user. `state`: `open`, `started`, `returned`, `linked` or `failed`. `state_hash` and
`flow` only while the user is at the authorization server."""

linked_accounts = Table(
    "linked_accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_name", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("linked_at", BigInteger, nullable=False),
    Column("refreshed_at", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("end_reason", Text),
    Column("tries", BigInteger, nullable=False),
    Column("next_try_at", BigInteger, nullable=False),
    Index(
        "ix_linked_accounts_live",
        "user_name",
        "connector",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index("ix_linked_accounts_ended_at", "ended_at", "next_try_at"),
)
"""Users' accounts at upstreams; their tokens lie in the vault. `version` grows with each
new token, `expires_at` is of the access token, 0 for none. What has ended stays until its
tokens are revoked at the upstream, or that was tried often enough."""

ended_logins = Table(
    "ended_logins",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("tries", BigInteger, nullable=False),
    Column("next_try_at", BigInteger, nullable=False),
    Index("ix_ended_logins_next_try_at", "next_try_at"),
)
"""Tokens of providers in the vault that have ended, until they are revoked there too."""

scim_users = Table(
    "scim_users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("user_name_key", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    UniqueConstraint("issuer", "external_id"),
    UniqueConstraint("issuer", "user_name_key", name="uq_scim_users_user_name_key"),
)
"""Users as providers provision them, by the issuer of their ID tokens, so that a provider
of another name is the same and another issuer is another; `external_id` is what ties one to
who signs in.
`user_name_key`: the name as it is compared, without case."""

scim_groups = Table(
    "scim_groups",
    metadata,
    Column("id", Text, primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    UniqueConstraint("issuer", "display_name"),
)
"""Groups as providers provision them; `external_id` may be empty."""

scim_members = Table(
    "scim_members",
    metadata,
    Column("group_id", Text, ForeignKey("scim_groups.id"), primary_key=True),
    Column("user_id", Text, ForeignKey("scim_users.id"), primary_key=True),
    Index("ix_scim_members_user_id", "user_id"),
)

scim_ended = Table(
    "scim_ended",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("ended_at", BigInteger, nullable=False),
)
"""Whom provisioning has deactivated or deleted: they stay out until it lets them in again,
whether they ever signed in or not."""

vault_keys = Table(
    "vault_keys",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("key_id", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
"""A data key for each owner of secrets, encrypted under the key-encryption key `key_id`."""

vault_entries = Table(
    "vault_entries",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
"""Secrets, each encrypted under its owner's data key; `version` grows with each value."""
