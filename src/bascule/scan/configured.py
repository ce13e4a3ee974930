"""One server as a client's file has it, in whatever words that client uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from bascule.scan import entry_words
from bascule.scan.entry_words import clean
from bascule.scan.redaction import redacted, redacted_command, redacted_url
from bascule.scan.secret_names import names_secret
from bascule.scan.server import Auth, Server, Transport

_LONGEST_NAME = 200
_MOST_WORDS = 1_000


@dataclass(frozen=True, slots=True)
class Configured:
    """A server of a file. Holds what that holds, secrets too: `row` is what is shown."""

    name: str
    client: str
    path: str
    where: str
    """Of the entry in the file: `mcpServers.NAME`."""
    raw: Mapping[str, Any] = field(repr=False)
    command: tuple[str, ...] = field(default=(), repr=False)
    url: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    transport: Transport | None = None
    disabled: bool = False
    approved: tuple[str, ...] = ()
    """Tools that are called without a question; `*` for all."""
    project: str = ""
    """Folder in which it is used; empty for everywhere."""

    @property
    def shown_name(self) -> str:
        """Its name as it is shown: of bounded length, and no secret in it."""
        return redacted(self.name[:_LONGEST_NAME])

    @property
    def target(self) -> str:
        """What findings name."""
        return f"{self.path}: {self.shown_name}"

    @property
    def shown_where(self) -> str:
        """Where it stands, as it is shown."""
        return redacted(self.where)

    @property
    def shown_command(self) -> tuple[str, ...]:
        """The command without its secrets."""
        return redacted_command(self.command)

    def row(self, *, pinned: bool | None, through_bascule: bool | None) -> Server:
        """Give what is shown of it."""
        row = Server(
            name=self.shown_name,
            transport=self.transport,
            client=self.client,
            path=self.path,
            pinned=pinned,
            through_bascule=through_bascule,
            known=True,
            auth=self._auth(),
            state="disabled" if self.disabled else "configured",
        )
        if self.url:
            return replace(row, url=redacted_url(self.url))
        return replace(row, command=self.shown_command) if self.command else row

    def _auth(self) -> Auth | None:
        """Say what the client will show; None where the file does not say."""
        if not self.url:
            return None
        names = {name.lower(): value for name, value in self.headers.items()}
        if "authorization" in names:
            is_bearer = names["authorization"].strip().lower().startswith("bearer")
            return "bearer" if is_bearer else "other"
        if any(key in self.raw for key in ("bearer_token_env_var", "bearerToken")):
            return "bearer"
        if any(isinstance(self.raw.get(key), dict) for key in ("oauth", "auth")):
            return "oauth"
        if any(key in self.raw for key in ("clientCert", "client_cert", "cert")):
            return "mtls"
        if any(names_secret(name) or name == "x-api-key" for name in names):
            return "other"
        return "url_token" if _has_token(self.url) else None


def configured(
    name: str,
    raw: Mapping[str, Any],
    *,
    client: str,
    path: str,
    where: str,
    project: str = "",
) -> Configured:
    """Read an entry; what is of a wrong type counts as not there."""
    layers = entry_words.layers_of(raw)
    command, url = entry_words.command_in(layers), entry_words.url_in(layers)
    if command and url:
        is_stdio = entry_words.declared_transport(layers) == "stdio"
        command, url = (command, "") if is_stdio else ((), url)
    return Configured(
        name=clean(name),
        client=client,
        path=path,
        where=where,
        raw=raw,
        command=command,
        url=url,
        environment=entry_words.environment_in(layers),
        headers=entry_words.headers_in(layers),
        transport=entry_words.transport_of(layers, command, url, client),
        disabled=entry_words.is_disabled(raw),
        approved=entry_words.approved_in(raw),
        project=project,
    )


def _has_token(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    names = (pair.partition("=")[0] for pair in parts.query.split("&"))
    return "@" in parts.netloc or any(map(names_secret, names))
