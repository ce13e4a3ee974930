"""Whom a server's entry lets in, and what it lets out: approvals, cleartext, containers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from bascule.lock.images import findings as image_findings
from bascule.lock.images import image_source
from bascule.lock.model import LockError
from bascule.lock.options import DOCKER, read
from bascule.scan.config_checks import Subject
from bascule.scan.finding import Finding
from bascule.scan.redaction import redacted, redacted_url
from bascule.scan.rules.configs import (
    AUTO_APPROVE,
    CONFIGURED_CLEARTEXT,
    LISTENS_BEYOND,
    NOT_THROUGH_BASCULE,
    PRIVILEGED_CONTAINER,
    TLS_UNVERIFIED,
)

_TOOLS_SHOWN = 8
_EVERYWHERE = frozenset({"0.0.0.0", "::", "[::]", "*"})  # noqa: S104 - what is looked for
_HOST_OPTIONS = frozenset(
    {"--host", "--bind", "--address", "--listen", "--hostname", "--bind-address", "--ip"}
)
_HOST_VARIABLES = re.compile(r"(?:\w+_)?(?:HOST|BIND|BIND_ADDRESS|LISTEN_ADDR(?:ESS)?)")
_CONTAINER = ("docker", "podman")
_HARMFUL = (
    "what the host's root can",
    "command the container engine",
    "a device of the host",
    "devices of the host",
    "a capability more than usual",
    "the host's network",
    "the host's pid",
    "the host's ipc",
    "confinement is changed",
)
_WHOLE_HOST = re.compile(r"(?:/|/etc|/root|/home|/proc|/sys|/var|/dev|[A-Za-z]:[\\/]?)/?")
_UNCHECKED_OPTIONS = frozenset(
    {"--insecure", "--no-verify-ssl", "--no-check-certificate", "--allow-insecure-host"}
    | {"--skip-tls-verify", "--tls-skip-verify", "--no-ssl-verify", "--trusted-host"}
)
_UNCHECKED_VARIABLES = {
    "NODE_TLS_REJECT_UNAUTHORIZED": {"0"},
    "PYTHONHTTPSVERIFY": {"0"},
    "NPM_CONFIG_STRICT_SSL": {"false"},
    "GIT_SSL_NO_VERIFY": {"1", "true"},
    "SSL_VERIFY": {"0", "false"},
    "VERIFY_SSL": {"0", "false"},
    "TLS_VERIFY": {"0", "false"},
    "CURL_INSECURE": {"1", "true"},
}
_UNCHECKED_KEYS = {
    **dict.fromkeys(("verify", "verify_ssl", "rejectUnauthorized"), False),
    **dict.fromkeys(("insecure", "skipTlsVerify", "insecureSkipVerify"), True),
}
_PUBLISHED = re.compile(r"(?:(?:0\.0\.0\.0|\[?::\]?):)?[\d-]*:?[\d-]+(?:/tcp)?")


def auto_approved(subject: Subject) -> Iterator[Finding]:
    """Find tools that are called without a question."""
    tools = subject.server.approved
    if not tools:
        return
    everything = "*" in tools
    some = ", ".join(f"`{redacted(tool)[:80]}`" for tool in tools[:_TOOLS_SHOWN])
    more = f" and {len(tools) - _TOOLS_SHOWN} more" if len(tools) > _TOOLS_SHOWN else ""
    yield subject.finding(
        AUTO_APPROVE,
        "all tools of the server" if everything else f"{some}{more}",
        severity="high" if everything else None,
    )


def cleartext(subject: Subject) -> Iterator[Finding]:
    """Find `http` to other machines."""
    for url in _urls(subject):
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            continue
        if parts.scheme in ("http", "ws") and host and not is_loopback(host):
            yield subject.finding(CONFIGURED_CLEARTEXT, f"`{redacted_url(url)}`", key=host)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, by its spelling; a variable counts as that."""
    plain = host.rstrip(".").lower()
    if plain == "localhost" or plain.endswith(".localhost") or "$" in plain or "{" in plain:
        return True
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return plain == "host.docker.internal"
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback)


