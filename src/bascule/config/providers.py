"""Tables of `[providers]`: where the company's people sign in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, field

from bascule.config.table import SecretRef, Table

ProviderName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$",
        description="lower-case letters, digits and inner hyphens, 32 characters at most",
    ),
]
"""A provider's name, as it stands in its redirect URI."""

ProviderKind = Literal[
    "oidc",
    "auth0",
    "cognito",
    "entra",
    "github",
    "google",
    "keycloak",
    "okta",
    "ping",
]

OWN_ISSUERS: Mapping[ProviderKind, str] = {
    "github": "https://github.com/login/oauth",
    "google": "https://accounts.google.com",
}
"""Issuers of the kinds that have one for everybody."""


class ProviderGroups(Table, frozen=True):
    """`[providers.NAME.groups]`: which groups its users are in."""

    claim: str = ""
    """Claim that names them, a text or a list of texts; dots lead into objects. Empty: as
    the kind has it."""
    names: dict[str, str] = field(default_factory=dict)
    """What the provider sends → what the group is called here. When there are any, all
    other groups are left out."""


class Admission(Table, frozen=True):
    """`[providers.NAME.admit]`: who may sign in; what is set must all hold."""

    tenants: tuple[str, ...] = ()
    """Ids of Entra tenants."""
    domains: tuple[str, ...] = ()
    """Domains of Google Workspace, as the provider vouches for them (`hd`); an e-mail
    address never counts."""
    groups: tuple[str, ...] = ()
    """Groups, as they are called here: who is in one of them."""
    everybody: bool = False
    """Whoever has an account there; needed where anybody can get one."""


class Signals(Table, frozen=True):
    """`[providers.NAME.signals]`: security events that the provider pushes.

    They come to `/signals/NAME` at `server.public_url` (RFC 8935).
    """

    audience: str = ""
    """What `aud` of its events is. Absent: the `client_id`."""
    issuer: str = ""
    """What `iss` of its events is, where that is not the issuer of its ID tokens; both are
    signed with the same keys."""
    authorization: SecretRef | None = None
    """What the provider must send as its `Authorization` header, besides signing."""
    events: dict[str, Literal["revoke", "ignore"]] = field(default_factory=dict)
    """What an event does, by its URI or, of events of CAEP and RISC, the last part of it,
    where it is to do something else than usual: `revoke` ends all that was issued for whom
    it names."""


class Scim(Table, frozen=True):
    """`[providers.NAME.scim]`: users and groups that the provider provisions.

    It sends them to `/scim/NAME/v2` at `server.public_url` (RFC 7644).
    """

    token: SecretRef
    """What the provider shows as its bearer token; 32 characters at least, for this
    provider alone."""
    claim: str = ""
    """Claim of ID tokens that holds what SCIM calls `externalId`: this alone ties who signs
    in to who is provisioned. Absent: `oid` of Entra, else `sub`."""
    groups: bool = True
    """Whether SCIM's groups, and they alone, say which groups users are in; with false only
    users are provisioned, and groups are as the claim says."""


class Provider(Table, frozen=True):
    """`[providers.NAME]`: an identity provider by which users sign in."""

    client_id: str
    """Bascule's id as a client there."""
    kind: ProviderKind = "oidc"
    """Whose product it is, and so what is peculiar to it."""
    issuer: str = ""
    """The `iss` value of its ID tokens, compared letter by letter; not needed where the
    kind has one of its own (`google`, `github`)."""
    client_secret: SecretRef | None = None
    """Bascule's secret there."""
    client_key: SecretRef | None = None
    """Instead of a secret: a private key in PEM, whose public part the provider has
    (`private_key_jwt`)."""
    label: str = ""
    """What the button on the login page says; empty: the name."""
    scopes: tuple[str, ...] | None = None
    """What is asked for. Absent: as the kind needs it."""
    api: str = ""
    """Where its API is, if that is not the public one of its kind: Microsoft Graph of a
    national cloud, or a GitHub Enterprise server's."""
    groups: ProviderGroups = field(default_factory=ProviderGroups)
    """Which groups its users are in."""
    admit: Admission = field(default_factory=Admission)
    """Who may sign in."""
    signals: Signals | None = None
    """Security events (CAEP, RISC) that it pushes. Absent: none are taken."""
    scim: Scim | None = None
    """Users and groups that it provisions by SCIM. Absent: none are taken."""
    id_jag: bool = False
    """Whether clients may show its assertions of who their user is (ID-JAG) in place of a
    login here: then the provider alone decides which client acts for whom."""

    @property
    def iss(self) -> str:
        """The issuer, whether it was written or is that of the kind."""
        return self.issuer or OWN_ISSUERS.get(self.kind, "")

    @property
    def provisions_groups(self) -> bool:
        """Whether groups are as it provisions them, whatever a claim says."""
        return self.scim is not None and self.scim.groups

    @property
    def many_tenants(self) -> bool:
        """Whether its issuer stands for those of many Entra tenants."""
        tenant = self.issuer.removeprefix("https://").split("/")[1:2]
        return self.kind == "entra" and tenant in (["common"], ["organizations"])
