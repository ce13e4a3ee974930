"""The words that clients have for the same things: command, URL, variables, approvals."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bascule.scan.server import Transport

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
_MOST_WORDS = 1_000

Layers = list[Mapping[str, Any]]
"""An entry, and the maps within it that hold a part of the same."""


def layers_of(raw: Mapping[str, Any]) -> Layers:
    """Give an entry, and the maps in it where some clients put a part."""
    return [raw, *(it for key in _WITHIN if isinstance(it := raw.get(key), dict))]


def looks_like_server(value: object) -> bool:
    """Tell whether a value is an entry of a server: a command, or a URL."""
    if not isinstance(value, dict):
        return False
    return any(
        isinstance(layer.get(key), str | list | dict) and layer.get(key)
        for layer in layers_of(value)
        for key in (*_COMMANDS, *_URLS)
    )


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


def command_in(layers: Layers) -> tuple[str, ...]:
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


def url_in(layers: Layers) -> str:
    """Give the URL; empty for none."""
    return next(filter(None, (_text(_first(layer, _URLS)) for layer in layers)), "")


def environment_in(layers: Layers) -> dict[str, str]:
    """Give the variables, of a map or of a list of `NAME=VALUE`."""
    return _texts(layers, _ENVIRONMENTS)


def headers_in(layers: Layers) -> dict[str, str]:
    """Give the headers that are sent with each request."""
    return _texts(layers, _HEADERS)


def _texts(layers: Layers, keys: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in (layer.get(key) for layer in layers for key in keys):
        if isinstance(value, dict):
            found |= {clean(str(name)): _text(each) for name, each in value.items()}
        elif isinstance(value, list):
            pairs = (it.partition("=") for it in value if isinstance(it, str))
            found |= {clean(name): clean(each) for name, _, each in pairs}
    return found


def declared_transport(layers: Layers) -> Transport | None:
    """Give the transport that an entry names; None when it names none that is known."""
    for value in (layer.get(key) for layer in layers for key in _TYPES):
        if isinstance(value, str):
            found = _TRANSPORTS.get(re.sub(r"[^a-z]", "", value.lower()))
            if found is not None:
                return found
    return None


def transport_of(
    layers: Layers, command: tuple[str, ...], url: str, client: str
) -> Transport | None:
    """Give the transport that an entry means."""
    declared = declared_transport(layers)
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


def is_disabled(raw: Mapping[str, Any]) -> bool:
    """Tell whether an entry is switched off."""
    return _is(True, raw.get("disabled")) or _is(False, raw.get("enabled"))


def _is(wanted: bool, value: object) -> bool:
    is_text = isinstance(value, str) and value.lower() == str(wanted).lower()
    return value is wanted or is_text


def approved_in(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the tools that a file lets through unasked."""
    found: list[str] = []
    for value in map(raw.get, _APPROVALS):
        if _is(True, value):
            found.append("*")
        elif isinstance(value, list):
            found += (clean(it) for it in value if isinstance(it, str))
    if _is(True, raw.get("trust")) or raw.get("default_tools_approval_mode") == "approve":
        found.append("*")
    return tuple(dict.fromkeys(found))