def container(subject: Subject) -> Iterator[Finding]:
    """Find containers that are none in effect."""
    started = subject.started
    if started.program not in _CONTAINER or started.words[1:2] != ("run",):
        return
    told = [*_as_lock_says(started.words[2:]), *_of_words(started.words[2:])]
    for text in dict.fromkeys(told):
        yield subject.finding(PRIVILEGED_CONTAINER, text, key=text)


def _as_lock_says(words: tuple[str, ...]) -> list[str]:
    try:
        options = read(words, DOCKER, "docker run")
        said = image_findings(options, image_source(options.first))
    except LockError:
        return []
    return [text for text in said if any(part in text for part in _HARMFUL)]


def _of_words(words: tuple[str, ...]) -> Iterator[str]:
    """Look at the words by themselves: an option that is not known hides no other."""
    if "--privileged" in words or "--privileged=true" in words:
        yield "the container is privileged: it can do what the host's root can"
    for before, word in zip(("", *words), words, strict=False):
        option, equals, value = word.partition("=")
        mount = value if equals and option in ("--volume", "--mount") else ""
        if before in ("-v", "--volume", "--mount"):
            mount = word
        source = _source_of(mount)
        if (
            "docker.sock" in source
            or "podman.sock" in source
            or "containerd.sock" in source
        ):
            yield "the container may command the container engine through its socket"
        elif source and _WHOLE_HOST.fullmatch(source):
            yield f"the container has the host's folder `{source}`"


def _source_of(mount: str) -> str:
    match = re.search(r"(?:^|,)(?:source|src)=([^,]+)", mount)
    if match:
        return match[1]
    drive = re.match(r"[A-Za-z]:[\\/][^:]*", mount)
    return drive.group() if drive else mount.partition(":")[0]


def tls_unverified(subject: Subject) -> Iterator[Finding]:
    """Find settings that switch the check of certificates off."""
    server = subject.server
    for word in server.command:
        if word.partition("=")[0] in _UNCHECKED_OPTIONS and not word.endswith("=false"):
            yield subject.finding(
                TLS_UNVERIFIED, f"`{word.partition('=')[0]}`", key=word[:40]
            )
    for name, value in server.environment.items():
        if value.lower() in _UNCHECKED_VARIABLES.get(name.upper(), ()):
            yield subject.finding(TLS_UNVERIFIED, f"`{name}={value}`", key=name)
    for name, bad in _UNCHECKED_KEYS.items():
        if server.raw.get(name) is bad:
            yield subject.finding(
                TLS_UNVERIFIED, f"`{name}` is {str(bad).lower()}", key=name
            )


def listens_beyond(subject: Subject) -> Iterator[Finding]:
    """Find servers that are told to listen on all addresses."""
    server = subject.server
    words = subject.started.words
    for before, word in zip(("", *words), words, strict=False):
        option, equals, value = word.partition("=")
        told = value if equals and option in _HOST_OPTIONS else ""
        told = word if before in _HOST_OPTIONS else told
        if told in _EVERYWHERE:
            yield subject.finding(LISTENS_BEYOND, f"its host is `{told}`", key="command")
        is_port = before in ("-p", "--publish") and _PUBLISHED.fullmatch(word)
        if is_port and subject.started.program in _CONTAINER:
            yield subject.finding(LISTENS_BEYOND, f"port `{word}` is published", key=word)
    for name, value in server.environment.items():
        if value in _EVERYWHERE and _HOST_VARIABLES.fullmatch(name.upper()):
            yield subject.finding(LISTENS_BEYOND, f"`{name}={value}`", key=name)


def around_bascule(subject: Subject, *, is_used: bool) -> Iterator[Finding]:
    """Find servers that are reached without Bascule.

    Only for information on a machine where nothing goes through it yet.
    """
    if subject.through_bascule is False and not subject.server.disabled:
        how = "starts the server itself" if not subject.server.url else "calls it directly"
        yield subject.finding(
            NOT_THROUGH_BASCULE,
            f"{subject.server.client} {how}",
            severity=None if is_used else "info",
        )


def _urls(subject: Subject) -> Iterator[str]:
    if subject.server.url:
        yield subject.server.url
    for word in subject.started.words[1:]:
        _, _, url = word.rpartition("=") if word.startswith("-") else ("", "", word)
        if url.startswith(("http://", "ws://")) and subject.started.package:
            yield url
