"""One server as a client's file has it, in whatever words that client uses."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from bascule.scan.plain_secrets import names_secret
from bascule.scan.redaction import redacted, redacted_command, redacted_url
from bascule.scan.server import Auth, Server, Transport

_COMMANDS = ("command", "cmd", "program", "executable")
_ARGUMENTS = ("args", "arguments", "argv")
_URLS = (
    *("url", "httpUrl", "serverUrl", "uri", "endpoint", "sseUrl", "baseUrl"),
    *("http_url", "server_url", "sse_url", "base_url", "serverURL", "baseURL"),
)
_TYPES = ("type", "transport", "transportType", "transport_type")
_ENVIRONMENTS = ("env", "environment", "envs")
_HEADERS = ("headers", "http_headers", "httpHeaders", "requestHeaders")
_WITHIN = ("transport", "config", "server", "requestOptions", "request_options", "remote")
"""Where some clients put a part of the above."""
_APPROVALS = ("autoApprove", "alwaysAllow", "auto_approve", "always_allow", "autoAllow")
_TRANSPORTS: Mapping[str, Transport] = {
    **dict.fromkeys(("stdio", "local", "command", "process"), "stdio"),
    **dict.fromkeys(("http", "streamablehttp", "remote", "httpstream", "stream"), "http"),
    "sse": "sse",
}
_URL_IS_SSE = frozenset({"Gemini CLI", "Qwen Code"})
"""Clients that have `httpUrl` for the transport of today."""
MOST_VALUES = 2_000
"""Texts of one entry that are looked at."""
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
    layers = [raw, *(it for key in _WITHIN if isinstance(it := raw.get(key), dict))]
    command = _command(layers)
    url = next(filter(None, (_text(_first(layer, _URLS)) for layer in layers)), "")
    return Configured(
        name=clean(name),
        client=client,
        path=path,
        where=where,
        raw=raw,
        command=() if url and not _is_stdio(layers) else command,
        url="" if command and _is_stdio(layers) else url,
        environment=_texts(layers, _ENVIRONMENTS),
        headers=_texts(layers, _HEADERS),
        transport=_transport(layers, command, url, client),
        disabled=_is_true(raw.get("disabled")) or _is_false(raw.get("enabled")),
        approved=_approved(raw),
        project=project,
    )


def looks_like_server(value: object) -> bool:
    """Tell whether a value is an entry of a server: a command, or a URL."""
    if not isinstance(value, dict):
        return False
    layers = [value, *(it for key in _WITHIN if isinstance(it := value.get(key), dict))]
    return any(
        isinstance(layer.get(key), str | list | dict) and layer.get(key)
        for layer in layers
        for key in (*_COMMANDS, *_URLS)
    )


def values_in(value: object, most: int) -> int:
    """Count the texts in a value, up to `most`."""
    waiting, count = [value], 0
    while waiting and count < most:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
        elif isinstance(each, str):
            count += 1
    return count


def clean(text: str) -> str:
    """Give text that can be written as UTF-8, whatever a file or its name held."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _first(layer: Mapping[str, Any], keys: tuple[str, ...]) -> object:
    return next((layer[key] for key in keys if layer.get(key)), None)


def _text(value: object) -> str:
    if isinstance(value, str):
        return clean(value)
    return (
        str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""
    )


def _command(layers: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """Give the words of a command: a text, a list, or `{path, args}`."""
    for layer in layers:
        value = _first(layer, _COMMANDS)
        if isinstance(value, dict):
            layer = value
            value = _first(layer, ("path", *_COMMANDS))
        if not value:
            continue
        rest = _first(layer, _ARGUMENTS)
        if isinstance(value, list):
            return _words(value) + _words(rest)
        text = _text(value)
        if text and not rest and " " in text and not text.startswith(("/", "~", ".", '"')):
            return _split(text)
        if text:
            return (text, *_words(rest))
    return ()


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return _split(value)
    if not isinstance(value, list):
        return ()
    return tuple(
        _text(word) for word in value[:_MOST_WORDS] if isinstance(word, str | int | float)
    )


def _split(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(clean(text)))
    except ValueError:
        return tuple(clean(text).split())


def _texts(layers: list[Mapping[str, Any]], keys: tuple[str, ...]) -> dict[str, str]:
    """Give names and values, of a map or of a list of `NAME=VALUE`."""
    found: dict[str, str] = {}
    for value in (layer.get(key) for layer in layers for key in keys):
        if isinstance(value, dict):
            found |= {clean(str(name)): _text(each) for name, each in value.items()}
        elif isinstance(value, list):
            pairs = (it.partition("=") for it in value if isinstance(it, str))
            found |= {clean(name): clean(each) for name, _, each in pairs}
    return found


def _is_stdio(layers: list[Mapping[str, Any]]) -> bool:
    return _declared(layers) == "stdio"


def _declared(layers: list[Mapping[str, Any]]) -> Transport | None:
    for value in (layer.get(key) for layer in layers for key in _TYPES):
        if isinstance(value, str):
            found = _TRANSPORTS.get(re.sub(r"[^a-z]", "", value.lower()))
            if found is not None:
                return found
    return None


def _transport(
    layers: list[Mapping[str, Any]], command: tuple[str, ...], url: str, client: str
) -> Transport | None:
    declared = _declared(layers)
    if declared is not None and (url or command):
        return declared
    if not url:
        return "stdio"
    is_old = client in _URL_IS_SSE and _text(layers[0].get("url")) == url
    return "sse" if is_old or path_of(url).rstrip("/").endswith("/sse") else "http"


def path_of(url: str) -> str:
    """Give the path of a URL; empty for what is none."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _is_true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _is_false(value: object) -> bool:
    return value is False or (isinstance(value, str) and value.lower() == "false")


def _approved(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the tools that a file lets through unasked."""
    found: list[str] = []
    for value in map(raw.get, _APPROVALS):
        if _is_true(value):
            found.append("*")
        elif isinstance(value, list):
            found += (clean(it) for it in value if isinstance(it, str))
    if _is_true(raw.get("trust")) or raw.get("default_tools_approval_mode") == "approve":
        found.append("*")
    return tuple(dict.fromkeys(found))


def _has_token(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    names = (pair.partition("=")[0] for pair in parts.query.split("&"))
    return "@" in parts.netloc or any(map(names_secret, names))
